"""``crystal glass``: it writes what the potential says, and nothing depends on interruptions, batches or company."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from crystal_glass import GLASS
from crystal_glass.glass_output import _blocks
from crystal_glass.stages import Stage, quench_rate, stages_of

from crystalcli.cli.main import run
from crystalcli.contracts.request import Request
from crystalcli.contracts.sections import Fold, Numbers
from crystalcli.contracts.workflow import Table
from crystalcli.engine.host.services import Services
from crystalcli.engine.model.model_head import MODEL
from crystalcli.engine.potential.potentials import named
from crystalcli.engine.report import page
from crystalcli.engine.report.run_files import RunFiles
from crystalcli.nouns.systems import Systems
from crystalcli.testing import WorkflowContract
from crystalcli.vocabulary.errors import EnvironmentProblem
from crystalcli.vocabulary.units import GPA

SHORT = [
    "--melt-steps",
    "60",
    "--quench-steps",
    "100",
    "--hold-steps",
    "60",
    "--frame-every",
    "10",
    "--last-steps",
    "40",
]


class TestGlass(WorkflowContract):
    """Workflow ``glass``."""

    part = GLASS
    kills = 1


def made(folder: Path, *words: str, code: int = 0) -> tuple[list[dict[str, str]], dict[str, Any]]:
    assert run(["glass", *words, "-o", str(folder), "--quiet"]) == code
    with (folder / "glasses.csv").open() as file:
        rows = list(csv.DictReader(file))
    report = folder / "report.json"
    return rows, json.loads(report.read_text()) if report.exists() else {}


def test_what_is_written_is_what_the_potential_says(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rows, report = made(folder, "Si", "--atoms", "16", "--potential", "sw", "--replicas", "2", *SHORT)
    assert [r["id"] for r in rows] == ["Si16-1", "Si16-2"]
    assert not (folder / "batches").exists()
    assert report["references"] == {"Si": pytest.approx(-2 * 2.1682, abs=1e-4)}
    potential = named("sw")
    for row in rows:
        box = folder / "glasses" / row["id"]
        glass = ase.io.read(box / "glass.extxyz")
        found = potential.evaluate(Systems.of([glass]), stress=True)
        energy = float(found.energy[0])
        assert float(row["energy_relaxed [eV/atom]"]) * 16 == pytest.approx(energy, abs=1e-9)
        assert float(row["formation_energy [eV/atom]"]) == pytest.approx(energy / 16 + 2 * 2.1682, abs=1e-4)
        assert float(found.forces.norm(dim=1).max()) < 0.05
        assert found.stress is not None
        assert float(found.stress.abs().max()) < 0.05 * GPA
        assert float(row["density [g/cm³]"]) == pytest.approx(16 * 28.085 * 1.66053907 / glass.get_volume(), rel=1e-6)
        start, quenched = (ase.io.read(box / f"{name}.extxyz") for name in ("start", "quenched"))
        assert start.get_volume() / 16 == pytest.approx(1.15 * 5.43**3 / 8)
        assert quenched.get_volume() == pytest.approx(start.get_volume())
        log = np.genfromtxt(box / "thermo.csv", delimiter=",", names=True)
        assert float(row["energy_md [eV/atom]"]) * 16 == pytest.approx(
            float(potential.evaluate(Systems.of([quenched])).energy[0]), abs=1e-7
        )
        assert log["potential_eV"][-1] == pytest.approx(float(row["energy_md [eV/atom]"]) * 16)
        assert len(log["time_ps"]) == 23
        assert log["time_ps"][-1] == pytest.approx(0.44)
        assert log["target_K"][[0, 6, 11, 16, 22]].tolist() == [3000.0, 3000.0, 1650.0, 300.0, 300.0]
        last = log["time_ps"] > 0.44 - 0.08 - 1e-9
        assert float(row["energy_mean [eV/atom]"]) == pytest.approx(log["potential_eV"][last].mean() / 16)
        frames = ase.io.read(box / "trajectory.extxyz", ":")
        assert len(frames) == 23
        moved = frames[6].positions - frames[3].positions  # from half of the melt to its end
        moved = float(np.sqrt(((moved - moved.mean(0)) ** 2).sum(1).mean()))
        assert float(row["melt_moved [Å]"]) == pytest.approx(moved)
        assert row["liquid"] == str(moved > 1.0)
        assert float(row["pressure_mean [GPa]"]) == pytest.approx(log["pressure_GPa"][last].mean())
        assert float(row["pressure_ions [GPa]"]) < -1.0  # the box is 15 % larger than a crystal: it is pulled
        assert {p.name for p in box.iterdir()} >= {"rdf.csv", "angles.csv", "sq.csv", "coordination.csv", "log.png"}
        assert float(row["rate [K/ps]"]) == pytest.approx(2700 / 0.2)


def test_batches_and_company_change_no_bit(tmp_path: Path) -> None:
    """A box is the same alone and beside others, in an order of its own, in a part of the run."""
    words = ["--atoms", "12", "--potential", "emt", "--melt", "1500", "--relax-steps", "60", *SHORT]
    made(tmp_path / "all", "--grid", "Al,Cu,Ni", "--step", "50", *words, "--batch-size", "3")
    made(tmp_path / "one", "--grid", "Al,Cu,Ni", "--step", "50", *words, "--batch-size", "1", "--no-draw-boxes")
    assert (tmp_path / "all" / "glasses" / "Al6Cu6" / "rdf.png").exists()
    assert not list((tmp_path / "one").rglob("*.png"))
    whole = (tmp_path / "all" / "glasses.csv").read_text().splitlines()
    assert (tmp_path / "one" / "glasses.csv").read_text().splitlines() == whole
    made(tmp_path / "part", "--grid", "Al,Cu,Ni", "--step", "50", *words, "--shard", "2/3")
    part = (tmp_path / "part" / "glasses.csv").read_text().splitlines()
    assert part == [whole[0], whole[2]]  # the same columns, though nothing in it holds copper
    name = whole[2].split(",")[0]
    for file in ("quenched.extxyz", "glass.extxyz", "rdf.csv"):
        one, other = (tmp_path / run / "glasses" / name / file for run in ("all", "part"))
        assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "all" / "energies-1.png").exists() is False  # a composition a system is no diagram


def test_what_a_broken_disk_left_of_a_result_is_made_again(tmp_path: Path) -> None:
    """Facts of a box and the energies of elements: half of the file, nothing, or something else."""
    words = "Cu --atoms 8 --potential emt --replicas 2 --batch-size 1 --relax none --no-draw-boxes"
    words += " --melt-steps 20 --quench-steps 20 --hold-steps 20 --frame-every 10 --last-steps 10"
    made(tmp_path / "run", *words.split())
    files = [tmp_path / "run" / name for name in ("references.json", "glasses/Cu8-1/glass.json", "glasses.csv")]
    other = tmp_path / "run" / "glasses" / "Cu8-2" / "glass.json"
    before, kept = [file.read_bytes() for file in files], other.stat().st_mtime_ns
    for left in (before[1][:-20], b"", b"[]", b"{}"):
        for file in files[:2]:
            file.write_bytes(left)
        (tmp_path / "run" / "report.json").unlink()
        made(tmp_path / "run", *words.split())
        assert [file.read_bytes() for file in files] == before, left
        assert other.stat().st_mtime_ns == kept


def test_what_a_guard_stops_begins_again_and_is_listed(tmp_path: Path) -> None:
    """0.92 of the covalent radii are 2.13 Å, near to which atoms of a melt come: some boxes never get through."""
    words = ["Si", "--atoms", "32", "--potential", "sw", "--replicas", "4", "--relax", "none", *SHORT]
    limits = ["--retries", "1", "--closest", "0.92", "--hotter", "10"]
    rows, report = made(tmp_path / "run", *words, *limits, code=3)
    assert len(rows) == 4
    failed = [r for r in rows if r["status"] == "failed"]
    assert 0 < len(failed) < 4
    assert {f["id"] for f in report["failed"]} == {r["id"] for r in failed}
    assert report["reasons"] == {"overlap": sum(int(r["begun_again"]) for r in rows)}
    for row in rows:
        facts = json.loads((tmp_path / "run" / "glasses" / row["id"] / "glass.json").read_text())
        assert [f["attempt"] for f in facts["failures"]] == list(range(int(row["begun_again"])))
        assert row["reason"] == (facts["failures"][-1]["reason"] if row["status"] == "failed" else "")
        if row["status"] == "failed":
            assert int(row["begun_again"]) == 2
            assert "less than 0.92 of their covalent radii together" in row["reason"]
            assert row["energy_md [eV/atom]"] == ""
    again = [r for r in rows if r["status"] == "ok" and r["begun_again"] == "1"]
    assert again
    for row in again:
        box = tmp_path / "run" / "glasses" / row["id"]
        log = np.genfromtxt(box / "thermo.csv", delimiter=",", names=True)
        assert log["time_ps"][-1] == pytest.approx(0.44)  # the melt has twice the steps, of half the length
        assert len(log["time_ps"]) == 29
        assert log["target_K"][12:15].tolist() == [3000.0, 2730.0, 2460.0]
        facts = json.loads((box / "glass.json").read_text())
        assert facts["failures"][0]["leg"] >= 0
        assert facts["melt_moved"] is not None


def test_refusals_cost_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def write(k: int, text: str) -> Path:
        (tmp_path / f"{k}.toml").write_text(text)
        return tmp_path / f"{k}.toml"

    for words, said in (
        (["Si"], "which potential"),
        (["--potential", "sw"], "which composition"),
        (["Cu", "--potential", "sw"], "sw does not know Cu"),
        (["Si", "--potential", "sw", "--cold", "4000"], "not below"),
        (["Si", "--potential", "sw", "--shard", "3/2"], "not like 1/4"),
        (["Si", "--potential", "sw", "--volume", "much"], "no volume per atom"),
        (["Si", "--potential", "sw", "--references", "none.csv"], "cannot read these references"),
        (["Si", "--potential", "sw", "--plan", "none.toml"], "cannot read this plan"),
        (["Si", "--potential", "sw", "--sampler", "nve"], "nve holds no temperature"),
        (["Si", "--potential", "sw", "--plan", "x.toml", "--melt", "2000"], "--plan says the stages; leave out --melt"),
        (["Si", "--potential", "sw", "--plan", "x.toml", "--rate", "9"], "--plan says the stages; leave out --rate"),
        (["Si", "--potential", "sw", "--rate", "9", "--quench-steps", "100"], "--rate and --quench-steps say the same"),
        (
            ["--grid", "Al,Cu", "--potential", "emt", "--shard", "1/2", "--voltage", "Al"],
            "--voltage is of all compositions of a binary, of which --shard 1/2 does a part",
        ),
        *(
            (["Si", "--potential", "sw", "--plan", str(write(k, text))], said)
            for k, (text, said) in enumerate(
                (
                    ("stage = []", "must hold stages"),
                    ("stage = [1]", "stage 1 is no table"),
                    ("[[stage]]\nfrom = 300\nsteps = 9\nrate = 2", "unknown key 'rate'"),
                    ("[[stage]]\nfrom = 300\nsteps = 9.5", "steps = 9.5 is not what it should be"),
                    ('[[stage]]\nfrom = 300\nsteps = 9\nsampler = "npt"\npressure = nan', "a pressure of nan GPa"),
                    ('[[stage]]\nfrom = 300\nsteps = 9\nsampler = "ntp"', "no sampler 'ntp'"),
                    ("[[stage]]\nfrom = 300\nsteps = 9\npressure = 1", "sampler nvt has no option 'pressure'"),
                )
            )
        ),
    ):
        assert run(["glass", *words, "-o", str(tmp_path / "run")]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Sj2", "'Sj2': no element is called Sj"),
        ("Si0.99Ge0.01", "Si0.99Ge0.01: no atom of Ge among 16; give more --atoms"),
        ("SiAt", "SiAt: no crystal of At is known; give --volume or --phases"),
        ("SiCu", "potential sw does not know Cu"),
    ],
)
def test_a_bad_line_of_a_list_is_named(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text(f"# glasses\nSi\n{line}\n")
    asked = ["--compositions", str(tmp_path / "list.txt"), "--atoms", "16"]
    assert run(["glass", *asked, "--potential", "sw", "-o", str(tmp_path / "run")]) == 2
    assert f"error: {tmp_path}/list.txt:3: {said}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('sampler = "ntp"', "no sampler 'ntp'"),
        ("pressure = 1", "sampler nvt has no option 'pressure'"),
        ('sampler = "nve"\nto = 900', "sampler nve holds no temperature"),
        ("steps = 9.5", "steps = 9.5 is not what it should be"),
    ],
)
def test_a_bad_stage_of_a_plan_is_named(
    keys: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = "" if "steps" in keys else "steps = 9\n"
    (tmp_path / "plan.toml").write_text(f"[[stage]]\nfrom = 300\nsteps = 9\n[[stage]]\nfrom = 300\n{steps}{keys}\n")
    plan = ["--plan", str(tmp_path / "plan.toml")]
    assert run(["glass", "Si", "--potential", "sw", *plan, "-o", str(tmp_path / "run")]) == 2
    assert f"error: {tmp_path}/plan.toml: stage 2: {said}" in capsys.readouterr().err


def test_the_model_in_a_folder_is_an_input(tmp_path: Path) -> None:
    """``runs/latest`` leads elsewhere after the next training: a run must not go on with that."""
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / MODEL).write_bytes(b"a model")

    class Lent(Services):
        def potential(self, *_args: Any, **_more: Any) -> Any:
            return named("sw")

    for word, inputs in ((str(tmp_path / "latest"), [tmp_path / "latest" / MODEL]), ("sw", [])):
        options = GLASS.options(formulas=("Si",), potential=word)
        assert list(GLASS.prepare(Request(options, path=tmp_path / "run"), Lent()).inputs) == inputs


def test_a_plan_of_stages(tmp_path: Path) -> None:
    """A stage of its own sampler and pressure: the box has another volume then."""
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "[[stage]]\nfrom = 2500\nsteps = 40\n[[stage]]\nfrom = 2500\nto = 500\nsteps = 60\n"
        '[[stage]]\nfrom = 500\nsteps = 40\ndt = 1.0\nsampler = "npt"\npressure = 2.0\n'
    )
    words = ["Si", "--atoms", "16", "--potential", "sw", "--plan", str(plan), "--relax", "none", "--frame-every", "10"]
    rows, _ = made(tmp_path / "run", *words, "--last-steps", "20")
    log = np.genfromtxt(tmp_path / "run" / "glasses" / "Si16" / "thermo.csv", delimiter=",", names=True)
    assert log["time_ps"][-1] == pytest.approx(0.24)
    assert np.ptp(log["volume_A3"][log["time_ps"] < 0.2]) == pytest.approx(0.0, abs=1e-9)
    assert np.ptp(log["volume_A3"][log["time_ps"] > 0.2]) > 1.0
    mean = log["volume_A3"][log["time_ps"] > 0.22 - 1e-9].mean()  # no single step, which fluctuates
    assert abs(log["volume_A3"][-1] / mean - 1.0) > 1e-3
    assert float(rows[0]["volume [Å³/atom]"]) * 16 == pytest.approx(mean)
    for name in ("density", "density_mean"):
        assert float(rows[0][f"{name} [g/cm³]"]) == pytest.approx(16 * 28.085 * 1.66053907 / mean, rel=1e-6)
    assert rows[0]["energy_relaxed [eV/atom]"] == rows[0]["formation_energy [eV/atom]"] == ""
    frames = ase.io.read(tmp_path / "run" / "glasses" / "Si16" / "trajectory.extxyz", ":")
    assert [a.info["step"] for a in frames] == list(range(0, 141, 10))  # of both runs, and the one between them once
    assert [a.info["time_fs"] for a in frames] == [*range(0, 201, 20), 210, 220, 230, 240]
    end, begin = frames[10], frames[11]  # 10 fs later
    momenta = end.get_momenta() * (0.5 / end.get_masses()[:, None]) + begin.get_momenta() * (
        0.5 / begin.get_masses()[:, None]
    )
    cells = begin.cell.array @ np.linalg.inv(end.cell.array)
    moved = begin.positions @ np.linalg.inv(cells) - end.positions
    assert np.abs(moved - momenta * 10 * ase.units.fs).max() < 0.02
    assert np.abs(end.get_momenta()).max() > 0.1
    plan.write_text("[[stage]]\nfrom = 2500\n")
    assert run(["glass", *words, "-o", str(tmp_path / "other"), "--quiet"]) == 2


def test_a_glass_under_pressure_is_relaxed_under_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That of the last stage, of the plan or of the sampler that all stages have; without one there is none."""
    hot = "[[stage]]\nfrom = 1500\nto = 300\nsteps = 20\n"
    last = "[[stage]]\nfrom = 300\nsteps = 20\n"
    held = 'sampler = "npt"\npressure = 5.0\n'
    words = "Al --atoms 8 --potential emt --settle 10 --frame-every 10 --hotter 20 --no-draw-boxes --references none"
    for name, plan, more, pressure in (
        ("held", hot + last + held, [], 5.0),
        ("before", hot + held + last, [], None),
        ("all", hot + last, ["--sampler", "npt", "--pressure", "3", "--relax", "isotropic"], 3.0),
        ("ions", hot + last + held, ["--relax", "ions"], None),
    ):
        (tmp_path / f"{name}.toml").write_text(plan)
        asked = [*words.split(), "--plan", str(tmp_path / f"{name}.toml"), *more, "-o", str(tmp_path / name)]
        said = "" if pressure is None else f"cells relaxed at {pressure:g} GPa"
        assert run(["glass", *asked, "--dry-run"]) == 0
        assert ("cells relaxed" in capsys.readouterr().out) == bool(said)
        assert run(["glass", *asked]) == 0
        shown = capsys.readouterr()
        assert said in shown.out + shown.err
        assert said or "cells relaxed" not in shown.out + shown.err
        assert json.loads((tmp_path / name / "report.json").read_text()).get("relaxed_at") == pressure
        if name == "ions":
            continue
        glass = ase.io.read(tmp_path / name / "glasses" / "Al8" / "glass.extxyz")
        stress = named("emt").evaluate(Systems.of([glass]), stress=True).stress
        assert stress is not None
        found = -float(stress[0].diagonal().mean()) / GPA
        assert found == pytest.approx(pressure or 0.0, abs=0.06)


