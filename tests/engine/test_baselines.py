"""Baselines: exact where the truth is of their form, leave-one-out values that really leave one out."""

import os
from pathlib import Path

import ase
import h5py
import numpy as np
import pytest
import torch
from common.some_datasets import dataset

from crystalcli.engine.baselines import baselines
from crystalcli.engine.baselines.baseline_models import PairsBaseline
from crystalcli.engine.baselines.baselines import solve_ridge
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.normalisers import target_statistics
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.elsewhere import elsewhere
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity


def alloys(count: int = 30) -> list[ase.Atoms]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        n = int(rng.integers(1, 5))
        scaled = np.arange(n)[:, None] / n + rng.normal(0, 0.02, (n, 3))
        symbols = list(rng.choice(["Al", "O", "Mg"], n))
        made.append(ase.Atoms(symbols, scaled_positions=scaled, cell=np.eye(3) * 4.0, pbc=True))
    return made


def elemental(atoms: list[ase.Atoms]) -> np.ndarray:
    worth = {"Al": -1.5, "O": 2.0, "Mg": 0.25}
    return np.array([np.mean([worth[s] for s in a.get_chemical_symbols()]) for a in atoms])


def test_mean(tmp_path: Path) -> None:
    values = np.arange(30.0)
    values[3] = np.nan
    data, train = dataset(tmp_path, alloys(), {"e": values}), np.arange(20)
    fitted = baselines.fit_leaving_out("mean", data, train, "e")
    expected = np.nanmean(values[:20])
    assert baselines.evaluate(fitted.baseline, data, np.arange(30)) == pytest.approx(np.full(30, expected))
    assert fitted.left_out[3] == pytest.approx(expected)
    assert fitted.left_out[0] == pytest.approx(np.nanmean(values[1:20]))


@pytest.mark.parametrize("extensive", [False, True])
def test_elements_are_exact_for_a_sum_over_elements(tmp_path: Path, extensive: bool) -> None:
    atoms = alloys()
    values = elemental(atoms) * ([len(a) for a in atoms] if extensive else 1.0)
    data = dataset(tmp_path, atoms, {"e": values}, e=Quantity("e", "eV", extensive=extensive))
    fitted = baselines.fit("elements", data, np.arange(20), "e")
    assert baselines.evaluate(fitted, data, np.arange(20, 30)) == pytest.approx(values[20:], abs=1e-6)


def test_an_unseen_element_counts_as_the_mean(tmp_path: Path) -> None:
    atoms = alloys()
    data = dataset(tmp_path, atoms, {"e": elemental(atoms)})
    fitted = baselines.fit("elements", data, np.arange(20), "e")
    gold = collate([build_graph(ase.Atoms("Au", cell=np.eye(3) * 4, pbc=True), cutoff=5.0)])
    assert abs(float(fitted(gold)) - elemental(atoms)[:20].mean()) < 3.0


def test_histogram_by_hand() -> None:
    """One pair 1.52 Å apart: 60 % in the bin at 1.50 and 40 % in that at 1.55, divided by two atoms."""
    model = PairsBaseline([(8, 13)], 1.4, 6.0, 0.05)
    atoms = ase.Atoms("AlO", positions=[[0, 0, 0], [1.52, 0, 0]])
    found = model.describe(collate([build_graph(atoms, cutoff=3.0)], torch.float64))[0]
    assert found.sum() == pytest.approx(0.5)
    assert found[2:4].tolist() == pytest.approx([0.3, 0.2])
    assert len(found) == 93
    far = atoms.copy()
    far.positions[1, 0] = 6.03  # beyond the last centre, within its hat
    assert float(model.describe(collate([build_graph(far, cutoff=3.0)], torch.float64)).sum()) == pytest.approx(0.2)


def test_histograms_do_not_depend_on_the_cell() -> None:
    model = PairsBaseline([(8, 8), (8, 22), (8, 38), (22, 22), (22, 38), (38, 38)])
    atoms = crystals.rattled()
    versions = [atoms, atoms.repeat((2, 1, 2)), crystals.rotated(atoms), crystals.rewrapped(atoms)]
    found = model.describe(collate([build_graph(a, cutoff=3.0) for a in versions], torch.float64))
    torch.testing.assert_close(found, found[:1].expand(4, -1), rtol=1e-9, atol=1e-10)


