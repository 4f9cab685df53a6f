"""Labels of sites from training to the report: several at once, of one element, missing; pictures and tables."""

import json
from dataclasses import replace
from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest
from workflows import small_cache

from crystalcli.contracts.records import Recipe
from crystalcli.mechanisms.cache import Column
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows import training
from crystalcli.workflows.training_plan import SplitPlan, TrainingPlan

CHARGE, CENTRE = Quantity("charge", "e", "site"), Quantity("centre", "eV", "site")


def crystals(n: int) -> list[ase.Atoms]:
    """Rocksalts of two cells each with shaken atoms."""
    rng = np.random.default_rng(2)
    made = [a.repeat((2, 1, 1)) for a in small_cache.crystals(n)]
    for a in made:
        a.positions += rng.normal(0, 0.1, a.positions.shape)
    return made


def labels(structures: list[ase.Atoms]) -> list[Column]:
    """A charge that depends on the element and its nearest neighbor, neutral in sum; a centre of halogens only."""
    charges, centres = [], []
    for a in structures:
        distance = np.sort(a.get_all_distances(mic=True) + 100 * np.eye(len(a)), axis=1)[:, 0]
        q = np.where(np.isin(a.numbers, (8, 9, 17, 35)), -1.0, 1.0) * distance / 2.5
        charges.append(q - q.mean())
        centres.append(np.where(np.isin(a.numbers, (9, 17, 35)), -distance, np.nan))
    found = []
    for quantity, parts in ((CHARGE, charges), (CENTRE, centres)):
        values = np.concatenate(parts)
        found.append(Column(quantity, values, np.isfinite(values)))
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = crystals(40)
    return small_cache.write(tmp_path_factory.mktemp("sites") / "graphs.h5", columns=labels(made), structures=made)


