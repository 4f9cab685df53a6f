"""``crystal pairs``: files, folders, trajectories and runs give the same pairs; what does not fit is named."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from crystal_slabs import PAIRS_FROM
from crystal_slabs.pairing import relaxed_positions

from crystalcli.cli.main import run
from crystalcli.testing import WorkflowContract
from crystalcli.vocabulary.errors import InputError

METALS = ("Cu", "Al", "Pd")


class TestPairs(WorkflowContract):
    """Workflow ``pairs``; it does all in a moment, and has no state to lose."""

    part = PAIRS_FROM
    test_killed = None  # type: ignore[assignment]


def start(metal: str) -> ase.Atoms:
    atoms = ase.build.fcc110(metal, (2, 3, 2), vacuum=6.0)
    ase.build.add_adsorbate(atoms, "O", 1.3, offset=(0.3, 0.6))
    atoms.set_tags(0)
    atoms.set_constraint(FixAtoms(indices=[0, 1, 2, 3, 4, 5]))
    atoms.info = {"id": metal}
    return atoms


def end(metal: str) -> ase.Atoms:
    """Each free atom moved otherwise, some into another image."""
    atoms, rng = start(metal), np.random.default_rng(ord(metal[0]))
    atoms.positions[6:] += rng.normal(0, 0.15, (len(atoms) - 6, 3))
    atoms.positions[7] += atoms.cell[0]
    atoms.positions[-1] -= 2 * atoms.cell[1]
    return atoms


def moved(metal: str) -> np.ndarray:
    atoms = end(metal)
    atoms.positions[7] -= atoms.cell[0]
    atoms.positions[-1] += 2 * atoms.cell[1]
    return atoms.positions


def pairs(folder: Path, words: list[str], code: int = 0) -> tuple[dict[str, ase.Atoms], dict]:
    assert run(["pairs", *words, "-o", str(folder / "out"), "--quiet"]) == code
    report = json.loads((folder / "out" / "report.json").read_text())
    return {a.info["id"]: a for a in ase.io.read(folder / "out" / "pairs.extxyz", ":")}, report


def written(folder: Path, how: str) -> list[str]:
    if how == "files":
        ase.io.write(folder / "a.extxyz", [start(m) for m in METALS])
        ase.io.write(folder / "b.extxyz", [end(m) for m in reversed(METALS)])
        return [str(folder / "a.extxyz"), "--relaxed", str(folder / "b.extxyz")]
    if how == "folders":
        for m in METALS:
            for side, atoms in (("a", start(m)), ("b", end(m))):
                (folder / side).mkdir(exist_ok=True)
                ase.io.write(folder / side / f"{m}.traj", atoms)
        return [str(folder / "a"), "--relaxed", str(folder / "b")]
    for m in METALS:
        middle = start(m)
        middle.positions += 0.4
        ase.io.write(folder / f"{m}.{how}", [start(m), middle, end(m)])
    return [str(folder / f"{m}.{how}") for m in METALS]


@pytest.mark.parametrize("how", ["files", "folders", "traj", "extxyz"])
def test_pairs_from_anywhere(how: str, tmp_path: Path) -> None:
    found, report = pairs(tmp_path, [*written(tmp_path, how), "--adsorbate", "O"])
    assert report["pairs"] == 3
    for m in METALS:
        atoms = found[m if how in ("files", "folders") else f"{m}.{how}"]
        np.testing.assert_allclose(atoms.positions, start(m).positions, atol=1e-7)
        np.testing.assert_allclose(atoms.arrays["relaxed_positions"], moved(m), atol=1e-7)
        assert atoms.get_tags().tolist() == [0] * 6 + [1] * 6 + [2]
        assert atoms.constraints[0].index.tolist() == [0, 1, 2, 3, 4, 5]
        assert atoms.info["group"] == m


def test_pairs_of_a_run_of_relax(tmp_path: Path) -> None:
    frames = [start(m) for m in ("Cu", "Al")]
    ase.io.write(tmp_path / "a.extxyz", frames)
    words = ["relax", str(tmp_path / "a.extxyz"), "--potential", "emt", "--fmax", "0.2", "-o", str(tmp_path / "r")]
    assert run([*words, "--quiet"]) == 0
    found, _ = pairs(tmp_path, ["--relax-run", str(tmp_path / "r")])
    ends = {a.info["id"]: a for a in ase.io.read(tmp_path / "r" / "relaxed.extxyz", ":")}
    assert found.keys() == ends.keys() == {"Cu", "Al"}
    for name, atoms in found.items():
        np.testing.assert_allclose(atoms.arrays["relaxed_positions"], ends[name].positions, atol=1e-12)
        assert atoms.info["energy_relaxed"] == ends[name].get_potential_energy()


def test_relaxations_that_did_not_converge_are_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write(tmp_path / "a.extxyz", [start("Cu")])
    words = ["relax", str(tmp_path / "a.extxyz"), "--potential", "emt", "--steps", "1", "-o", str(tmp_path / "r"), "-q"]
    assert run(words) == 3
    assert run(["pairs", "--relax-run", str(tmp_path / "r"), "-o", str(tmp_path / "p"), "-q"]) == 4
    assert "Cu: did not converge" in capsys.readouterr().err


def test_the_file_that_a_run_began_with_is_meant_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub").mkdir()
    ase.io.write(tmp_path / "sub" / "a.extxyz", [start("Cu")])
    ase.io.write(tmp_path / "a.extxyz", [start("Al")])
    monkeypatch.chdir(tmp_path / "sub")
    assert run(["relax", "a.extxyz", "--potential", "emt", "--fmax", "0.2", "-o", "r", "-q"]) == 0
    monkeypatch.chdir(tmp_path)
    assert run(["pairs", "--relax-run", "sub/r", "-o", "p"]) == 2
    assert "began with another a.extxyz than is here" in capsys.readouterr().err


def broken(how: str) -> tuple[list[ase.Atoms], list[ase.Atoms]]:
    starts, ends = [start(m) for m in METALS], [end(m) for m in METALS]
    if how == "fewer atoms":
        del ends[1][3]
    elif how == "other atoms":
        ends[1].symbols[2] = "Ag"
    elif how == "other order":
        ends[1] = ends[1][[12, *range(12)]]
    elif how == "other cell":
        ends[1].cell[0] *= 1.01
    elif how == "no end":
        ends[1].info["id"] = "Zz"
    return starts, ends


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("fewer atoms", "Al: has 13 atoms at its start and 12 relaxed"),
        ("other atoms", "relaxed"),
        ("other order", "Al: has its atoms in another order when relaxed (atom 0: Al, O); --match nearest finds them"),
        ("other cell", "Al: has another cell when relaxed, by 0.08"),
        ("no end", "Al: no relaxed structure has this id"),
    ],
)
def test_what_does_not_fit_is_named_and_the_others_go_on(
    how: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, frames in zip("ab", broken(how), strict=True):
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    words = [str(tmp_path / "a.extxyz"), "--relaxed", str(tmp_path / "b.extxyz")]
    found, report = pairs(tmp_path, words, code=3)
    assert found.keys() == {"Cu", "Pd"}
    assert len(report["failed"]) == (2 if how == "no end" else 1)
    assert said in capsys.readouterr().err
    assert f"{report['failed'][0]['reason'][:20]}" in (tmp_path / "out" / "pairs.csv").read_text()


@pytest.mark.parametrize("starts", [["Cu"], ["Cu", "Al"]])
def test_a_relaxed_file_that_is_missing_is_named(
    starts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for metal in starts:
        ase.io.write(tmp_path / f"{metal}.extxyz", start(metal))
    words = [*(str(tmp_path / f"{metal}.extxyz") for metal in starts), "--relaxed", str(tmp_path / "gone.extxyz")]
    assert run(["pairs", *words, "-o", str(tmp_path / "out")]) == 4
    assert f"error: {tmp_path}/gone.extxyz: no such file; --relaxed names" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_relaxed_files_that_cannot_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of several is missing; one that is alone is broken."""
    for metal in ("Cu", "Al"):
        ase.io.write(tmp_path / f"{metal}.extxyz", start(metal))
    ase.io.write(tmp_path / "end.extxyz", end("Cu"))
    ends = [str(tmp_path / "end.extxyz"), str(tmp_path / "gone.extxyz")]
    words = [str(tmp_path / "Cu.extxyz"), str(tmp_path / "Al.extxyz"), "--relaxed", ends[0], "--relaxed", ends[1]]
    found, report = pairs(tmp_path, words, code=3)
    assert list(found) == ["Cu"]
    said = {one["id"]: one["reason"] for one in report["failed"]}
    assert said["Al"] == f"no relaxed structure has this id; not read: {ends[1]}: no such file"
    (tmp_path / "end.extxyz").write_text("two\n")
    assert run(["pairs", words[0], "--relaxed", ends[0], "-o", str(tmp_path / "more")]) == 4
    assert f"no pair: Cu: {ends[0]}" in capsys.readouterr().err


