"""Which baseline ``auto`` takes."""

from pathlib import Path
from typing import Any

import ase
import ase.build
import numpy as np
import pytest
from common.some_datasets import dataset

from crystalcli.contracts.host import Host
from crystalcli.engine.data.splits import Split
from crystalcli.train import baseline
from crystalcli.train.baseline import fitted_baselines
from crystalcli.vocabulary.errors import UsageError


def halves(n: int) -> Split:
    order = np.arange(n)
    return Split(order[: n // 2], order[n // 2 : 3 * n // 4], order[3 * n // 4 :], "by hand")


def shaken(n: int) -> list[ase.Atoms]:
    rng = np.random.default_rng(0)
    crystals = []
    for _ in range(n):
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)
        atoms.positions += rng.normal(0, 0.1, (8, 3))
        crystals.append(atoms)
    return crystals


def chosen(data: object, n: int) -> tuple[set[str], list[str]]:
    said: list[str] = []
    fitted, _ = fitted_baselines("auto", data, halves(n), ["e"], Host(say=said.append))  # type: ignore[arg-type]
    return {b.name for b in fitted.values()}, said


def test_distances_decide_and_pairs_are_taken(tmp_path: Path) -> None:
    crystals = shaken(60)
    energy = []
    for atoms in crystals:
        d = atoms.get_all_distances(mic=True)[np.triu_indices(8, 1)]
        energy.append(np.exp(-(d[d < 3.6] - 2.0)).sum())
    names, said = chosen(dataset(tmp_path, crystals, {"e": np.array(energy)}), 60)
    assert names == {"pairs"}
    assert "residual of: pairs" in said[-1]


def test_noise_is_left_to_the_mean(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(size=40)
    names, said = chosen(dataset(tmp_path, shaken(40), {"e": noise}), 40)
    assert names == set()
    assert "none" in said[-1]


def test_many_elements_are_not_for_pairs(tmp_path: Path) -> None:
    metals = [ase.build.bulk(s, "fcc", a=4.0) for s in ("Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al", "Pb", "Ca", "Sr") * 6]
    number = np.array([float(a.numbers[0]) for a in metals])
    names, _ = chosen(dataset(tmp_path, metals, {"e": number}), 60)
    assert names == {"elements"}


def test_an_exact_baseline_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset(tmp_path, shaken(20), {"e": np.random.default_rng(1).normal(size=20)})
    true = data.columns["e"].values
    fitted = baseline._fitted

    def exact(word: str, *more: Any) -> Any:
        terms, values = fitted(word, *more)
        return (terms, {"e": true}) if word == "elements" else (terms, values)

    monkeypatch.setattr(baseline, "_fitted", exact)
    names, said = chosen(data, 20)
    assert names == {"elements"}
    assert said[-1] == "residual of: elements (leave-one-out error 0: it is exact)"


def test_targets_of_any_size_count_alike(tmp_path: Path) -> None:
    """Noise of a thousand, which no element explains, beside a small number that they explain wholly."""
    metals = [ase.build.bulk(s, "fcc", a=4.0) for s in ("Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al", "Pb", "Ca", "Sr") * 6]
    small = np.array([0.01 * a.numbers[0] for a in metals])
    noise = 1e3 * np.random.default_rng(3).normal(size=60)
    data = dataset(tmp_path, metals, {"noise": noise, "small": small})
    said: list[str] = []
    fitted, _ = fitted_baselines("auto", data, halves(60), ["noise", "small"], Host(say=said.append))
    assert {b.name for b in fitted.values()} == {"elements"}, said
    alone, _ = fitted_baselines("auto", data, halves(60), ["noise"], Host())
    assert not alone


def test_what_is_named_is_taken_or_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path, shaken(20), {"e": np.random.default_rng(2).normal(size=20)})
    fitted, baseline_values = fitted_baselines("mean", data, halves(20), ["e"], Host())
    true = data.columns["e"].values
    assert fitted["e"].name == "mean"
    # leave-one-out in the training part: the mean of the nine others
    assert baseline_values["e"][0] == pytest.approx(true[1:10].mean())
    assert baseline_values["e"][-1] == pytest.approx(true[:10].mean())
    with pytest.raises(UsageError, match="no baseline 'cubes'"):
        fitted_baselines("cubes", data, halves(20), ["e"], Host())
