"""What a training reports of predicted places: every number once more in plain loops; tables; pictures; series."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
import toy_slabs
from ase.constraints import FixAtoms
from common.some_trainings import asked, train

from crystalcli.contracts.records import Recipe
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.places import Place
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan
from crystalcli.train.view import shown

NAME = "relaxed_positions"
PLAN = BuildPlan((), Path(), "cgcnn", {}, (NAME,), place=Place(0), fields=("fixed", "tags"))
CELL = np.array([[4.4, 0.3, 0.0], [1.9, 4.1, 0.2], [0.8, -0.5, 13.0]])
"""Skew: the normal of the surface is no axis, and neither is the third vector."""
GROUPS = ("model", "identity", "mean displacement")


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_PLUGINS", str(toy_slabs.PLUGIN))
        registry.cache_clear()
        yield
    registry.cache_clear()


def structures(n: int) -> list[ase.Atoms]:
    """Two to four layers of two atoms, the lowest held, an adsorbate on two of three; labels in other images.

    Some cells are left-handed; silver is in the last structures only.
    """
    rng = np.random.default_rng(5)
    made = []
    for k in range(n):
        cell = CELL[[1, 0, 2]] if k % 4 == 3 else CELL
        depth = 2 + k % 3
        share = [[0.5 * (z % 2) + 0.5 * i, 0.25 * z, 0.1 + 0.15 * z] for z in range(depth) for i in range(2)]
        metal = ["Ag" if k >= n - 2 else "Cu", "Ni"]
        symbols, tags = metal * depth, [int(z == depth - 1) for z in range(depth) for _ in range(2)]
        if k % 3:
            share, symbols, tags = [*share, [0.1, 0.2, 0.2 + 0.15 * depth]], [*symbols, "OH"[k % 2]], [*tags, 2]
        atoms = ase.Atoms(symbols, scaled_positions=share, cell=cell, pbc=(True, True, False), tags=tags)
        atoms.positions += rng.normal(0, 0.1, (len(atoms), 3))
        atoms.set_constraint(FixAtoms([0, 1]))
        moved = rng.normal(0, 0.06, (len(atoms), 3)) * (1 + 8 * (np.array(tags) == 2))[:, None]
        moved[:, 2] -= 0.1 * np.array(tags)
        shift = rng.integers(-1, 2, (len(atoms), 3)) * [1, 1, 0]
        atoms.set_array(NAME, atoms.positions + moved + shift @ cell)
        if k % 5 == 0:
            atoms.arrays[NAME][-1] = np.nan
        atoms.info = {"id": f"s{k}"}
        made.append(atoms)
    return made


def cached(folder: Path, made: list[ase.Atoms], fields: tuple[str, ...] = ("fixed", "tags")) -> Path:
    source = toy_slabs.write(folder / "pairs.extxyz", made)
    return build(replace(PLAN, inputs=(str(source),), output=folder / "pairs.h5", fields=fields)).output


def trained(folder: Path, cache: Path, **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"arch": "held", "head": "mover", "featurizer": "cgcnn", "fractions": "0.6,0.15,0.25"}
    recipe = Recipe(batch_size=4, epochs=2, lr=3e-2, loss="l1", schedule="constant")
    more = {"recipe": recipe, "split": "random", "device": "cpu", "threads": 1, "caches": (str(cache),)}
    return dict(train(asked(folder / "run", **{**usual, **more, **changes})).data)


@pytest.fixture(scope="module")
def made() -> list[ase.Atoms]:
    return structures(30)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, made: list[ase.Atoms]) -> Path:
    folder = tmp_path_factory.mktemp("places")
    trained(folder, cached(folder, made))
    return folder / "run"


def report(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "report.json").read_text())["test"][NAME])


def split(run: Path, made: list[ase.Atoms], part: str) -> list[ase.Atoms]:
    by_id = {a.info["id"]: a for a in made}
    return [by_id[i] for i in json.loads((run / "splits.json").read_text())[part]]


def nearest(vector: np.ndarray, cell: np.ndarray) -> np.ndarray:
    every = [vector + i * cell[0] + j * cell[1] for i in range(-3, 4) for j in range(-3, 4)]
    return min(every, key=lambda v: float(v @ v))


def levels(atoms: ase.Atoms) -> tuple[list[int], np.ndarray]:
    """Levels of free atoms above every atom, and the normal."""
    normal = np.cross(atoms.cell[0], atoms.cell[1])
    normal /= np.linalg.norm(normal)
    if normal @ atoms.cell[2] < 0:
        normal = -normal
    free = toy_slabs.free(atoms)
    heights = sorted((float(p @ normal) for p, f in zip(atoms.positions, free, strict=True) if f), reverse=True)
    found = []
    for p in atoms.positions:
        above = [h for h in heights if h >= p @ normal - 1e-12]
        found.append(sum(a - b > 1.0 for a, b in pairwise(above)))
    return found, normal


def kinds(atoms: ase.Atoms) -> list[tuple[tuple[int, ...], ...]]:
    above, _ = levels(atoms)
    rows = zip(atoms.numbers.tolist(), atoms.get_tags().tolist(), above, strict=True)
    return [((), (t,), (t, z), (t, z, n)) for z, t, n in rows]


def mean_moves(run: Path, made: list[ase.Atoms]) -> dict[tuple[int, ...], float]:
    known = defaultdict(list)
    for atoms in split(run, made, "train"):
        _, normal = levels(atoms)
        for k, keys in enumerate(kinds(atoms)):
            label = atoms.arrays[NAME][k]
            if toy_slabs.free(atoms)[k] and np.isfinite(label).all():
                for key in keys:
                    known[key].append(float(nearest(label - atoms.positions[k], atoms.cell.array) @ normal))
    return {key: sum(values) / len(values) for key, values in known.items()}


def twin(run: Path, made: list[ase.Atoms]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Any]]]:
    """Errors of every row and by element, in loops, of the predictions that the run has written."""
    with (run / "predictions-test-sites.csv").open() as file:
        rows = {(r["id"], int(r["site"])): r for r in csv.DictReader(file)}
    moves = mean_moves(run, made)
    means, parts, elements = defaultdict(list), defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for atoms in split(run, made, "test"):
        mine = defaultdict(list)
        _, normal = levels(atoms)
        for k, keys in enumerate(kinds(atoms)):
            label = atoms.arrays[NAME][k]
            if not toy_slabs.free(atoms)[k] or not np.isfinite(label).all():
                continue
            row = rows[atoms.info["id"], k]
            guess = np.array([float(row[f"{NAME}_{c} predicted [Å]"]) for c in "xyz"])
            move = next(moves[key] for key in reversed(keys) if key in moves)
            said = {"model": guess, "identity": atoms.positions[k]}
            said["mean displacement"] = atoms.positions[k] + move * normal
            for name, place in said.items():
                distance = float(np.linalg.norm(nearest(label - place, atoms.cell.array)))
                mine[name].append(distance)
                parts[name]["adsorbate_mae" if atoms.get_tags()[k] == 2 else "slab_mae"].append(distance)
            elements[atoms[k].symbol].append((mine["identity"][-1], mine["model"][-1]))
        for name, values in mine.items():
            means[name].append(sum(values) / len(values))
    found = {}
    for name in GROUPS:
        every = [d for some in parts[name].values() for d in some]
        found[name] = {
            "n": len(every),
            "mae": sum(every) / len(every),
            "macro_mae": sum(means[name]) / len(means[name]),
        }
        found[name] |= {part: sum(some) / len(some) for part, some in parts[name].items()}
        for t in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
            found[name][f"within_{t:g}"] = sum(m <= t for m in means[name]) / len(means[name])
        shares = [sum(m <= k / 1000 for m in means[name]) / len(means[name]) for k in range(10, 501)]
        found[name]["adwt"] = sum(shares) / 491
    by_element = {
        e: {"n": len(v), "before": sum(b for b, _ in v) / len(v), "mae": sum(a for _, a in v) / len(v)}
        for e, v in elements.items()
    }
    return found, by_element


def test_every_number_is_that_of_loops(run, made):
    said = report(run)
    rows = {"model": said["model"], **said["baselines"]}
    assert tuple(rows) == GROUPS
    expected, elements = twin(run, made)
    for name, numbers in expected.items():
        assert {k: rows[name][k] for k in numbers} == pytest.approx(numbers, abs=2e-6), name
    assert len({round(rows[n]["macro_mae"], 6) for n in GROUPS}) == 3
    assert rows["model"]["macro_mae"] != pytest.approx(rows["model"]["mae"], abs=1e-4)
    assert set(said["by_element"]) == set(elements)
    for element, numbers in elements.items():
        found = said["by_element"][element]
        assert {k: found[k] for k in numbers} == pytest.approx(numbers, abs=2e-6), element
    trained_with = {s for a in split(run, made, "train") for s in a.get_chemical_symbols()}
    assert {e for e, r in said["by_element"].items() if r["in_training"]} == set(elements) & trained_with


def test_what_a_person_sees(run):
    data = json.loads((run / "report.json").read_text())
    data["test"][NAME]["by_element"]["Ni"]["in_training"] = 0
    places, elements = shown(data).tables
    assert places.heads == ("", "atoms", "structures", "slab", "adsorbate", "≤ 0.1 Å", "ADwT")
    assert [row[0] for row in places.rows] == list(GROUPS)
    model = data["test"][NAME]["model"]
    cells = places.rows[0][1:]
    keys = ("mae", "macro_mae", "slab_mae", "adsorbate_mae")
    assert [float(c) for c in cells[:4]] == pytest.approx([model[k] for k in keys], rel=1e-3)
    shares = [100 * model[k] for k in ("within_0.1", "adwt")]
    assert [float(c.removesuffix(" %")) for c in cells[4:]] == pytest.approx(shares, rel=1e-3)
    assert elements.heads == ("", "atoms", "start", "predicted")
    assert "Ni (new)" in [row[0] for row in elements.rows]
    for row in elements.rows:
        one = data["test"][NAME]["by_element"][row[0].removesuffix(" (new)")]
        assert [float(c) for c in row[1:]] == pytest.approx([one["n"], one["before"], one["mae"]], rel=1e-3)


def test_a_report_of_before_is_still_shown(run):
    data = json.loads((run / "report.json").read_text())
    row = data["test"][NAME]
    for one in (row["model"], row["baselines"]["identity"]):
        for key in [k for k in one if k not in ("n", "mae", "rmse", "r2", "bias", "max_error", "components")]:
            del one[key]
    del row["baselines"]["mean displacement"]
    (places,) = shown({**data, "test": {NAME: {**row, "by_element": {}}}}).tables
    assert places.heads == ("", "atoms")
    assert [r[0] for r in places.rows] == ["model", "identity"]


def test_pictures(run):
    for name in ("parity", "distances", "worst", "learning-curve"):
        assert (run / f"{name}.png").stat().st_size > 1000


def test_without_tags_and_beside_another_architecture(made, tmp_path):
    """One structure in the test part; pictures as SVG."""
    cache = cached(tmp_path, made[:12], ("fixed",))
    ids = [f"s{k}" for k in range(12)]
    (tmp_path / "split.json").write_text(json.dumps({"train": ids[:9], "val": ids[9:11], "test": ids[11:]}))
    more: dict[str, Any] = {"arch": "cgcnn", "compare": ("lcgcn",), "pictures": "svg"}
    trained(tmp_path, cache, split_file=tmp_path / "split.json", **more)
    said = report(tmp_path / "run")
    for row in (said["model"], said["compared"]["lcgcn"], *said["baselines"].values()):
        assert "slab_mae" not in row
        assert row["macro_mae"] == pytest.approx(row["mae"])
        assert row["within_0.5"] in (0.0, 1.0)
        assert row["adwt"] == pytest.approx(max(0, 501 - max(10, math.ceil(1000 * row["macro_mae"]))) / 491)
    (places, elements) = shown(json.loads((tmp_path / "run" / "report.json").read_text())).tables
    assert places.heads == ("", "atoms", "structures", "≤ 0.1 Å", "ADwT")
    assert [row[0] for row in places.rows] == ["model", "lcgcn", "identity", "mean displacement"]
    assert "Ag (new)" not in [row[0] for row in elements.rows]
    assert {p.name for p in (tmp_path / "run").glob("*.svg")} >= {"distances.svg", "worst.svg", "parity.svg"}
    assert not list((tmp_path / "run").glob("*.png"))
    assert ">s11<" in (tmp_path / "run" / "worst.svg").read_text()


def test_of_bulk_the_mean_displacement_is_skipped_with_a_reason(made, tmp_path):
    some = [a.copy() for a in made[:12]]
    for atoms in some[:8]:
        atoms.pbc = True
    trained(tmp_path, cached(tmp_path, some))
    data = json.loads((tmp_path / "run" / "report.json").read_text())
    reason = data["test"][NAME]["baselines"]["mean displacement"]["skipped"]
    assert "for surfaces only" in reason
    assert f"baseline mean displacement: skipped, {reason}" in shown(data).lines
    assert [row[0] for row in shown(data).tables[0].rows] == ["model", "identity"]


def test_ensembles_and_folds(made, tmp_path):
    cache = cached(tmp_path, made[:18])
    (tmp_path / "e").mkdir()
    data = trained(tmp_path / "e", cache, ensemble=2)
    of_all = data["ensemble"][NAME]["model"]
    assert {"macro_mae", "slab_mae", "adsorbate_mae", "within_0.1", "adwt"} <= set(of_all)
    assert {"mean", "std"} == set(data["test"][NAME]["model"]["adwt"])
    (table,) = shown(data).tables
    assert table.heads == ("", "atoms", "structures", "slab", "adsorbate", "≤ 0.1 Å", "ADwT")
    assert "±" in table.rows[0][2]
    assert table.rows[0][6].endswith(" %")
    assert [row[0] for row in table.rows] == ["held", "identity", "mean displacement"]
    header = (tmp_path / "e" / "run" / "predictions-test-sites.csv").read_text().split("\n")[0]
    assert header.endswith(",".join(f"{NAME}_{c} sigma [Å]" for c in "xyz"))
    for name in ("distances", "worst", "parity"):
        assert (tmp_path / "e" / "run" / f"{name}-{NAME}.png").exists()
    (tmp_path / "f").mkdir()
    folds = trained(tmp_path / "f", cache, folds=3, all_folds=True)
    assert set(folds["test"][NAME]["baselines"]["mean displacement"]["macro_mae"]) == {"mean", "std"}
    assert len(shown(folds).tables[0].rows) == 3