def test_stages_need_not_end_where_something_is_written(tmp_path: Path) -> None:
    """Rows every 10 steps, frames every 8, stages of 43 and 62 and 27: times go on, energies are those of the end."""
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "[[stage]]\nfrom = 2500\nsteps = 43\ndt = 1.0\n"
        "[[stage]]\nfrom = 2500\nto = 500\nsteps = 62\n[[stage]]\nfrom = 500\nsteps = 27\ndt = 1.0\n"
    )
    words = ["Si", "--atoms", "16", "--potential", "sw", "--plan", str(plan), "--relax", "none", "--last-steps", "20"]
    rows, _ = made(tmp_path / "run", *words, "--frame-every", "8")
    box = tmp_path / "run" / "glasses" / "Si16"
    log = np.genfromtxt(box / "thermo.csv", delimiter=",", names=True)
    femtoseconds = [*range(0, 41, 10), *range(43, 43 + 121, 20), *range(167, 188, 10)]
    assert (log["time_ps"] * 1e3).tolist() == pytest.approx(femtoseconds)
    quenched = ase.io.read(box / "quenched.extxyz")
    energy = float(named("sw").evaluate(Systems.of([quenched])).energy[0])
    assert float(rows[0]["energy_md [eV/atom]"]) * 16 == pytest.approx(energy, abs=1e-6)
    assert abs(log["potential_eV"][-1] - energy) > 1e-3  # seven steps earlier
    melt, quench = (ase.io.read(box / "trajectory.extxyz", ":")[k] for k in (slice(6), slice(6, 14)))
    own = [a.info["step"] for a in melt] + [a.info["step"] - 43 for a in quench]
    text = [f"16\nstep={k} time_fs={k}.0 pbc\n" + 16 * "x\n" for k in own]
    steps = [step for step, _ in _blocks(["".join(text[:6]), "".join(text[6:])], 16, [(43, 1.0), (62, 2.0)])]
    assert steps == [0, 8, 16, 24, 32, 40, *(43 + k for k in range(0, 57, 8))]
    times = [a.info["time_fs"] for a in (*melt, *quench)]
    assert times == [float(k) for k in range(0, 41, 8)] + [43.0 + 2 * k for k in range(0, 57, 8)]
    blocks = _blocks(["".join(text[:6]), "".join(text[6:])], 16, [(40, 1.0), (62, 2.0)])
    assert [step for step, _ in blocks][5:8] == [40, 48, 56]
    assert [text.split("\n")[1] for _, text in blocks][5:7] == ["step=40 time_fs=40.0 pbc", "step=48 time_fs=56.0 pbc"]


