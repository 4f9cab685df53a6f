"""``crystal slabs``: the pairs are right, what is left out is said, and nothing depends on interruptions or workers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from crystal_slabs import SLABS
from crystal_slabs.making import Made, Maker
from crystal_slabs.options import SlabsOptions
from crystal_slabs.pairing import Pair, beside, paired
from crystal_slabs.work import Slabs

from crystalcli.cli.main import run
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.host.live_run import LiveRun
from crystalcli.engine.potential.potentials import PairedPotential
from crystalcli.nouns.systems import Systems
from crystalcli.relax.shards import Worker
from crystalcli.testing import WorkflowContract
from crystalcli.vocabulary.errors import Stopped

WORDS = ["slabs", "--elements", "Cu,Al", "--potential", "emt", "--layers", "2", "--repeat", "2", "--fmax", "0.03"]


class TestSlabs(WorkflowContract):
    """Workflow ``slabs``."""

    part = SLABS
    kills = 1


def made(folder: Path, *more: str, code: int = 0) -> tuple[list[ase.Atoms], list[dict[str, str]], dict]:
    assert run([*WORDS, *more, "-o", str(folder), "--quiet"]) == code
    with (folder / "slabs.csv").open() as file:
        rows = list(csv.DictReader(file))
    frames = ase.io.read(folder / "pairs.extxyz", ":")
    return frames, rows, json.loads((folder / "report.json").read_text())


def test_pairs_are_minima_of_the_potential(tmp_path: Path) -> None:
    frames, rows, report = made(tmp_path / "run", "--adsorbates", "O,none", "--count", "5")
    assert report["pairs"] == len(frames) == 5 - sum(report["left_out"].values())
    maker = Maker(SlabsOptions(elements="Cu,Al", layers="2", repeat="2", adsorbates="O,none"))
    starts = {(m := maker.make(k)).facts["id"]: m.atoms for k in range(5)}
    for atoms in frames:
        info, tags, mask = atoms.info, atoms.get_tags(), atoms.arrays.get("move_mask")
        row = next(r for r in rows if r["id"] == info["id"])
        assert (atoms.positions == starts[info["id"]].positions).all()
        free = tags > 0
        assert mask is None or (mask == free).all()
        assert atoms.constraints[0].index.tolist() == np.flatnonzero(~free).tolist()
        end = ase.Atoms(atoms.numbers, atoms.arrays["relaxed_positions"], cell=atoms.cell, pbc=atoms.pbc)
        assert (end.positions[~free] == atoms.positions[~free]).all()
        atoms.set_constraint()
        for one, which in ((atoms, "start"), (end, "relaxed")):
            one.calc = EMT()
            fmax = np.linalg.norm(one.get_forces()[free], axis=1).max()
            assert one.get_potential_energy() == pytest.approx(info[f"energy_{which}"], abs=1e-8)
            assert fmax == pytest.approx(info[f"fmax_{which}"], abs=1e-6)
            assert float(row[f"fmax_{which} [eV/Å]"]) == info[f"fmax_{which}"]
        assert info["fmax_relaxed"] < 0.03 < info["fmax_start"]
        moved = np.linalg.norm(end.positions - atoms.positions, axis=1)
        assert info["moved_slab"] == pytest.approx(moved[tags == 1].mean())
        assert info["potential"] == "emt"
        assert row["left_out"] == ""


def test_a_potential_that_reads_tags_is_given_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While structures relax, and again where the forces at their start are asked for."""
    evaluate = PairedPotential.evaluate
    seen = []

    def reading(self: PairedPotential, systems: Systems, *, stress: bool = False) -> Evaluated:
        assert ((systems.fields["tags"] == 0) == (systems.fields["fixed"] == 1)).all()
        seen.append(len(systems.fields["tags"]))
        return evaluate(self, systems, stress=stress)

    monkeypatch.setattr(PairedPotential, "evaluate", reading)
    monkeypatch.setattr(PairedPotential, "fields", ("fixed", "tags"), raising=False)
    frames, _, _ = made(tmp_path / "run", "--count", "2")
    assert seen[-1] == sum(map(len, frames))


def test_more_of_them_or_more_workers_change_no_bit(tmp_path: Path) -> None:
    few, _, _ = made(tmp_path / "few", "--count", "3")
    made(tmp_path / "many", "--count", "20", "--jobs", "2")
    text = (tmp_path / "few" / "pairs.extxyz").read_bytes()
    assert len(few) == 3
    assert (tmp_path / "many" / "pairs.extxyz").read_bytes().startswith(text)


