"""Runs of molecular dynamics: files, guards, stops, resume. Springs and broken potentials stand in for real ones."""

import json
from dataclasses import replace

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from ase import units
from ase.constraints import FixAtoms

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.mechanisms.dynamics.velocities import maxwell_boltzmann
from crystalcli.mechanisms.forces import potentials
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.nouns.systems import Systems, per_structure, temperature
from crystalcli.testing.springs import Springs
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, InputError, NothingUsable, Stopped, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.md import sampling
from crystalcli.workflows.md.sampling_plan import SamplingPlan
from crystalcli.workflows.md.sampling_watch import Watch


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
        if self.calls > self.at and self.fault == "refuses" and systems.velocities[ill].any():
            raise InputError("structure 1: does not like it", code="odd")
        if self.calls > self.at and self.fault == "unsure":
            sigma = sigma + 0.1 * per_structure(systems, ill.double())
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


def plan(folder, output="run", names=("Cu", "Ag", "Au"), **changes):
    made = SamplingPlan(
        structures=tuple(str(folder / f"{n}.extxyz") for n in names),
        potential="springs",
        sampler="nvt",
        temperature="300:500@30,500@30",
        steps=60,
        output=str(folder / output),
        log_every=4,
        frame_every=6,
        analysis=False,
    )
    return replace(made, **changes)


def results(run):
    kept = [p for p in run.rglob("*") if p.suffix in (".extxyz", ".csv")]
    kept.append(sorted(run.glob("state-*.safetensors"))[-1])
    return {str(p.relative_to(run)): p.read_bytes() for p in kept}


class StopAt(Stop):
    """Asks to stop once, at the n-th look."""

    def __init__(self, n) -> None:
        super().__init__()
        self.n = n

    def reason(self):
        self.n -= 1
        return "a test" if self.n < 0 else None


def quiet():
    said = []
    return Listener(lambda _x: None, said.append), said


def test_what_a_run_writes(world) -> None:
    folder, _ = world
    report = sampling.run(plan(folder, analysis=True, frame_every=2), quiet()[0])
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


def test_a_single_structure_lies_in_the_folder_itself(world) -> None:
    folder, use = world
    use(names=("Cu",))
    sampling.run(plan(folder, names=("Cu",), steps=0, temperature="300"), quiet()[0])
    assert len(ase.io.read(folder / "run" / "trajectory.extxyz", ":")) == 1


@pytest.mark.parametrize("sampler", ["nve", "nvt", "langevin", "npt"])
@pytest.mark.parametrize("looks", [0, 3, 11])
def test_stop_and_resume_give_the_same_bytes(world, sampler, looks) -> None:
    """Stopped in the middle of a ramp, between rows, frames and chunks."""
    folder, _ = world
    listener, _ = quiet()
    made = plan(folder, "whole", sampler=sampler)
    sampling.run(made, listener)
    with pytest.raises(Stopped, match="--resume"):
        sampling.run(replace(made, output=str(folder / "cut")), listener, StopAt(looks))
    assert json.loads((folder / "cut" / "run.json").read_text())["exit_code"] == Exit.STOPPED
    with pytest.raises(Stopped):
        sampling.resume(folder / "cut", {}, listener, StopAt(2))
    sampling.resume(folder / "cut", {}, listener, Stop())
    assert results(folder / "cut") == results(folder / "whole")
    with pytest.raises(UsageError, match="is finished"):
        sampling.resume(folder / "cut", {}, listener, Stop())


