"""Labels of sites from training to the report: several at once, of one element, missing; pictures and tables."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase
import ase.build
import numpy as np
import pytest
from common import small_cache
from common.some_trainings import asked, changed, describe, train

from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Split
from crystalcli.engine.evaluate.evaluation import Collected
from crystalcli.train import report
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

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


def plan(cache: Path, output: Path, **changes: object) -> Request:
    made = asked(
        arch="cgcnn",
        head="site",
        output=str(output),
        caches=(str(cache),),
        target=("charge", "centre"),
        arch_options={"n_conv": 2, "width": 16},
        head_options={"hidden": 16},
        recipe=Recipe(batch_size=4, epochs=8, lr=1e-2),
        split="random",
        fractions="0.6,0.2,0.2",
        device="cpu",
        threads=1,
    )
    return changed(made, **changes)  # type: ignore[arg-type]


def test_two_labels_one_of_some_elements(cache: Path, tmp_path: Path) -> None:
    report = train(plan(cache, tmp_path / "run"))
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
    free = train(plan(cache, tmp_path / "free", target=("charge",)))
    held = train(plan(cache, tmp_path / "held", target=("charge",), head_options={"hidden": 16, "conserve": "charge"}))
    free_sum, held_sum = (r.data["test"]["charge"]["model"]["sum_mae"] for r in (free, held))
    assert held_sum < 1e-9
    assert free_sum > 1e-3


def test_splits_are_of_crystals(cache: Path, tmp_path: Path) -> None:
    train(plan(cache, tmp_path / "run", recipe=Recipe(batch_size=8, epochs=1)))
    parts = json.loads((tmp_path / "run" / "splits.json").read_text())
    ids = [set(parts[n]) for n in ("train", "val", "test")]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 40


def test_labels_of_sites_that_teach_nothing_or_look_wrong(tmp_path: Path) -> None:
    made = crystals(40)
    charge = labels(made)[0]
    same = small_cache.write(
        tmp_path / "same.h5", structures=made, columns=[replace(charge, values=np.ones_like(charge.values))]
    )
    with pytest.raises(UsageError, match="'charge' is 1 for all training sites; nothing to learn"):
        train(plan(same, tmp_path / "run", target=("charge",)))
    values = charge.values.copy()
    values[30] = 1e6
    wild = small_cache.write(tmp_path / "wild.h5", structures=made, columns=[replace(charge, values=values)])
    heard: list[str] = []
    describe(plan(wild, tmp_path / "run", target=("charge",)), Host(warn=heard.append))
    assert any("1 label 'charge' is very far" in w and '"07"' in w and "1e+06" in w for w in heard), heard


def crowded(path: Path, n: int) -> Path:
    """Cache of defective alloys whose label is of the second shell: how many neighbors an atom's neighbors have."""
    from crystalcli.nouns.graph import collate, edge_lengths, sum_over_neighbors
    from crystalcli.nouns.neighbors import build_graph

    rng = np.random.default_rng(1)
    made, values = [], []
    for _ in range(n):
        atoms = ase.build.bulk("Cu", "fcc", a=3.8, cubic=True).repeat((2, 1, 1))
        atoms.numbers[rng.random(8) < 0.4] = 47
        del atoms[[int(i) for i in np.flatnonzero(rng.random(8) < 0.25)][: len(atoms) - 3]]
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        graph = collate([build_graph(atoms, cutoff=8.0, max_neighbors=12)])
        weight = (edge_lengths(graph) < 3.4).float().unsqueeze(1)
        count = sum_over_neighbors(graph, weight)
        second = sum_over_neighbors(graph, weight * count.index_select(0, graph.edge_index[1]))
        values.append((second.squeeze(1) / 10 + 0.3 * count.squeeze(1)).double().numpy())
        made.append(atoms)
    column = Column(Quantity("crowd", "", "site"), np.concatenate(values), np.ones(sum(map(len, values)), dtype=bool))
    return small_cache.write(path, columns=[column], structures=made)


def of_crowds(cache: Path, output: Path, **changes: object) -> Request:
    return plan(
        cache,
        output,
        arch_options={"n_conv": 2, "width": 24},
        target=("crowd",),
        head_options={"hidden": 32, "n_hidden": 1},
        recipe=Recipe(batch_size=4, epochs=40, lr=5e-3),
        **changes,
    )


@pytest.mark.slow
def test_trends_hold_for_three_seeds_and_with_more_crystals(tmp_path: Path) -> None:
    cache = crowded(tmp_path / "graphs.h5", 80)
    few = of_crowds(cache, tmp_path / "few", split="random", fractions="0.1,0.2,0.2")
    few = replace(few, recipe=replace(few.recipe, epochs=160))
    many = of_crowds(cache, tmp_path / "many")
    less = train(few, seeds=3).data["test"]["crowd"]["model"]["mae"]["mean"]
    row = train(changed(many, compare=("neighborhood-mlp",)), seeds=3).data["test"]["crowd"]
    mlp = row["compared"]["neighborhood-mlp"]["mae"]["mean"]
    assert row["model"]["mae"]["mean"] < mlp < row["baselines"]["element mean"]["mae"]
    assert row["model"]["mae"]["mean"] < less


def test_the_mean_of_the_training_part_reads_no_graph(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches may be larger than memory: of a whole part the labels are taken, and not its graphs."""
    data = GraphDataset.open([cache])
    train_part, test = np.arange(0, 30, 2), np.arange(30, 40)
    column = data.columns["centre"]
    both = [data.batch(part, ["centre"]).labels["centre"] for part in (train_part, test)]
    monkeypatch.setattr(GraphDataset, "batch", None)
    (mean, known), (true, mask) = ((v.value.numpy(), v.mask.numpy()) for v in both)
    found = Collected(CENTRE, np.zeros(len(true)), None, true, mask)
    prepared: Any = SimpleNamespace(data=data, split=Split(train_part, test[:0], test, ""))
    errors = report._constant(prepared, found)
    assert errors.n == int(mask.sum()) < len(mask) < len(column.mask)
    assert errors.mae == pytest.approx(np.abs(true[mask] - mean[known].mean()).mean())