@pytest.mark.parametrize("relaxing", [True, False])
def test_damaged_starts_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relaxing: bool) -> None:
    made(tmp_path / "whole", "--count", "3")

    def stops(*_: object, **_more: object) -> None:
        raise Stopped("enough")

    with monkeypatch.context() as patch:
        patch.setattr(*((Worker, "relax", stops) if relaxing else (LiveRun, "child", stops)))
        assert run([*WORDS, "--count", "3", "-o", str(tmp_path / "r")]) == 75
    starts = tmp_path / "r" / "starts.extxyz"
    text = starts.read_text()
    starts.write_text(text.replace("0", "1", 20) if relaxing else text[: len(text) // 2])
    made(tmp_path / "r", "--count", "3")
    for name in ("pairs.extxyz", "slabs.csv"):
        assert (tmp_path / "r" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_damaged_relaxed_structures_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stops(*_: object, **_more: object) -> None:
        raise Stopped("enough")

    with monkeypatch.context() as patch:
        patch.setattr(Slabs, "_together", stops)
        assert run([*WORDS, "--count", "3", "-o", str(tmp_path / "r")]) == 75
    relaxed = tmp_path / "r" / "relaxed" / "relaxed.extxyz"
    text = relaxed.read_text()
    for spoilt in (text[: len(text) // 2], "", text.replace("id=", "ix="), text + text):
        relaxed.write_text(spoilt)
        code = run([*WORDS, "--count", "3", "-o", str(tmp_path / "r")])
        assert code == (0 if spoilt == text + text else 5), spoilt[:300]
        if code:
            assert f"{relaxed}: is damaged; remove the folder" in capsys.readouterr().err


def test_what_does_not_converge_is_listed_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*WORDS, "--count", "4", "--steps", "17", "-o", str(tmp_path / "r")]) == 3
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    n = report["left_out"]["not converged"]
    assert 0 < n == report["failed"] == 4 - report["pairs"]
    assert f"left out, not converged: {n}" in capsys.readouterr().out
    with (tmp_path / "r" / "slabs.csv").open() as file:
        reasons = [r["left_out"] for r in csv.DictReader(file)]
    assert reasons.count("not converged") == n
    assert len(reasons) == 4


def test_limits_leave_out_without_failing(tmp_path: Path) -> None:
    frames, rows, report = made(tmp_path / "all", "--count", "4")
    moved = sorted(f.info["moved_slab"] for f in frames)
    low, high = (moved[0] + moved[1]) / 2, (moved[2] + moved[3]) / 2
    kept, rows, report = made(tmp_path / "some", "--count", "4", "--min-moved", f"{low}", "--max-moved", f"{high}")
    assert [f.info["moved_slab"] for f in kept] == [
        f.info["moved_slab"] for f in frames if low < f.info["moved_slab"] < high
    ]
    assert report["left_out"] == {"moved too little": 1, "reconstructed": 1}
    assert sorted(r["left_out"] for r in rows) == ["", "", "moved too little", "reconstructed"]


def test_no_pair_at_all_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*WORDS, "--count", "2", "--steps", "1", "-o", str(tmp_path / "r")]) == 4
    assert "no pair of 2 structures: 2 not converged" in capsys.readouterr().err
    assert (tmp_path / "r" / "slabs.csv").read_text().count("not converged") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--elements", "Cu,W"], "potential emt does not know W"),
        (["--max-moved", "0.1", "--min-moved", "0.2"], "is not above"),
        (["--potential", ""], "--potential NAME"),
    ],
)
def test_refused_before_anything_is_written(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*WORDS, *words, "-o", str(tmp_path / "r")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def pair(moves: dict[int, tuple[float, float, float]], adsorbates: str = "CO") -> Pair:
    """A pair whose atoms, counted from the end, have moved so."""
    options = SlabsOptions(elements="Pt", kinds="pure", facets="fcc111", sites="top", adsorbates=adsorbates, tilt=0.0)
    start: Made = Maker(options).make(4)
    end = start.atoms.copy()
    for k, d in moves.items():
        end.positions[-k] += d
    end.info["id"] = start.facts["id"]
    row = {"id": start.facts["id"], "converged": True, "reason": "converged", "message": "", "steps": 9, "fmax": 0.005}
    found = paired(start, {**row, "energy_start": 2.0, "energy": 1.0}, end)
    found.settle(np.full((len(end), 3), 0.5), options)
    return found


@pytest.mark.parametrize(
    ("moves", "reason"),
    [
        ({}, ""),
        ({1: (0.3, 0.1, 0.1), 2: (0.2, 0, 0.1)}, ""),
        ({1: (0, 0, 4.0), 2: (0, 0, 4.0)}, "adsorbate off the slab"),
        ({1: (0, 0, 1.2)}, "adsorbate broken"),
        ({1: (0, 2.6, -0.6), 2: (0, 2.6, -0.6)}, "adsorbate lost"),
    ],
)
def test_what_becomes_of_an_adsorbate(moves: dict[int, tuple[float, float, float]], reason: str) -> None:
    found = pair(moves)
    assert found.left_out == reason
    assert not found.failed
    assert found.said["fmax_start"] == pytest.approx(0.5 * np.sqrt(3))


def test_every_atom_is_next_to_where_it_started() -> None:
    start = ase.Atoms("CuCuH", [[0.1, 0.2, 1], [4.8, 3.9, 2], [2, 2, 30]], cell=[[5, 0, 0], [1.5, 4, 0], [0, 0, 9]])
    start.pbc = (True, True, False)
    moves = np.array([[-0.3, 0.2, 0.1], [0.4, 0.3, -0.2], [0, 0, 8.7]])
    wrapped = start.positions + moves + np.array([[1, 0, 0], [-2, 1, 0], [0, -1, 0]]) @ start.cell.array
    np.testing.assert_allclose(beside(start, wrapped), start.positions + moves, atol=1e-12)
