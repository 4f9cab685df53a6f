"""Further starts of pairs lie on the way, lead to the same end, and teach only where their pair does."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms
from crystal_slabs.further import further_starts
from crystal_slabs.pairing import relaxed_in_the_cell
from scipy.spatial.transform import Rotation

from crystalcli.cli.main import run
from crystalcli.nouns.cells import inverse
from crystalcli.prediction.structures import strain
from crystalcli.testing import crystals


def bulk(seed: int) -> tuple[ase.Atoms, ase.Atoms]:
    """A crystal and what it relaxed to, in a cell that is strained and turned."""
    start, rng = crystals.rattled(seed), np.random.default_rng(seed)
    epsilon = rng.normal(0, 0.05, (3, 3))
    change = (np.eye(3) + 0.5 * (epsilon + epsilon.T)) @ Rotation.from_rotvec([0.3, -1.1, 0.4]).as_matrix()
    end = start.copy()
    end.positions = (start.positions + rng.normal(0, 0.1, start.positions.shape)) @ change
    end.set_cell(start.cell.array @ change)
    return start, end


def same_crystal(one: ase.Atoms, other: ase.Atoms) -> None:
    """The same but for a rotation and for images."""
    metric = [a.cell.array @ a.cell.array.T for a in (one, other)]
    np.testing.assert_allclose(metric[0], metric[1], atol=1e-7)
    fractional = [a.positions @ inverse(a.cell.array) for a in (one, other)]
    difference = fractional[0] - fractional[1]
    np.testing.assert_allclose(difference - np.rint(difference), 0.0, atol=1e-7)


def read(folder: Path) -> list[ase.Atoms]:
    return ase.io.read(folder / "pairs.extxyz", ":")


def test_every_start_of_a_crystal_leads_to_the_same_relaxed_one(tmp_path: Path) -> None:
    pairs = {f"{k:03}": bulk(k) for k in (2, 3)}
    for k, which in enumerate(("start", "end")):
        for name, pair in pairs.items():
            pair[k].info = {"id": name}
        ase.io.write(tmp_path / f"{which}.extxyz", [p[k] for p in pairs.values()])
    words = ["--relaxed", str(tmp_path / "end.extxyz"), "--cells", "--further-starts", "3", "--quiet"]
    assert run(["pairs", str(tmp_path / "start.extxyz"), *words, "-o", str(tmp_path / "out")]) == 0
    frames = read(tmp_path / "out")
    assert [f.info.get("start_of") is not None for f in frames] == [False, True, True, True] * 2
    for k, frame in enumerate(frames):
        guess = frame.copy()
        guess.positions = frame.arrays["relaxed_positions"]
        strain(guess, frame.info["relaxed_strain"])
        same_crystal(guess, list(pairs.values())[k // 4][1])
    cells = np.array([f.cell.array for f in frames])
    assert all(np.abs(cells[k] - cells[0]).max() > 1e-4 for k in (1, 2, 3))
    rows = list(csv.DictReader((tmp_path / "out" / "pairs.csv").read_text().splitlines()))
    assert [r["id"] for r in rows[:5]] == ["002", "002+1", "002+2", "002+3", "003"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["pairs"], report["further_starts"]) == (2, 6)
    assert run(["pairs", str(tmp_path / "start.extxyz"), *words, "-o", str(tmp_path / "again")]) == 0
    first, again = ((tmp_path / n / "pairs.extxyz").read_bytes() for n in ("out", "again"))
    assert first == again


def test_cells_are_on_the_way_too() -> None:
    start, end = bulk(4)
    relaxed, strain_of_all = relaxed_in_the_cell(start, end, "order")
    free = np.ones((len(start), 3), dtype=bool)
    for one in further_starts(start, relaxed, strain_of_all, free, 10, 0.0, "x"):
        assert one is not None
        assert one.strain is not None
        left = np.linalg.norm(one.strain) / np.linalg.norm(strain_of_all)
        assert left < 1.0
        far = [np.linalg.norm(end_of - a.positions) for end_of, a in ((relaxed, start), (one.relaxed, one.atoms))]
        assert far[1] / far[0] == pytest.approx(left, rel=0.2)


def test_held_atoms_stay_and_noise_is_as_wide_as_it_says() -> None:
    start = ase.build.fcc110("Cu", (3, 3, 4), vacuum=6.0)
    start.set_constraint(FixAtoms(indices=range(18)))
    may_move = np.arange(36)[:, None] >= np.array([18, 18, 18])
    relaxed = start.positions + np.where(may_move, [0.3, -0.2, 0.1], 0.0)
    bare = start.copy()
    bare.set_constraint()
    found = list(further_starts(bare, relaxed, None, may_move, 200, 0.1, "x"))
    for one in found:
        np.testing.assert_array_equal(one.atoms.positions[:18], start.positions[:18])
        np.testing.assert_allclose(one.relaxed, relaxed, atol=1e-12)
    places = np.array([one.atoms.positions[18:] - start.positions[18:] for one in found])
    share = places.mean(1) / np.array([0.3, -0.2, 0.1])
    assert 0.4 < share.mean() < 0.6
    assert share.min() > -0.5
    assert share.max() < 1.5
    noise = (places - places.mean(1, keepdims=True)).std((1, 2))
    assert 0.04 < noise.mean() < 0.06
    assert noise.max() < 0.13
    assert noise.min() < 0.02


def test_what_would_have_atoms_on_top_of_each_other_is_not_made() -> None:
    start = ase.Atoms("Cu2", [(0, 0, 0), (0, 0, 0.3)], cell=np.eye(3) * 5, pbc=True)
    relaxed = np.array([(0, 0, 0), (0, 0, 0.35)])
    assert list(further_starts(start, relaxed, None, np.ones((2, 3), dtype=bool), 2, 0.0, "x")) == [None, None]


@pytest.mark.parametrize("words", [[], ["--split", "random", "--folds", "3"], ["--leave-out", "Al"]])
def test_further_starts_teach_where_their_pair_does_and_are_in_no_other_part(tmp_path: Path, words: list[str]) -> None:
    starts, ends = [], []
    for k in range(12):
        start = ase.build.fcc111("Cu" if k % 3 else "Al", (2, 2, 2), vacuum=5.0)
        start.rattle(0.1, seed=k)
        end = start.copy()
        end.rattle(0.05, seed=50 + k)
        start.info = {"id": f"{k:02}"}
        end.info = {"id": f"{k:02}"}
        starts.append(start)
        ends.append(end)
    ase.io.write(tmp_path / "start.extxyz", starts)
    ase.io.write(tmp_path / "end.extxyz", ends)
    files = [str(tmp_path / "start.extxyz"), "--relaxed", str(tmp_path / "end.extxyz")]
    assert run(["pairs", *files, "--further-starts", "2", "-o", str(tmp_path / "out"), "--quiet"]) == 0
    cache = str(tmp_path / "c.h5")
    pairs = str(tmp_path / "out" / "pairs.extxyz")
    fields = ["--targets", "relaxed_positions", "--fields", "fixed,tags"]
    assert run(["build-graphs", pairs, *fields, "-o", cache, "--quiet"]) == 0
    small = ["--width", "8", "--n-conv", "1", "--epochs", "1", "--no-compare", "--quiet"]
    assert run(["train", cache, "--arch", "dogss", *small, *words, "-o", str(tmp_path / "run")]) == 0
    parts = json.loads((tmp_path / "run" / "splits.json").read_text())
    own = {name: {i for i in parts[name] if "+" not in i} for name in ("train", "val", "test")}
    assert sum(map(len, own.values())) == 12
    assert set(parts["train"]) == own["train"] | {f"{i}+{k}" for i in own["train"] for k in (1, 2)}
    assert all(set(parts[name]) == own[name] for name in ("val", "test"))
    assert "further starts of training structures" in parts["how"]
    again = ["train", cache, "--arch", "dogss", *small, "--split-file", str(tmp_path / "run" / "splits.json")]
    assert run([*again, "-o", str(tmp_path / "again")]) == 0
    second = json.loads((tmp_path / "again" / "splits.json").read_text())
    assert second["sha256"] == parts["sha256"]
