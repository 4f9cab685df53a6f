"""Runs of molecular dynamics: files, guards, stops, resume. Springs and broken potentials stand in for real ones."""

import json
import re
import tomllib
from dataclasses import replace

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from ase import units
from ase.constraints import FixAtoms

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.sections import Plot
from crystalcli.engine.host import life
from crystalcli.engine.potential import potentials
from crystalcli.engine.report.run_files import RunFiles
from crystalcli.engine.run import checkpoint, files
from crystalcli.engine.run.stopping import StopSignal
from crystalcli.md.monitor import Monitor
from crystalcli.md.options import MdOptions
from crystalcli.md.setup import folders
from crystalcli.md.velocities import maxwell_boltzmann
from crystalcli.md.workflow import MD
from crystalcli.nouns.systems import Systems, per_structure, temperature
from crystalcli.testing.springs import Springs
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, InputError, NothingUsable, Stopped, UsageError


def crystals():
    copper = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True)
    silver = ase.build.bulk("Ag", "fcc", a=4.1, cubic=True)
    gold = ase.build.bulk("Au", "fcc", a=4.05, cubic=True)
    return {"Cu": copper, "Ag": silver, "Au": gold}


class Faulty(Springs):
    """Springs that break for one element at one call."""

    provides = frozenset({"energy", "forces", "stress", "sigma"})

    def __init__(self, structures, fault="", at=25) -> None:
        super().__init__(structures)
        self.all, self.fault, self.at = structures, fault, at

    def evaluate(self, systems, *, stress=False):
        if systems.n_structures != len(self.all):  # alone, before the run or to find a culprit
            if self.fault == "refuses" and self.calls > self.at and 47 in systems.atomic_numbers:
                raise InputError("structure 0: does not like it", code="odd")
            k = next(i for i, a in enumerate(self.all) if a.numbers[0] == int(systems.atomic_numbers[0]))
            return Springs([self.all[k]]).evaluate(systems, stress=stress)
        found = super().evaluate(systems, stress=stress)
        ill = systems.atomic_numbers == 47
        forces, sigma = found.forces, torch.full_like(found.energy, 1e-3)
        if self.calls > self.at and self.fault == "nan":
            forces = forces.masked_fill(ill.unsqueeze(1), torch.nan)
        if self.calls > self.at and self.fault == "explodes":
            forces = forces + 500.0 * ill.unsqueeze(1) * torch.sign(forces)
        if self.calls > self.at and self.fault in ("refuses", "in company") and systems.velocities[ill].any():
            raise InputError("structure 1: does not like it", code="odd")
        if self.calls > self.at and self.fault == "unsure":
            sigma = sigma + 0.1 * per_structure(systems, ill.double())
        if self.calls > self.at and self.fault == "leaps":
            found = replace(found, energy=found.energy + 10.0 * per_structure(systems, ill.double()))
        if self.fault == "heats":
            forces = forces + 0.5 * systems.velocities * ill.unsqueeze(1)
        return Evaluated(found.energy, forces, found.stress, None, sigma)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Structures as files, and a potential that tests may break."""
    for name, atoms in crystals().items():
        ase.io.write(tmp_path / f"{name}.extxyz", atoms)

    def use(fault="", at=25, names=("Cu", "Ag", "Au")):
        made = Faulty([crystals()[n] for n in names], fault, at)
        monkeypatch.setattr(potentials, "named", lambda *_a, **_k: made)
        return made

    use()
    return tmp_path, use


def asked(folder, output="run", names=("Cu", "Ag", "Au"), **changes):
    options = {
        "structures": tuple(str(folder / f"{n}.extxyz") for n in names),
        "potential": "springs",
        "temperature": "300:500@30,500@30",
        "steps": 60,
        "log_every": 4,
        "frame_every": 6,
        "analysis": False,
    }
    return Request(MdOptions(**options | changes), path=folder / output)


def run(request, reporter=life.SILENT, stop=None, **how):
    return life.run(MD, request, reporter, stop, **how)


def resume(path, changes, reporter=life.SILENT, stop=None):
    return life.resume(MD, path, changes, reporter, stop)


def results(path):
    kept = [p for p in path.rglob("*") if p.suffix in (".extxyz", ".csv")]
    kept.append(sorted(path.glob("state-*.safetensors"))[-1])
    return {str(p.relative_to(path)): p.read_bytes() for p in kept}


class StopAt(StopSignal):
    """Asks to stop once, at the n-th look."""

    def __init__(self, n) -> None:
        super().__init__()
        self.n = n

    def reason(self):
        self.n -= 1
        return "a test" if self.n < 0 else None


def quiet():
    said = []
    return Reporter(warn=said.append), said


def test_what_a_run_writes(world) -> None:
    folder, _ = world
    report = run(asked(folder, analysis=True, frame_every=2), quiet()[0])
    assert report.data["exit_code"] == 0
    home = folder / "run" / "structures" / "Ag"
    frames = ase.io.read(home / "trajectory.extxyz", ":")
    assert [a.info["step"] for a in frames] == list(range(0, 61, 2))
    assert frames[3].get_temperature() == pytest.approx(frames[3].info["temperature"] * 9 / 12, rel=1e-5)
    assert frames[3].get_forces().any()
    assert frames[3].get_stress().shape == (6,)
    rows = np.genfromtxt(home / "thermo.csv", delimiter=",", names=True)
    assert rows["step"].tolist() == list(range(0, 61, 4))
    assert rows["target_K"][[0, 5, -1]] == pytest.approx([300, 300 + 200 * 20 / 30, 500])
    assert rows["total_eV"] == pytest.approx(rows["potential_eV"] + rows["kinetic_eV"])
    assert np.ptp(rows["conserved_eV"]) < 0.01 * rows["kinetic_eV"][0]
    for name in ("rdf.csv", "bonds.png", "msd.csv", "energies.png", "thermo.png", "coordination.csv"):
        assert (home / name).stat().st_size > 0
    assert not list((folder / "run").rglob("chunks"))
    record = json.loads((folder / "run" / "run.json").read_text())
    assert record["command"] == "md"
    assert record["exit_code"] == 0


def test_no_target_is_told_where_nothing_holds_the_temperature(world) -> None:
    """nve has none: not in the log, nor on the way, nor on the page; a program is warned of, one temperature is not."""
    folder, use = world
    use(names=("Cu",))
    for name, program in (("one", "300"), ("more", "300:500")):
        said, warned = [], []
        run(
            asked(folder, name, names=("Cu",), sampler="nve", temperature=program), Reporter(said.append, warned.append)
        )
        assert any(" K  E_pot " in line for line in said)
        assert not any("target" in line for line in said)
        assert ["nve holds no temperature: velocities begin at 300 K" in w for w in warned] == [True] * (name == "more")
        rows = np.genfromtxt(folder / name / "thermo.csv", delimiter=",", names=True)
        assert np.isnan(rows["target_K"]).all()
        assert np.isfinite(rows["temperature_K"]).all()
        plots = [b for s in MD.sections(RunFiles(folder / name)) for b in s.blocks if isinstance(b, Plot)]
        assert [s.name for p in plots if p.title == "Temperature" for s in p.series] == ["actual"]


def test_a_single_structure_lies_in_the_folder_itself(world) -> None:
    folder, use = world
    use(names=("Cu",))
    run(asked(folder, names=("Cu",), steps=0, temperature="300"), quiet()[0])
    assert len(ase.io.read(folder / "run" / "trajectory.extxyz", ":")) == 1


@pytest.mark.parametrize("sampler", ["nve", "nvt", "langevin", "npt"])
@pytest.mark.parametrize("looks", [0, 4, 10, 33])
def test_stop_and_resume_give_the_same_bytes(world, sampler, looks) -> None:
    """Stopped in the middle of a ramp, between rows, frames and chunks."""
    folder, _ = world
    reporter, _ = quiet()
    cut = asked(folder, "cut", sampler=sampler)
    run(asked(folder, "whole", sampler=sampler), reporter)
    with pytest.raises(Stopped, match="--resume") as stopped:
        run(cut, reporter, StopAt(looks))
    reached = int(re.search(r"at step (\d+) of 60", str(stopped.value))[1])
    assert max((folder / "cut").glob("state-*.json")).name == f"state-{reached:09d}.json"
    assert json.loads((folder / "cut" / "run.json").read_text())["exit_code"] == Exit.STOPPED
    with pytest.raises(Stopped):
        run(cut, reporter, StopAt(2))
    went: list[float] = []
    resume(folder / "cut", {}, Reporter(hear=lambda levels: went.append(levels[-1].done)), StopSignal())
    assert reached < min(went)
    assert max(went) == 60
    assert results(folder / "cut") == results(folder / "whole")
    assert resume(folder / "cut", {}, reporter, StopSignal()).before
    assert run(cut, reporter).before


@pytest.mark.parametrize("sampler", ["nve", "nvt", "langevin", "npt"])
@pytest.mark.parametrize("first", [7, 30])
def test_a_run_made_longer_is_the_long_run(world, sampler, first) -> None:
    """Ended between rows and frames, or on one; at one temperature, or after a ramp that holds on."""
    folder, _ = world
    reporter, _ = quiet()
    ramp = f"200:400@{first},400@{60 - first}"
    whole = asked(folder, "whole", sampler=sampler, steps=60, temperature=ramp)
    drift = run(whole, reporter).data["worst_drift_meV_per_atom_ps"]
    for _ in range(2):
        short = asked(folder, "short", sampler=sampler, steps=first, temperature="200:400")
        run(short, reporter, overwrite=True)
    heard: list[str] = []
    report = resume(folder / "short", {"steps": 60}, Reporter(heard.append), StopSignal())
    assert any("at 400 K, the last temperature" in line for line in heard)
    long, short_ = results(folder / "whole"), results(folder / "short")
    assert {n: b for n, b in short_.items() if "state" not in n} == {n: b for n, b in long.items() if "state" not in n}
    assert report.data["steps"] == 60
    assert report.data["worst_drift_meV_per_atom_ps"] == drift
    record = json.loads((folder / "short" / "run.json").read_text())
    assert (record["request"]["options"]["steps"], record["exit_code"]) == (60, Exit.OK)
    assert record["program"] == ramp
    again = tomllib.loads((folder / "short" / "config.toml").read_text())["md"]
    assert (again["temperature"], again["steps"]) == (f"200:400@{first}", 60)
    with pytest.raises(UsageError, match="longer, not shorter"):
        resume(folder / "short", {"steps": 59}, reporter, StopSignal())
    movie = folder / "short" / "structures" / "Au" / "trajectory.extxyz"
    whole_movie = movie.read_bytes()
    movie.write_bytes(whole_movie[: len(whole_movie) // 2])
    with pytest.raises(UsageError, match="not as this run left it"):
        resume(folder / "short", {"steps": 70}, reporter, StopSignal())
    movie.write_bytes(whole_movie)
    (folder / "short" / "structures" / "Ag" / "thermo.csv").unlink()
    with pytest.raises(UsageError, match="gap"):
        resume(folder / "short", {"steps": 70}, reporter, StopSignal())
    assert json.loads((folder / "short" / "run.json").read_text())["exit_code"] == Exit.OK


def test_progress_tells_a_temperature_only_where_it_is_known(world) -> None:
    """A run that goes on has none until its first line is told; its words say so by saying nothing."""
    folder, _ = world
    with pytest.raises(Stopped):
        run(asked(folder, log_every=1, steps=200, temperature="300"), quiet()[0], StopAt(22))
    words: list[str] = []
    resume(folder / "run", {}, Reporter(hear=lambda levels: words.append(levels[-1].now)), StopSignal())
    steps = [w for w in words if w.startswith("step ")]
    assert re.fullmatch(r"step \d+/200", steps[0])  # no line is told at this step
    assert re.fullmatch(r"step 200/200, \d+ K", steps[-1])
    assert all(re.fullmatch(r"step \d+/200(, \d+ K)?", w) for w in steps)


@pytest.mark.parametrize(
    ("fault", "first", "more"),
    [
        ("explodes", 13, {}),  # seen at the end of the short run, between two looks of the long one
        ("heats", 30, {"sampler": "nve", "temperature": "3000", "drift_every": 1.0, "max_drift": 5.0}),
    ],
)
def test_what_only_the_end_of_a_run_finds_does_not_stop_the_longer_one(world, fault, first, more) -> None:
    folder, use = world
    reporter, _ = quiet()
    use(fault, at=13)
    whole = run(asked(folder, "whole", **{"temperature": "300", **more}), reporter).data
    use(fault, at=13)
    short = run(asked(folder, "short", **{"temperature": "300", **more, "steps": first}), reporter).data
    left = folder / "short" / "structures" / "Ag" / "stopped-at.extxyz"
    assert short["stopped"]["Ag"]["step"] == first
    assert left.exists()
    after = resume(folder / "short", {"steps": 60}, reporter, StopSignal()).data
    assert after["stopped"] == whole["stopped"]
    assert after["stopped"]["Ag"]["step"] > first
    long, made = results(folder / "whole"), results(folder / "short")
    assert {n: b for n, b in made.items() if "state" not in n} == {n: b for n, b in long.items() if "state" not in n}


def test_a_structure_that_only_the_end_found_wrong_goes_on_without_its_files(world) -> None:
    """A longer run in which nothing is wrong has no geometry of a stop."""
    folder, use = world
    use("heats")
    made = {"sampler": "nve", "temperature": "3000", "drift_every": 1.0, "max_drift": 15.0}
    assert run(asked(folder, steps=30, **made), quiet()[0]).data["stopped"].keys() == {"Ag"}
    use()
    report = resume(folder / "run", {"steps": 300}, quiet()[0], StopSignal()).data
    assert not report["stopped"]
    assert not [*(folder / "run").rglob("stopped-at.extxyz"), *(folder / "run").rglob("last-good.extxyz")]


def test_a_run_that_is_made_longer_may_be_stopped_and_go_on(world) -> None:
    folder, _ = world
    reporter, _ = quiet()
    whole = asked(folder, "whole", steps=60, temperature="300@60")
    run(whole, reporter)
    run(asked(folder, "cut", steps=20, temperature="300"), reporter)
    with pytest.raises(Stopped):
        resume(folder / "cut", {"time": 0.06}, reporter, StopAt(5))
    resume(folder / "cut", {}, reporter, StopSignal())
    long, cut = results(folder / "whole"), results(folder / "cut")
    assert {n: b for n, b in cut.items() if "state" not in n} == {n: b for n, b in long.items() if "state" not in n}


def test_a_drift_that_was_not_taken_is_none_and_a_short_one_is_taken(world) -> None:
    folder, _ = world
    reporter, _ = quiet()
    drifts = {}
    for steps in (0, 10, 20, 40):
        run(asked(folder, f"{steps}", sampler="nve", steps=steps, temperature="300", drift_every=1.0), reporter)
        drifts[steps] = json.loads((folder / f"{steps}" / "report.json").read_text())["worst_drift_meV_per_atom_ps"]
    rows = [len((folder / f"{s}" / "structures" / "Cu" / "thermo.csv").read_text().splitlines()) - 1 for s in drifts]
    assert [d is None for d in drifts.values()] == [n < 3 for n in rows]
    assert any(d is None for d in drifts.values())
    assert all(d > 0 for d in drifts.values() if d is not None)


@pytest.mark.parametrize(("last", "taken"), [(52, False), (60, True), (76, True)])
def test_rows_behind_the_last_window_count_if_they_are_half_of_one(world, last, taken) -> None:
    """A few rows have a slope by chance; half a window and more belong to the drift of the run."""
    folder, _ = world
    options = asked(folder, drift_every=0.04, max_drift=1.0).options
    monitor = Monitor(options, ["Cu"], torch.tensor([4]), Reporter())
    alive = torch.tensor([True])
    for step in range(0, last + 1, 4):
        energy = 0.0 if step <= 40 else 4e-3 * 50.0 * (step - 40) * 1e-3  # 50 meV/atom/ps
        assert monitor.drift(step, torch.tensor([energy], dtype=torch.float64), alive) == {}
    assert monitor.worst == pytest.approx(0.0, abs=1e-9)
    assert bool(monitor.final(alive)) == taken
    assert monitor.worst == pytest.approx(50.0 if taken else 0.0, abs=1e-6)


def test_a_short_run_beyond_its_limit_of_drift_is_stopped(world) -> None:
    folder, use = world
    use("heats")
    made = asked(folder, sampler="nve", steps=60, temperature="3000", drift_every=1.0, max_drift=5.0)
    report = run(made, quiet()[0])
    assert report.data["worst_drift_meV_per_atom_ps"] > 5.0
    assert {n: h["code"] for n, h in report.data["stopped"].items()} == {"Ag": "drift"}
    assert report.data["exit_code"] == Exit.SOME_FAILED


def test_sealed_chunks(world, monkeypatch) -> None:
    """Many small chunks are the same run as one."""
    folder, _ = world
    reporter, _ = quiet()
    run(asked(folder, "one"), reporter)
    monkeypatch.setattr("crystalcli.md.records.CHUNK_FRAMES", 2)
    with pytest.raises(Stopped):
        run(asked(folder, "many"), reporter, StopAt(45))
    pieces = sorted((folder / "many" / "chunks" / "000001").glob("*.extxyz"))
    assert len(pieces) >= 2
    resume(folder / "many", {}, reporter, StopSignal())
    one, many = results(folder / "one"), results(folder / "many")
    assert all(one[n] == many[n] for n in one if not n.startswith("state"))


@pytest.mark.parametrize("good", [1, 4, 9, 14])
def test_a_full_disk_loses_nothing_that_was_kept(world, monkeypatch, good) -> None:
    """Writing fails after some files and goes on failing; with room again the run goes on to the same bytes."""
    folder, _ = world
    reporter, _ = quiet()
    monkeypatch.setattr("crystalcli.md.records.CHUNK_FRAMES", 2)
    run(asked(folder, "whole", checkpoint_every=0.0), reporter)
    write, left = files.write_bytes, [3 + good]

    def full(path, data):
        left[0] -= 1
        if left[0] < 0:
            raise EnvironmentProblem("cannot write: No space left on device", path=path)
        write(path, data)

    with monkeypatch.context() as disk:
        disk.setattr(files, "write_bytes", full)
        with pytest.raises(EnvironmentProblem, match="No space"):
            run(asked(folder, "cut", checkpoint_every=0.0), reporter)
    resume(folder / "cut", {}, reporter, StopSignal())
    assert results(folder / "cut") == results(folder / "whole")


@pytest.mark.parametrize("harm", ["truncate", "remove"])
def test_a_damaged_chunk_is_refused(world, monkeypatch, harm) -> None:
    folder, _ = world
    reporter, _ = quiet()
    monkeypatch.setattr("crystalcli.md.records.CHUNK_FRAMES", 2)
    with pytest.raises(Stopped):
        run(asked(folder), reporter, StopAt(45))
    piece = sorted((folder / "run" / "chunks" / "000001").glob("*.extxyz"))[0]
    if harm == "truncate":
        piece.write_bytes(piece.read_bytes()[:-7])
    else:
        piece.unlink()
    with pytest.raises(UsageError, match="gap"):
        resume(folder / "run", {}, reporter, StopSignal())


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("nan", "not-finite", "force of Ag"),
        ("explodes", "explosion", "Ag"),
        ("refuses", "odd", "does not like it"),
        ("in company", "odd", "does not like it"),
        ("leaps", "explosion", "conserved energy jumped by 10 eV/atom"),
    ],
)
def test_one_structure_fails_and_the_others_do_not_notice(world, fault, code, said) -> None:
    """Stopped within ten steps, atom named, last good frame kept with its step; bytes of others as without it."""
    folder, use = world
    reporter, warned = quiet()
    run(asked(folder, "well"), reporter)
    use(fault)
    report = run(asked(folder, "ill"), reporter)
    assert report.data["exit_code"] == Exit.SOME_FAILED
    assert list(report.data["stopped"]) == ["Ag"]
    halted = report.data["stopped"]["Ag"]
    assert halted["code"] == code
    assert said in halted["reason"]
    assert 20 <= halted["step"] <= 36
    assert any(said in w for w in warned)
    for name in ("Cu", "Au"):
        for file in ("trajectory.extxyz", "thermo.csv", "last.extxyz"):
            where = f"structures/{name}/{file}"
            assert (folder / "ill" / where).read_bytes() == (folder / "well" / where).read_bytes()
    good = ase.io.read(folder / "ill" / "structures" / "Ag" / "last-good.extxyz")
    assert np.isfinite(good.positions).all()
    use()
    run(asked(folder, "every", names=("Ag",), frame_every=1), reporter)
    at_step = {a.info["step"]: a for a in ase.io.read(folder / "every" / "trajectory.extxyz", ":")}
    assert good.info["step"] < halted["step"]
    assert np.array_equal(good.positions, at_step[good.info["step"]].positions)
    fatal = (folder / "ill" / "structures" / "Ag" / "stopped-at.extxyz").read_text()
    assert f" step={halted['step']} time_fs={float(halted['step'])!r} " in fatal
    last = ase.io.read(folder / "ill" / "structures" / "Ag" / "last.extxyz")
    assert np.array_equal(last.positions, good.positions)
    assert last.calc is None
    whole = (folder / "well" / "structures" / "Ag" / "trajectory.extxyz").read_text()
    cut = (folder / "ill" / "structures" / "Ag" / "trajectory.extxyz").read_text()
    assert cut
    assert whole.startswith(cut)


def test_the_last_step_is_a_frame_whether_or_not_one_is_due(world) -> None:
    folder, use = world
    use()
    run(asked(folder, "even"), quiet()[0])
    whole = (folder / "even" / "structures" / "Cu" / "trajectory.extxyz").read_text()
    last = (folder / "even" / "structures" / "Cu" / "last.extxyz").read_text()
    assert whole.endswith(last)
    use()
    run(asked(folder, "odd", steps=62), quiet()[0])
    where = folder / "odd" / "structures" / "Cu"
    assert ase.io.read(where / "trajectory.extxyz").info["step"] == 60
    frame = ase.io.read(where / "last.extxyz")
    assert frame.info["step"] == 62
    found = Springs([crystals()["Cu"]]).evaluate(Systems.of([frame]))
    assert frame.get_potential_energy() == pytest.approx(float(found.energy[0]), abs=1e-7)
    assert frame.get_forces() == pytest.approx(found.forces.numpy(), abs=1e-7)
    assert np.abs(frame.get_momenta()).max() > 0.1


def test_a_failed_structure_stays_failed_after_resume(world) -> None:
    folder, use = world
    reporter, _ = quiet()
    use("nan")
    run(asked(folder, "whole"), reporter)
    use("nan")
    with pytest.raises(Stopped):
        run(asked(folder, "cut"), reporter, StopAt(50))
    use("nan", at=-1)
    resume(folder / "cut", {}, reporter, StopSignal())
    assert results(folder / "cut") == results(folder / "whole")


@pytest.mark.parametrize("looks", [23, 24, 25, 26])
def test_a_stop_moves_no_look_of_the_guards(world, looks) -> None:
    """Who is stopped, where, and the last good geometry are those of a run that went on without a stop."""
    folder, _ = world
    reporter, _ = quiet()
    narrow = {"sampler": "nve", "temperature": "300", "max_force": 1.25}
    whole = run(asked(folder, "whole", **narrow), reporter)
    assert whole.data["stopped"]["Ag"]["step"] == 20
    with pytest.raises(Stopped):
        run(asked(folder, "cut", **narrow), reporter, StopAt(looks))
    cut = resume(folder / "cut", {}, reporter, StopSignal())
    assert cut.data["stopped"] == whole.data["stopped"]
    assert results(folder / "cut") == results(folder / "whole")


def test_nothing_left_is_a_numerical_failure(world) -> None:
    folder, use = world
    use("nan", names=("Ag",))
    report = run(asked(folder, names=("Ag",)), quiet()[0])
    assert report.data["exit_code"] == Exit.NUMERICAL
    assert report.data["steps"] < 60
    assert (folder / "run" / "last-good.extxyz").exists()
    assert list((folder / "run").glob("state-*.safetensors"))


def test_drift_is_told_and_stops(world) -> None:
    folder, use = world
    use("heats")
    reporter, warned = quiet()
    run(asked(folder, sampler="nve", drift_every=0.02), reporter)
    assert any("Ag: conserved energy drifts by" in w and "meV/atom/ps" in w for w in warned)
    use("heats")
    report = run(asked(folder, "b", sampler="nve", drift_every=0.02, max_drift=2.5), reporter)
    assert report.data["stopped"]["Ag"]["code"] == "drift"
    assert report.data["worst_drift_meV_per_atom_ps"] > 2.5


def test_a_disagreeing_ensemble_is_flagged_and_may_stop(world) -> None:
    folder, use = world
    use("unsure", at=30)
    reporter, warned = quiet()
    assert run(asked(folder, max_sigma=10.0), reporter).data["exit_code"] == Exit.OK
    assert any("sigma of the ensemble is" in w for w in warned)
    assert "energy_sigma=" in (folder / "run" / "structures" / "Ag" / "trajectory.extxyz").read_text()
    use("unsure", at=30)
    report = run(asked(folder, "b", max_sigma=10.0, stop_on_sigma=3), reporter)
    assert report.data["stopped"]["Ag"]["code"] == "sigma"
    assert report.data["exit_code"] == Exit.SOME_FAILED


def test_a_limit_of_a_spread_that_nobody_has_is_refused(world, monkeypatch) -> None:
    folder, _ = world
    springs = Springs(list(crystals().values()))
    assert "sigma" not in springs.provides
    monkeypatch.setattr(potentials, "named", lambda *_a, **_k: springs)
    with pytest.raises(UsageError, match="--max-sigma needs the sigma of an ensemble; springs gives none"):
        run(asked(folder, max_sigma=10.0))
    assert not (folder / "run").exists()
    with pytest.raises(UsageError, match="--stop-on-sigma counts rows beyond --max-sigma"):
        asked(folder, stop_on_sigma=3)


def test_other_circumstances_are_said_once_where_a_run_goes_on(world, monkeypatch) -> None:
    """In a run of before that did not keep them nothing is."""
    folder, _ = world
    for name in ("new", "old"):
        with monkeypatch.context() as patch:
            if name == "old":
                patch.setattr(checkpoint, "circumstances", lambda _device: {})
            with pytest.raises(Stopped):
                run(asked(folder, name), stop=StopAt(3))
        reporter, warned = quiet()
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "_kind", lambda _device: "abacus")
            resume(folder / name, {}, reporter, StopSignal())
        said = ["device was cpu, now abacus: not bit-identical to one long run"] if name == "new" else []
        assert warned == said


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["a"], [""]),
        (["a b", "a/b", "a:b", "A_B"], ["a b", "a_b", "a_b-2", "A_B-3"]),
        (["..", "./x", "x\x1b"], ["structure", "_x", "x_"]),
        (["鉄" * 90, "鉄" * 91], ["鉄" * 33, "鉄" * 33 + "-2"]),
    ],
)
def test_folders_of_structures(tmp_path, ids, names) -> None:
    made = folders(tmp_path, ids)
    assert made == [tmp_path / "structures" / n if n else tmp_path for n in names]


def test_what_is_refused_before_the_first_step(world) -> None:
    folder, use = world
    reporter, warned = quiet()
    use(names=("Cu",))
    close = ase.Atoms("Cu2", [[0, 0, 0], [0, 0, 0.1]], cell=[9, 9, 9], pbc=True)
    ase.io.write(folder / "close.extxyz", close)
    with pytest.raises(NothingUsable):
        run(asked(folder, names=("close",)), reporter)
    assert any("overlap" in w for w in warned)
    with pytest.raises(UsageError, match="negative"):
        run(asked(folder, names=("Cu",), temperature="-3"), reporter)
    with pytest.raises(UsageError, match="no velocities"):
        run(asked(folder, names=("Cu",), velocities="file"), reporter)
    life.describe(MD, asked(folder, names=("Cu",), dt=20.0), reporter)
    assert any("--dt 20 fs is long" in w for w in warned)
    assert not (folder / "run").exists()


def test_fixed_atoms_and_given_velocities(world) -> None:
    folder, use = world
    atoms = crystals()["Cu"]
    atoms.set_constraint(FixAtoms([1]))
    atoms.set_velocities(np.random.default_rng(0).normal(size=(4, 3)) * 0.01)
    ase.io.write(folder / "held.extxyz", atoms)
    use(names=("Cu",))
    run(asked(folder, names=("held",), sampler="nve"), quiet()[0])
    frames = ase.io.read(folder / "run" / "trajectory.extxyz", ":")
    assert frames[0].get_velocities()[0] == pytest.approx(atoms.get_velocities()[0])
    assert not frames[0].get_velocities()[1].any()
    assert frames[-1].positions[1] == pytest.approx(atoms.positions[1], abs=1e-9)
    assert frames[-1].constraints[0].index.tolist() == [1]


@pytest.mark.parametrize("mode", ["", "Cartesian", "Lattice velocities and vectors\n1\n" + "0 0 0\n" * 6])
def test_velocities_of_a_contcar(world, mode) -> None:
    folder, use = world
    rows = "0.01 0 0\n-0.01 0 0\n0 0.01 0\n0 -0.01 0\n"
    places = "Cu\n1.0\n3.6 0 0\n0 3.6 0\n0 0 3.6\nCu\n4\nDirect\n0 0 0\n0 .5 .5\n.5 0 .5\n.5 .5 0\n"
    (folder / "CONTCAR").write_text(f"{places}{mode}\n{rows}")
    use(names=("Cu",))
    run(asked(folder, sampler="nve", velocities="file", structures=(str(folder / "CONTCAR"),)), quiet()[0])
    first = ase.io.read(folder / "run" / "trajectory.extxyz", 0)
    assert first.get_velocities() * units.fs == pytest.approx(np.loadtxt(rows.splitlines()))
    assert first.get_velocities()[0, 0] == pytest.approx(0.1018, abs=1e-4)


def test_first_velocities() -> None:
    """At exactly the temperature, without drift, by seed and name only; Maxwell–Boltzmann before the scaling."""
    atoms = ase.build.bulk("Cu", cubic=True).repeat(8)
    systems = maxwell_boltzmann(Systems.of([atoms, atoms]), 300.0, 1, ["a", "b"])
    assert temperature(systems).tolist() == pytest.approx([300.0, 300.0])
    momentum = per_structure(systems, systems.masses.unsqueeze(1) * systems.velocities)
    assert float(momentum.abs().max()) < 1e-10
    alone = maxwell_boltzmann(Systems.of([atoms]), 300.0, 1, ["b"])
    assert torch.equal(alone.velocities, systems.velocities[len(atoms) :])
    v = alone.velocities.flatten().numpy()
    assert ((v / v.std()) ** 4).mean() == pytest.approx(3.0, abs=0.3)
    assert not maxwell_boltzmann(Systems.of([atoms]), 0.0, 1, ["b"]).velocities.any()