def test_rates() -> None:
    """2700 K at 54 K/ps are 50 ps, 25,000 steps of 2 fs; the default is 540 K/ps, 5.4·10¹⁴ K/s."""
    options = GLASS.options
    slow = stages_of(options(rate=54.0))
    assert [s.steps for s in slow] == [1500, 25_000, 1500]
    usual = stages_of(options())
    assert [s.steps for s in usual] == [1500, 2500, 1500]
    assert (usual[1].start - usual[1].end) / usual[1].picoseconds == pytest.approx(540.0)
    assert [s.melt for s in usual] == [True, False, False]
    twice = [Stage(3000.0, 1000.0, 1000, 2.0), Stage(1000.0, 300.0, 1400, 1.0), Stage(300.0, 500.0, 10, 1.0)]
    assert quench_rate(twice) == quench_rate(twice[::-1]) == pytest.approx(1000.0)
    assert quench_rate(twice[2:]) is None


@pytest.mark.parametrize(
    ("temperatures", "melt"),
    [
        ([(3000, 3000), (300, 300)], [True, False]),
        ([(300, 3000), (3000, 3000), (3000, 300), (300, 300)], [True, True, False, False]),
        ([(2000, 2000), (3000, 3000), (2900, 3000)], [True, True, False]),
        ([(2000, 2000), (2000, 3000)], [True, True]),
    ],
)
def test_the_melt_ends_where_the_temperature_falls(
    tmp_path: Path, temperatures: list[tuple[int, int]], melt: list[bool]
) -> None:
    (tmp_path / "p.toml").write_text("".join(f"[[stage]]\nfrom = {a}\nto = {b}\nsteps = 9\n" for a, b in temperatures))
    assert [s.melt for s in stages_of(GLASS.options(plan=str(tmp_path / "p.toml")))] == melt