def test_ridge_against_the_textbook() -> None:
    """Same weights as the normal equations, and the leave-one-out values of as many refits."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(2.0, 1.0, (25, 4)), rng.normal(size=25)
    x[:, 3] = 7.0  # a constant column takes no part
    found = solve_ridge(x.copy(), y, [0.5])
    with elsewhere():  # whatever axes a decomposition gives
        there = solve_ridge(x.copy(), y, [0.5])
    np.testing.assert_allclose(there.weight, found.weight, rtol=1e-9)
    np.testing.assert_allclose(there.left_out, found.left_out, rtol=1e-9)
    scaled = (x[:, :3] - x[:, :3].mean(0)) / x[:, :3].std(0)
    weight = np.linalg.solve(scaled.T @ scaled + 0.5 * np.eye(3), scaled.T @ (y - y.mean())) / x[:, :3].std(0)
    assert found.weight == pytest.approx(np.append(weight, 0.0))
    for left_out in (0, 7):
        keep = np.arange(25) != left_out
        # the standardisation is that of all rows, as in the closed form
        design = np.column_stack([np.ones(24), scaled[keep]])
        solution = np.linalg.solve(design.T @ design + np.diag([0, 0.5, 0.5, 0.5]), design.T @ y[keep])
        assert found.left_out[left_out] == pytest.approx(solution @ np.append(1.0, scaled[left_out]))


def test_zeroth_term(tmp_path: Path) -> None:
    atoms = alloys()
    values = elemental(atoms) + np.random.default_rng(0).normal(0, 0.1, 30)
    data, train, other = dataset(tmp_path, atoms, {"e": values}), np.arange(20), np.arange(25, 30)
    baseline, baseline_values = baselines.closed_form("elements", data, train, "e", other)
    assert np.isnan(baseline_values[20:25]).all()
    assert baseline_values[other] == pytest.approx(baselines.evaluate(baseline, data, other))
    inside = np.abs(baselines.evaluate(baseline, data, train) - values[:20]).mean()
    assert np.abs(baseline_values[:20] - values[:20]).mean() > inside
    found = target_statistics(data, ["e"], train, {"e": baseline_values})
    assert found.residual == ("e",)
    assert found.target_scale["e"] == pytest.approx((values[:20] - baseline_values[:20]).std())
    assert found.elements == (8, 12, 13)


def test_statistics_of_totals_are_per_atom(tmp_path: Path) -> None:
    atoms = alloys()
    sizes = np.array([len(a) for a in atoms])
    data = dataset(tmp_path, atoms, {"e": elemental(atoms) * sizes}, e=Quantity("e", "eV", extensive=True))
    found = target_statistics(data, ["e"], np.arange(20))
    assert found.target_mean["e"] == pytest.approx(elemental(atoms)[:20].mean())


def test_refusals(tmp_path: Path) -> None:
    atoms = [ase.Atoms("AlO", positions=[[0, 0, 0], [2, 0, 0]]) for _ in range(3)]
    kinds = {"kind": Quantity("kind", classes=2)}
    data = dataset(tmp_path, atoms, {"e": np.full(3, np.nan), "kind": np.ones(3)}, **kinds)
    every = np.arange(3)
    for name, target, said in (("mean", "e", "no training structure"), ("mean", "kind", "one number per structure")):
        with pytest.raises(UsageError, match=said):
            baselines.fit(name, data, every, target)
    tensor = Quantity("strain", shape=(6,))
    data.columns["strain"] = Column(tensor, np.ones((3, 6)), np.ones(3, dtype=bool))
    with pytest.raises(UsageError, match="one number per structure; 'strain' is not one"):
        baselines.fit("mean", data, every, "strain")
    with pytest.raises(UsageError, match="did you mean 'pairs'"):
        baselines.blank("pair", {})
    with pytest.raises(InputError, match="bad options"):
        baselines.blank("pairs", {"pairs": [[8, 8]], "stop": 1e9})


def test_too_many_elements_for_histograms(tmp_path: Path) -> None:
    atoms = [ase.Atoms([z], cell=np.eye(3) * 4, pbc=True) for z in range(3, 20)]
    data = dataset(tmp_path, atoms, {"e": np.arange(17.0)})
    with pytest.raises(UsageError, match=r"14,229 features of 17 elements.*use 'elements'"):
        baselines.fit("pairs", data, np.arange(17), "e")


@pytest.mark.slow
@pytest.mark.skipif("CRYSTAL_DATA" not in os.environ, reason="CRYSTAL_DATA is not set")
def test_the_yardstick_of_alumina() -> None:
    """alpha, 240 atoms, 300 K, first 60 % against last 20 %: 0.147 meV/atom (every fourth training snapshot: 0.153)."""
    with h5py.File(Path(os.environ["CRYSTAL_DATA"]) / "alumina" / "alpha-240-300K.h5") as h:
        index = np.r_[0:6000:4, 8000:10000:4]
        positions = h["reference_positions"][()] + 1e-4 * h["displacement"][()][index]
        energy, cell, numbers = h["energy"][()][index] / 240, h["cell"][()], h["numbers"][()].astype(int)
    empty = np.zeros((2, 0), dtype=np.int64)
    model = PairsBaseline([(8, 8), (8, 13), (13, 13)])
    features = np.concatenate(
        [
            model.describe(
                collate(
                    [GraphArrays(p, cell, np.ones(3, bool), numbers, empty, np.zeros((0, 3), np.int64))], torch.float64
                )
            ).numpy()
            for p in positions
        ]
    )
    found = solve_ridge(features[:1500].copy(), energy[:1500], [1e-3])
    error = np.abs(found.intercept + features[1500:] @ found.weight - energy[1500:]).mean()
    assert 0.13e-3 < error < 0.17e-3