def plan(cache: Path, output: Path, **changes: object) -> TrainingPlan:
    made = TrainingPlan(
        architecture="cgcnn",
        head="site",
        output=str(output),
        caches=(str(cache),),
        targets=("charge", "centre"),
        architecture_options={"n_conv": 2, "width": 16},
        head_options={"hidden": 16},
        recipe=Recipe(batch_size=4, epochs=8, lr=1e-2),
        split=SplitPlan(kind="random", fractions="0.6,0.2,0.2"),
        device="cpu",
        threads=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_two_labels_one_of_some_elements(cache: Path, tmp_path: Path) -> None:
    report = training.run(plan(cache, tmp_path / "run"))
    data = json.loads((tmp_path / "run" / "report.json").read_text())
    charge, centre = data["test"]["charge"], data["test"]["centre"]
    assert charge["model"]["mae"] < 0.5 * charge["baselines"]["mean"]["mae"]
    assert set(centre["by_element"]) <= {"F", "Cl", "Br"}
    assert sum(row["n"] for row in centre["by_element"].values()) == centre["model"]["n"]
    assert sum(row["n"] * row["mae"] for row in charge["by_element"].values()) == pytest.approx(
        charge["model"]["n"] * charge["model"]["mae"]
    )
    assert set(charge["baselines"]) == {"mean", "element mean", "element and coordination mean"}
    assert "sum_mae" in charge["model"]
    assert "sum_mae" not in centre["model"]
    for name in ("charge", "centre"):
        for picture in (f"parity-elements-{name}.png", f"distribution-{name}.png"):
            assert (report.folder / picture).read_bytes().startswith(b"\x89PNG")
    lines = (report.folder / "predictions-test-sites.csv").read_text().splitlines()
    assert lines[0] == "id,site,charge true [e],charge predicted [e],centre true [eV],centre predicted [eV]"


def test_conserved_charges_sum_to_nothing(cache: Path, tmp_path: Path) -> None:
    free = training.run(plan(cache, tmp_path / "free", targets=("charge",)))
    held = training.run(
        plan(cache, tmp_path / "held", targets=("charge",), head_options={"hidden": 16, "conserve": "charge"})
    )
    free_sum, held_sum = (r.data["test"]["charge"]["model"]["sum_mae"] for r in (free, held))
    assert held_sum < 1e-9
    assert free_sum > 1e-3


def test_splits_are_of_crystals(cache: Path, tmp_path: Path) -> None:
    training.run(plan(cache, tmp_path / "run", recipe=Recipe(batch_size=8, epochs=1)))
    parts = json.loads((tmp_path / "run" / "splits.json").read_text())
    ids = [set(parts[n]) for n in ("train", "val", "test")]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 40


def test_network_beats_the_list_of_neighbors_beats_the_element(tmp_path: Path) -> None:
    """A label of the second shell: the sum over neighbors of how many neighbors they have."""
    from crystalcli.nouns.graph import collate, edge_lengths, sum_over_neighbors
    from crystalcli.nouns.neighbors import build_graph

    rng = np.random.default_rng(1)
    made = []
    for k in range(60):
        atoms = ase.build.bulk("Cu", "fcc", a=3.8, cubic=True).repeat((2, 1, 1))
        atoms.numbers[rng.random(8) < 0.4] = 47
        del atoms[[int(i) for i in np.flatnonzero(rng.random(8) < 0.25)][: len(atoms) - 3]]
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        atoms.info["k"] = k
        made.append(atoms)
    values = []
    for atoms in made:
        graph = collate([build_graph(atoms, cutoff=8.0, max_neighbors=12)])
        weight = (edge_lengths(graph) < 3.4).float().unsqueeze(1)
        count = sum_over_neighbors(graph, weight)
        second = sum_over_neighbors(graph, weight * count.index_select(0, graph.edge_index[1]))
        values.append((second.squeeze(1) / 10 + 0.3 * count.squeeze(1)).double().numpy())
    column = Column(Quantity("crowd", "", "site"), np.concatenate(values), np.ones(sum(map(len, values)), dtype=bool))
    cache = small_cache.write(tmp_path / "graphs.h5", columns=[column], structures=made)
    errors = {}
    for architecture, options in (("cgcnn", {"n_conv": 2, "width": 24}), ("neighborhood-mlp", {"width": 64})):
        one = plan(
            cache,
            tmp_path / architecture,
            architecture=architecture,
            architecture_options=options,
            targets=("crowd",),
            head_options={"hidden": 32, "n_hidden": 1},
            recipe=Recipe(batch_size=4, epochs=40, lr=5e-3),
        )
        row = training.run(one).data["test"]["crowd"]
        errors[architecture] = row["model"]["mae"]
    assert errors["cgcnn"] < errors["neighborhood-mlp"] < row["baselines"]["element mean"]["mae"]


@pytest.mark.slow
def test_trends_hold_for_three_seeds_and_with_more_crystals(tmp_path: Path) -> None:
    """Effective coordination of shaken alloys: network < list of neighbors < element mean; less error with more."""
    from crystalcli.mechanisms.site_labels import effective_coordination
    from crystalcli.workflows import training_series
    from crystalcli.workflows.training_series import Series

    rng = np.random.default_rng(3)
    made = []
    for _ in range(80):
        atoms = ase.build.bulk("Cu", "fcc", a=3.8, cubic=True)
        atoms.numbers[rng.random(4) < 0.4] = 47
        atoms.positions += rng.normal(0, 0.25, atoms.positions.shape)
        made.append(atoms)
    values = np.concatenate([effective_coordination(a) for a in made])
    column = Column(Quantity("econ", "", "site"), values, np.ones(len(values), dtype=bool))
    cache = small_cache.write(tmp_path / "graphs.h5", columns=[column], structures=made)
    errors = []
    for share, epochs, compared in ((0.15, 120, ()), (0.6, 40, ("neighborhood-mlp",))):
        one = plan(
            cache,
            tmp_path / f"{share}",
            architecture_options={"n_conv": 2, "width": 32},
            targets=("econ",),
            head_options={"hidden": 64, "n_hidden": 1},
            recipe=Recipe(batch_size=4, epochs=epochs, lr=5e-3, weight_decay=0.01),
            split=SplitPlan(kind="random", fractions=f"{share},0.2,0.2"),
        )
        row = training_series.run(one, Series(3, compared)).data["test"]["econ"]
        errors.append(row["model"]["mae"]["mean"])
    mlp = row["compared"]["neighborhood-mlp"]["mae"]["mean"]
    assert errors[1] < mlp < row["baselines"]["element mean"]["mae"]
    assert errors[1] < errors[0]