def test_atoms_in_another_order_are_found(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(13)
    ase.io.write(tmp_path / "a.extxyz", start("Al"))
    ase.io.write(tmp_path / "b.extxyz", end("Al")[order])
    words = [str(tmp_path / "a.extxyz"), "--relaxed", str(tmp_path / "b.extxyz"), "--match", "nearest"]
    found, _ = pairs(tmp_path, words)
    np.testing.assert_allclose(found["Al"].arrays["relaxed_positions"], moved("Al"), atol=1e-7)


def test_nearest_is_the_best_for_all_not_for_each() -> None:
    one = ase.Atoms("Cu2", [[0, 0, 0], [1.0, 0, 0]])
    two = ase.Atoms("Cu2", [[1.0, 0, 0], [1.6, 0.9, 0]])  # the sum of lengths is least the other way round
    np.testing.assert_allclose(relaxed_positions(one, two, "nearest"), two.positions)
    with pytest.raises(InputError, match="periodic along other"):
        relaxed_positions(one, ase.Atoms("Cu2", two.positions, cell=[9, 9, 9], pbc=True), "order")


def test_atoms_held_along_an_axis_stay_so(tmp_path: Path) -> None:
    atoms = start("Cu")
    atoms.set_constraint(FixCartesian([1, 4], (True, False, True)))
    ase.io.write(tmp_path / "a.traj", [atoms, end("Cu")])
    found, _ = pairs(tmp_path, [str(tmp_path / "a.traj")])
    text = (tmp_path / "out" / "pairs.extxyz").read_text()
    assert "move_mask:L:3" in text
    assert text.splitlines()[3].split()[5:8] == ["F", "T", "F"]
    assert found["a.traj"].get_tags().tolist() == [1] * 13


def test_an_axis_of_a_hexagonal_cell_is_an_axis_beside_rounding(tmp_path: Path) -> None:
    atoms = ase.build.hcp0001("Mg", (2, 2, 2), vacuum=6.0)
    atoms.set_constraint([FixScaled(k, (False, False, True)) for k in range(4)])
    relaxed = atoms.copy()
    relaxed.positions[:, 0] += 0.1
    ase.io.write(tmp_path / "a.vasp", atoms, direct=True)
    ase.io.write(tmp_path / "b.vasp", relaxed, direct=True)
    pairs(tmp_path, [str(tmp_path / "a.vasp"), "--relaxed", str(tmp_path / "b.vasp")])
    assert (tmp_path / "out" / "pairs.extxyz").read_text().splitlines()[2].split()[5:8] == ["T", "T", "F"]


@pytest.mark.parametrize("words", [[], ["--relaxed", "x"], ["x", "--relax-run", "y"], ["--relax-run", "."]])
def test_what_cannot_be_paired_is_refused(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").write_text("")
    assert run(["pairs", *words, "-o", "out"]) == 2
    assert not Path("out").exists()


def test_one_of_each_is_a_pair_and_files_of_one_name_stay_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for m in METALS:
        Path(m).mkdir()
        ase.io.write(f"{m}/POSCAR", start(m), format="vasp")
        ase.io.write(f"{m}/CONTCAR", end(m), format="vasp")
        ase.io.write(f"{m}/way.traj", [start(m), end(m)])
    found, _ = pairs(tmp_path, ["Cu/POSCAR", "--relaxed", "Cu/CONTCAR"])
    (one,) = found.values()
    np.testing.assert_allclose(one.arrays["relaxed_positions"], moved("Cu"), atol=1e-6)
    (tmp_path / "all").mkdir()
    found, _ = pairs(tmp_path / "all", [f"{m}/way.traj" for m in METALS])
    assert found.keys() == {f"{m}/way.traj" for m in METALS}


def test_one_frame_is_no_trajectory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ase.io.write(tmp_path / "a.traj", start("Cu"))
    assert run(["pairs", str(tmp_path / "a.traj"), "-o", str(tmp_path / "out")]) == 4
    assert "a.traj: has one frame only" in capsys.readouterr().err


def test_structures_that_say_where_they_began(tmp_path: Path) -> None:
    ends = [end(m) for m in METALS]
    for k, (atoms, metal) in enumerate(zip(ends, METALS, strict=True)):
        atoms.info |= {"parent": f"mp-{k}", "energy_initial": -1.5}
        if metal != "Al":
            atoms.set_array("began", start(metal).positions)
    ase.io.write(tmp_path / "a.extxyz", ends)
    found, report = pairs(tmp_path, [str(tmp_path / "a.extxyz"), "--initial", "began"], 3)
    assert report["failed"] == [{"id": "Al", "reason": "has no array 'began' of three finite numbers per atom"}]
    assert sorted(found) == ["Cu", "Pd"]
    for metal, atoms in found.items():
        np.testing.assert_allclose(atoms.positions, start(metal).positions, atol=1e-7)
        np.testing.assert_allclose(atoms.arrays["relaxed_positions"], moved(metal), atol=1e-7)
        assert atoms.info["parent"] == f"mp-{METALS.index(metal)}"
        assert atoms.info["energy_start"] == -1.5
    assert run(["pairs", "a.extxyz", "--initial", "began", "--relaxed", "b.extxyz"]) == 2


def test_what_the_relaxed_file_holds_is_held_where_the_start_says_nothing(tmp_path: Path) -> None:
    bare = start("Cu")
    bare.set_constraint()
    ase.io.write(tmp_path / "a.extxyz", bare)
    ase.io.write(tmp_path / "b.extxyz", end("Cu"))
    found, _ = pairs(tmp_path, [str(tmp_path / "a.extxyz"), "--relaxed", str(tmp_path / "b.extxyz")])
    assert found["Cu"].constraints[0].index.tolist() == [0, 1, 2, 3, 4, 5]
    assert found["Cu"].get_tags().tolist() == [0] * 6 + [1] * 7


def test_what_a_file_in_another_order_holds_is_not_taken_for_the_start(tmp_path: Path) -> None:
    bare, other = start("Cu"), end("Cu")[[*range(12, -1, -1)]]
    bare.set_constraint()
    ase.io.write(tmp_path / "a.extxyz", bare)
    ase.io.write(tmp_path / "b.extxyz", other)
    words = [str(tmp_path / "a.extxyz"), "--relaxed", str(tmp_path / "b.extxyz"), "--match", "nearest"]
    found, _ = pairs(tmp_path, words)
    assert found["Cu"].get_tags().tolist() == [1] * 13
    np.testing.assert_allclose(found["Cu"].arrays["relaxed_positions"], moved("Cu"), atol=1e-7)


def test_held_atoms_that_moved_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = end("Cu")
    other.positions[:, 2] += 1.5
    ase.io.write(tmp_path / "a.extxyz", [start("Cu"), start("Al")])
    ase.io.write(tmp_path / "b.extxyz", [other, end("Al")])
    found, _ = pairs(tmp_path, [str(tmp_path / "a.extxyz"), "--relaxed", str(tmp_path / "b.extxyz")], 3)
    assert found.keys() == {"Al"}
    assert "Cu: atom 0 is held and moved by 1.5 Å: another origin" in capsys.readouterr().err


def test_ids_that_occur_twice_are_paired_only_where_all_are_there(tmp_path: Path) -> None:
    starts, ends = [start(m) for m in METALS], [end(m) for m in METALS]
    for atoms in (*starts, *ends):
        atoms.info["id"] = "X"
    ase.io.write(tmp_path / "a.extxyz", starts)
    words = [str(tmp_path / "a.extxyz"), "--relaxed", str(tmp_path / "b.extxyz")]
    ase.io.write(tmp_path / "b.extxyz", ends)
    assert pairs(tmp_path, words)[1]["pairs"] == 3
    ase.io.write(tmp_path / "b.extxyz", ends[1:])
    assert run(["pairs", *words, "-o", str(tmp_path / "few"), "-q"]) == 4


def test_initial_positions_are_numbers_in_one_cell(tmp_path: Path) -> None:
    frames = [end(m) for m in METALS]
    for atoms, first in zip(frames, (0.1, np.nan, np.inf), strict=True):
        atoms.set_array("began", start(atoms.info["id"]).positions)
        atoms.arrays["began"][6, 0] = first
    ase.io.write(tmp_path / "a.extxyz", frames)
    found, report = pairs(tmp_path, [str(tmp_path / "a.extxyz"), "--initial", "began"], 3)
    assert found.keys() == {"Cu"}
    assert len(report["failed"]) == 2
    assert run(["pairs", str(tmp_path / "a.extxyz"), "--initial", "began", "--cells", "-o", str(tmp_path / "c")]) == 2


def test_folders_of_vasp_are_matched_by_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for m in METALS:
        Path(f"runs/{m}").mkdir(parents=True)
        ase.io.write(f"runs/{m}/POSCAR", start(m), format="vasp")
        ase.io.write(f"runs/{m}/CONTCAR", end(m), format="vasp")
    found, _ = pairs(tmp_path, ["runs/*/POSCAR", "--relaxed", "runs/*/CONTCAR"])
    assert sorted(found) == sorted(METALS)
    for m in METALS:
        np.testing.assert_allclose(found[m].arrays["relaxed_positions"], moved(m), atol=1e-6)
    shutil.copytree("runs/Cu", "runs/more/Cu")
    found, _ = pairs(tmp_path / "more", ["runs/**/POSCAR", "--relaxed", "runs/**/CONTCAR"])
    assert sorted(found) == sorted([*METALS, "more/Cu"])


@pytest.mark.parametrize("ending", ["vasp", "traj"])
def test_an_open_glob_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    """``a/*.vasp --relaxed b/*.vasp`` as a shell hands it over."""
    monkeypatch.chdir(tmp_path)
    for side, make in (("a", start), ("b", end)):
        Path(side).mkdir()
        for m in METALS:
            ase.io.write(f"{side}/{m}.{ending}", make(m))
    files = {side: sorted(map(str, Path(side).iterdir())) for side in "ab"}
    assert run(["pairs", *files["a"], "--relaxed", files["b"][0], *files["b"][1:], "-o", "out"]) == 2
    assert "quote what follows --relaxed, such as 'b/*'" in capsys.readouterr().err
    assert run(["pairs", *files["a"], "--relaxed", "b/*", "-o", "out", "-q"]) == 0


def test_structures_of_a_data_set_are_no_trajectory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [start("Cu"), end("Cu")]
    frames[1].info["id"] = "other"
    ase.io.write(tmp_path / "a.extxyz", frames)
    assert run(["pairs", str(tmp_path / "a.extxyz"), "-o", str(tmp_path / "out")]) == 4
    assert "ids of their own, from Cu to other, and is no trajectory" in capsys.readouterr().err


def test_what_the_poscar_holds_is_held_in_the_xdatcar_beside_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    first, last = start("Cu"), end("Cu")
    ase.io.write(tmp_path / "run" / "POSCAR", first, format="vasp")
    ase.io.write(tmp_path / "run" / "XDATCAR", [first, last], format="vasp-xdatcar")
    found, _ = pairs(tmp_path, [str(tmp_path / "run" / "XDATCAR")])
    assert found["XDATCAR"].constraints[0].index.tolist() == [0, 1, 2, 3, 4, 5]
    assert found["XDATCAR"].get_tags().tolist() == [0] * 6 + [1] * 7


def test_held_atoms_are_no_adsorbate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [start("Cu"), end("Cu")]
    for atoms in both:
        atoms.symbols[2] = "O"  # of an oxide, held
    ase.io.write(tmp_path / "a.traj", both)
    assert run(["pairs", str(tmp_path / "a.traj"), "--adsorbate", "O,N", "-o", str(tmp_path / "out"), "-q"]) == 0
    assert "--adsorbate N: no structure has any" in capsys.readouterr().err
    (found,) = ase.io.read(tmp_path / "out" / "pairs.extxyz", ":")
    assert found.get_tags().tolist() == [0] * 6 + [1] * 6 + [2]


@pytest.mark.parametrize(
    ("tags", "words", "said"),
    [
        (
            [[0] * 13, [0] * 12 + [1]],
            [],
            "tags of 1 structures are their files', those of 1 are made here",
        ),
        (
            [[0] * 12 + [1]] * 2,
            [],
            "in 2 structures atoms that may move have tag 0, which is not 0 held, 1 free",
        ),
        ([[0] * 12 + [1]] * 2, ["--adsorbate", "O"], ""),
        ([[0] * 6 + [1] * 7] * 2, [], ""),
        ([[1] * 13, [2] * 13], [], ""),  # layers, or whatever a file means
    ],
)
def test_tags_of_two_meanings_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tags: list[list[int]], words: list[str], said: str
) -> None:
    for metal, own in zip(("Cu", "Al"), tags, strict=True):
        both = [start(metal), end(metal)]
        for atoms in both:
            atoms.set_tags(own)
        ase.io.write(tmp_path / f"{metal}.traj", both)
    files = [str(tmp_path / f"{metal}.traj") for metal in ("Cu", "Al")]
    assert run(["pairs", *files, *words, "-o", str(tmp_path / "out"), "-q"]) == 0
    err = capsys.readouterr().err
    assert said in err
    assert ("--adsorbate SYMBOLS" in err) == bool(said)


def test_groups_are_those_of_the_start(tmp_path: Path) -> None:
    both = [start("Cu"), start("Al")], [end("Cu"), end("Al")]
    both[0][0].info |= {"group": 7, "converged": "False", "parent": "mp-3"}
    both[0][1].info |= {"group": "b2"}
    for name, frames in zip("ab", both, strict=True):
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
    found, _ = pairs(tmp_path, [str(tmp_path / "a.extxyz"), "--relaxed", str(tmp_path / "b.extxyz")])
    assert [str(found[m].info["group"]) for m in ("Cu", "Al")] == ["7", "b2"]
    assert found["Cu"].info["parent"] == "mp-3"
    assert "converged" not in found["Cu"].info
    with (tmp_path / "out" / "pairs.csv").open() as file:
        assert [r["group"] for r in csv.DictReader(file)] == ["7", "b2"]


def test_a_run_of_what_is_generated_can_be_paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "relax source:bulk:formula=Cu,strain=0.02 --potential emt --fmax 0.2 --cell full -o r -q"
    assert run(words.split()) == 0
    assert run(["pairs", "--relax-run", "r", "--cells", "-o", "p", "-q"]) == 0