def test_means_are_never_over_more_than_the_last_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["Si", "--atoms", "16", "--potential", "sw", "--melt-steps", "30", "--quench-steps", "40", "--hold-steps"]
    words += ["30", "--frame-every", "10", "--relax", "none", "--no-draw-boxes"]
    rows = [made(tmp_path / n, *words, "--last-steps", n)[0][0] for n in ("30", "90")]
    assert rows[0] == rows[1]
    assert "--last-steps 90 is more than the last stage has: means are over its 30 steps" in capsys.readouterr().err
    assert run(["glass", *words, "-o", str(tmp_path / "default"), "--dry-run"]) == 0
    assert "--last-steps" not in capsys.readouterr().err  # 500, which nobody asked for


def test_a_plan_of_two_runs_goes_on_with_its_boxes_in_their_order(tmp_path: Path, monkeypatch: Any) -> None:
    """Stopped after the last run of a batch whose names are not by the alphabet: the second run has the same input."""
    (tmp_path / "plan.toml").write_text(
        "".join(f"[[stage]]\nfrom = {t}\nsteps = 20\ndt = {dt}\n" for t, dt in ((2000, 1.0), (300, 2.0)))
    )
    words = ["NiCu", "Ag", "--atoms", "12", "--potential", "emt", "--plan", str(tmp_path / "plan.toml"), *SHORT[6:]]
    words += ["--relax", "none", "--references", "none", "--no-draw-boxes", "--hotter", "20"]
    made(tmp_path / "whole", *words)

    def full(*_: object) -> None:
        raise EnvironmentProblem("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("crystal_glass.glass_work.write_box", full)
        assert run(["glass", *words, "-o", str(tmp_path / "torn"), "--quiet"]) == 5
    begun = tmp_path / "torn" / "glasses" / "Ag12"
    begun.mkdir(parents=True)
    (begun / f".sq.csv.{'0' * 16}.tmp").write_text("of a program that was killed")
    made(tmp_path / "torn", *words)
    assert not list(begun.glob(".*"))
    for file in ("glasses.csv", "glasses/Ni6Cu6/quenched.extxyz", "glasses/Ag12/trajectory.extxyz"):
        assert (tmp_path / "torn" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


KILLED = """
import os, signal, sys
from crystalcli.cli.main import run
from crystalcli.md.loop import Dynamics

advance = Dynamics.advance

def watched(self):
    step = advance(self)
    if step == 20:
        self.save()
    if step >= 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return step

Dynamics.advance = watched
sys.exit(run(sys.argv[1:]))
"""


def test_killed_within_a_melt_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Thirty steps of a melt of sixty, ten after the last restart record."""
    words = ["AlCu", "--replicas", "2", "--atoms", "8", "--potential", "emt", "--melt", "1500", "--relax", "none"]
    words += [*SHORT, "--references", "none", "--no-draw-boxes", "--threads", "1", "--hotter", "20"]
    made(tmp_path / "whole", *words)
    asked = ["glass", *words, "-o", str(tmp_path / "torn"), "--quiet"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *asked], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list((tmp_path / "torn" / "batches").glob("000000/0/0-md/state-00*20*"))
    assert not (tmp_path / "torn" / "glasses").exists()
    made(tmp_path / "torn", *words)
    whole, torn = (
        {str(p.relative_to(folder)): p.read_bytes() for p in (folder / "glasses").rglob("*") if p.is_file()}
        | {"glasses.csv": (folder / "glasses.csv").read_bytes()}
        for folder in (tmp_path / "whole", tmp_path / "torn")
    )
    assert torn == whole
    assert not (tmp_path / "torn" / "batches").exists()


def test_numbers_on_the_page_have_units(tmp_path: Path) -> None:
    """Of every table, card and setting; what has none is a count, a share, or a word."""
    words = [w for k in ("melt-steps", "quench-steps", "hold-steps", "last-steps") for w in (f"--{k}", "20")]
    words += ["--frame-every", "10", "--relax-steps", "20"]
    made(tmp_path / "run", "CuAl", "--atoms", "8", "--potential", "emt", *words)
    files = RunFiles(tmp_path / "run")
    assert GLASS.sections is not None
    found = {s.title: s.blocks for s in page.sections(files)}
    assert not files.problems
    every, folded = (b for b in found["Glasses"] if isinstance(b, (Table, Fold)))
    plain = {"id", "formula", "asked", "replica", "atoms", "status", "reason", "begun again", "volume source", "x Al",
             "converged", "coordination", "q6", "crystalline", "liquid", "largest cluster", "to label",
             "x Cu"}  # fmt: skip
    for table in (every, folded.blocks[0]):
        assert {h for h in table.heads if not h.endswith(")")} <= plain
    cards = {c.said: c.value for b in found["Glasses"] if isinstance(b, Numbers) for c in b.cards}
    assert cards["rate of the quench"].endswith(" K/ps")
    assert cards["mean density"].endswith(" g/cm³")
    (references,) = found["From the crystals"]
    assert references.heads == ("element", "energy (eV/atom)")
    (boxes,) = found["Structures"]
    assert [f.said for f in boxes.shown[0].frames] == ["as packed", "quenched", "relaxed"]
    assert dict(boxes.shown[0].facts)["density"].endswith(" g/cm³")
    (settings,) = (b for b in found["What was asked"] if isinstance(b, Fold) and "settings" in b.title)
    units = {name: unit for name, _, unit in settings.blocks[0].rows}
    assert (units["melt"], units["dt"], units["fire.max-step"]) == ("K", "fs", "Å")