@pytest.mark.parametrize("sampler", ["nve", "nvt", "langevin", "npt"])
@pytest.mark.parametrize("first", [7, 30])
def test_a_run_made_longer_is_the_long_run(world, sampler, first) -> None:
    """Ended between rows and frames, or on one; at one temperature, or after a ramp that holds on."""
    folder, _ = world
    listener, _ = quiet()
    ramp = f"200:400@{first},400@{60 - first}"
    whole = plan(folder, "whole", sampler=sampler, steps=60, temperature=ramp)
    sampling.run(whole, listener)
    for _ in range(2):
        short = replace(
            whole, output=str(folder / "short"), steps=first, temperature=f"200:400@{first}", overwrite=True
        )
        sampling.run(short, listener)
    heard: list[str] = []
    report = sampling.resume(folder / "short", {"steps": 60}, Listener(heard.append), Stop())
    assert any("at 400 K, the last temperature" in line for line in heard)
    long, short_ = results(folder / "whole"), results(folder / "short")
    assert {n: b for n, b in short_.items() if "state" not in n} == {n: b for n, b in long.items() if "state" not in n}
    assert report.data["steps"] == 60
    record = json.loads((folder / "short" / "run.json").read_text())
    assert (record["plan"]["steps"], record["exit_code"]) == (60, Exit.OK)
    with pytest.raises(UsageError, match="longer, not shorter"):
        sampling.resume(folder / "short", {"steps": 59}, listener, Stop())
    movie = folder / "short" / "structures" / "Au" / "trajectory.extxyz"
    whole_movie = movie.read_bytes()
    movie.write_bytes(whole_movie[: len(whole_movie) // 2])
    with pytest.raises(UsageError, match="not as this run left it"):
        sampling.resume(folder / "short", {"steps": 70}, listener, Stop())
    movie.write_bytes(whole_movie)
    (folder / "short" / "structures" / "Ag" / "thermo.csv").unlink()
    with pytest.raises(UsageError, match="gap"):
        sampling.resume(folder / "short", {"steps": 70}, listener, Stop())
    assert json.loads((folder / "short" / "run.json").read_text())["exit_code"] == Exit.OK


def test_a_run_that_is_made_longer_may_be_stopped_and_go_on(world) -> None:
    folder, _ = world
    listener, _ = quiet()
    whole = plan(folder, "whole", steps=60, temperature="300@60")
    sampling.run(whole, listener)
    sampling.run(replace(whole, output=str(folder / "cut"), steps=20, temperature="300@20"), listener)
    with pytest.raises(Stopped):
        sampling.resume(folder / "cut", {"steps": 60}, listener, StopAt(1))
    sampling.resume(folder / "cut", {}, listener, Stop())
    long, cut = results(folder / "whole"), results(folder / "cut")
    assert {n: b for n, b in cut.items() if "state" not in n} == {n: b for n, b in long.items() if "state" not in n}


def test_a_drift_that_was_not_taken_is_none_and_a_short_one_is_taken(world) -> None:
    folder, _ = world
    listener, _ = quiet()
    drifts = {}
    for steps in (0, 10, 20, 40):
        sampling.run(
            plan(folder, f"{steps}", sampler="nve", steps=steps, temperature="300", drift_every=1000), listener
        )
        drifts[steps] = json.loads((folder / f"{steps}" / "report.json").read_text())["worst_drift_meV_per_atom_ps"]
    rows = [len((folder / f"{s}" / "structures" / "Cu" / "thermo.csv").read_text().splitlines()) - 1 for s in drifts]
    assert [d is None for d in drifts.values()] == [n < 3 for n in rows]
    assert any(d is None for d in drifts.values())
    assert all(d > 0 for d in drifts.values() if d is not None)


@pytest.mark.parametrize(("last", "taken"), [(52, False), (60, True), (76, True)])
def test_rows_behind_the_last_window_count_if_they_are_half_of_one(world, last, taken) -> None:
    """A few rows have a slope by chance; half a window and more belong to the drift of the run."""
    folder, _ = world
    made = plan(folder, drift_every=40, max_drift=1.0)
    watch = Watch(made, ["Cu"], torch.tensor([4]), Listener())
    alive = torch.tensor([True])
    for step in range(0, last + 1, 4):
        energy = 0.0 if step <= 40 else 4e-3 * 50.0 * (step - 40) * 1e-3  # 50 meV/atom/ps
        assert watch.drift(step, torch.tensor([energy], dtype=torch.float64), alive) == {}
    assert watch.worst == pytest.approx(0.0, abs=1e-9)
    assert bool(watch.final(alive)) == taken
    assert watch.worst == pytest.approx(50.0 if taken else 0.0, abs=1e-6)


def test_a_short_run_beyond_its_limit_of_drift_is_stopped(world) -> None:
    folder, use = world
    use("heats")
    made = plan(folder, sampler="nve", steps=60, temperature="3000", drift_every=1000, max_drift=5.0)
    report = sampling.run(made, quiet()[0])
    assert report.data["worst_drift_meV_per_atom_ps"] > 5.0
    assert {n: h["code"] for n, h in report.data["stopped"].items()} == {"Ag": "drift"}
    assert report.data["exit_code"] == Exit.SOME_FAILED


def test_sealed_chunks(world, monkeypatch) -> None:
    """Many small chunks are the same run as one."""
    folder, _ = world
    listener, _ = quiet()
    sampling.run(plan(folder, "one"), listener)
    monkeypatch.setattr("crystalcli.workflows.md.sampling_plan.CHUNK_FRAMES", 2)
    with pytest.raises(Stopped):
        sampling.run(plan(folder, "many"), listener, StopAt(12))
    pieces = sorted((folder / "many" / "structures" / "Cu" / "chunks").glob("*.extxyz"))
    assert len(pieces) >= 2
    sampling.resume(folder / "many", {}, listener, Stop())
    one, many = results(folder / "one"), results(folder / "many")
    assert all(one[n] == many[n] for n in one if not n.startswith("state"))


@pytest.mark.parametrize("good", [1, 4, 9, 14])
def test_a_full_disk_loses_nothing_that_was_kept(world, monkeypatch, good) -> None:
    """Writing fails after some files and goes on failing; with room again the run goes on to the same bytes."""
    folder, _ = world
    listener, _ = quiet()
    monkeypatch.setattr("crystalcli.workflows.md.sampling_plan.CHUNK_FRAMES", 2)
    sampling.run(plan(folder, "whole", checkpoint_every=0.0), listener)
    write, left = files.write_bytes, [3 + good]

    def full(path, data):
        left[0] -= 1
        if left[0] < 0:
            raise EnvironmentProblem("cannot write: No space left on device", path=path)
        write(path, data)

    with monkeypatch.context() as disk:
        disk.setattr(files, "write_bytes", full)
        with pytest.raises(EnvironmentProblem, match="No space"):
            sampling.run(plan(folder, "cut", checkpoint_every=0.0), listener)
    sampling.resume(folder / "cut", {}, listener, Stop())
    assert results(folder / "cut") == results(folder / "whole")


@pytest.mark.parametrize("harm", ["truncate", "remove"])
def test_a_damaged_chunk_is_refused(world, monkeypatch, harm) -> None:
    folder, _ = world
    listener, _ = quiet()
    monkeypatch.setattr("crystalcli.workflows.md.sampling_plan.CHUNK_FRAMES", 2)
    with pytest.raises(Stopped):
        sampling.run(plan(folder), listener, StopAt(12))
    piece = sorted((folder / "run" / "structures" / "Cu" / "chunks").glob("*.extxyz"))[0]
    if harm == "truncate":
        piece.write_bytes(piece.read_bytes()[:-7])
    else:
        piece.unlink()
    with pytest.raises(UsageError, match="gap"):
        sampling.resume(folder / "run", {}, listener, Stop())


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [("nan", "not-finite", "force of Ag"), ("explodes", "explosion", "Ag"), ("refuses", "odd", "does not like it")],
)
def test_one_structure_fails_and_the_others_do_not_notice(world, fault, code, said) -> None:
    """Stopped within ten steps, atom named, last good frame kept; bytes of the others as without it."""
    folder, use = world
    listener, warned = quiet()
    sampling.run(plan(folder, "well"), listener)
    use(fault)
    report = sampling.run(plan(folder, "ill"), listener)
    assert report.data["exit_code"] == Exit.SOME_FAILED
    assert list(report.data["stopped"]) == ["Ag"]
    halted = report.data["stopped"]["Ag"]
    assert halted["code"] == code
    assert said in halted["reason"]
    assert 20 <= halted["step"] <= 36
    assert any(said in w for w in warned)
    for name in ("Cu", "Au"):
        for file in ("trajectory.extxyz", "thermo.csv"):
            where = f"structures/{name}/{file}"
            assert (folder / "ill" / where).read_bytes() == (folder / "well" / where).read_bytes()
    good = ase.io.read(folder / "ill" / "structures" / "Ag" / "last-good.extxyz")
    assert np.isfinite(good.positions).all()
    whole = (folder / "well" / "structures" / "Ag" / "trajectory.extxyz").read_text()
    cut = (folder / "ill" / "structures" / "Ag" / "trajectory.extxyz").read_text()
    assert cut
    assert whole.startswith(cut)


def test_a_failed_structure_stays_failed_after_resume(world) -> None:
    folder, use = world
    listener, _ = quiet()
    use("nan")
    sampling.run(plan(folder, "whole"), listener)
    use("nan")
    with pytest.raises(Stopped):
        sampling.run(plan(folder, "cut"), listener, StopAt(14))
    use("nan", at=-1)
    sampling.resume(folder / "cut", {}, listener, Stop())
    assert results(folder / "cut") == results(folder / "whole")


def test_nothing_left_is_a_numerical_failure(world) -> None:
    folder, use = world
    use("nan", names=("Ag",))
    report = sampling.run(plan(folder, names=("Ag",)), quiet()[0])
    assert report.data["exit_code"] == Exit.NUMERICAL
    assert report.data["steps"] < 60
    assert (folder / "run" / "last-good.extxyz").exists()
    assert list((folder / "run").glob("state-*.safetensors"))


def test_drift_is_told_and_stops(world) -> None:
    folder, use = world
    use("heats")
    listener, warned = quiet()
    made = plan(folder, sampler="nve", drift_every=20)
    sampling.run(made, listener)
    assert any("Ag: conserved energy drifts by" in w and "meV/atom/ps" in w for w in warned)
    use("heats")
    report = sampling.run(replace(made, output=str(folder / "b"), max_drift=2.5), listener)
    assert report.data["stopped"]["Ag"]["code"] == "drift"
    assert report.data["worst_drift_meV_per_atom_ps"] > 2.5


def test_a_disagreeing_ensemble_is_flagged_and_may_stop(world) -> None:
    folder, use = world
    use("unsure", at=30)
    listener, warned = quiet()
    made = plan(folder, max_sigma=10.0)
    assert sampling.run(made, listener).data["exit_code"] == Exit.OK
    assert any("ensemble spreads" in w for w in warned)
    assert "energy_sigma=" in (folder / "run" / "structures" / "Ag" / "trajectory.extxyz").read_text()
    use("unsure", at=30)
    report = sampling.run(replace(made, output=str(folder / "b"), stop_on_sigma=3), listener)
    assert report.data["stopped"]["Ag"]["code"] == "sigma"
    assert report.data["exit_code"] == Exit.SOME_FAILED


def test_what_is_refused_before_the_first_step(world) -> None:
    folder, use = world
    listener, warned = quiet()
    use(names=("Cu",))
    close = ase.Atoms("Cu2", [[0, 0, 0], [0, 0, 0.1]], cell=[9, 9, 9], pbc=True)
    ase.io.write(folder / "close.extxyz", close)
    with pytest.raises(NothingUsable):
        sampling.run(plan(folder, names=("close",)), listener)
    assert any("overlap" in w for w in warned)
    with pytest.raises(UsageError, match="negative"):
        sampling.run(plan(folder, names=("Cu",), temperature="-3"), listener)
    with pytest.raises(UsageError, match="no velocities"):
        sampling.run(plan(folder, names=("Cu",), velocities="file"), listener)
    sampling.describe(plan(folder, names=("Cu",), dt=20.0), listener)
    assert any("--dt 20 fs is long" in w for w in warned)
    assert not (folder / "run").exists()


def test_fixed_atoms_and_given_velocities(world) -> None:
    folder, use = world
    atoms = crystals()["Cu"]
    atoms.set_constraint(FixAtoms([1]))
    atoms.set_velocities(np.random.default_rng(0).normal(size=(4, 3)) * 0.01)
    ase.io.write(folder / "held.extxyz", atoms)
    use(names=("Cu",))
    sampling.run(plan(folder, names=("held",), sampler="nve"), quiet()[0])
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
    read = plan(folder, sampler="nve", velocities="file")
    sampling.run(replace(read, structures=(str(folder / "CONTCAR"),)), quiet()[0])
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
