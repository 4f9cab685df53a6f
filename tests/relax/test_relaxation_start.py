"""``crystal relax --start``: the better place is taken, judged by the potential, and what it was worth is counted."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase.build
import ase.io
import asked
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from ase.optimize import BFGS

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.rows import Row
from crystalcli.relax import shards as relaxation_work
from crystalcli.relax import start
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.outcome import Outcome
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

PLACE = Quantity("relaxed_positions", "Å", "site", shape=(3,), meaning="position")
BAD, UNKNOWN = "s1", "s2"
"""The structure for which the model is far off, and the one that it does not know."""


def slabs() -> list[ase.Atoms]:
    made = []
    for k, (metal, layers) in enumerate((("Cu", 3), ("Al", 2), ("Ni", 3), ("Au", 2))):
        atoms = ase.build.fcc111(metal, (1, 2, layers), vacuum=6.0, orthogonal=True)
        atoms.rattle(0.15, seed=k)
        atoms.set_constraint(FixAtoms(mask=atoms.get_tags() == layers))
        atoms.info = {"id": f"s{k}"}
        made.append(atoms)
    return made


def relaxed(atoms: ase.Atoms) -> np.ndarray:
    there = atoms.copy()
    there.calc = EMT()
    BFGS(there, logfile=None).run(fmax=0.05, steps=200)
    return there.positions


class Guesses:
    """In the place of a predictor: nearly the truth, except for one structure, and for one nothing."""

    quantities: tuple[Quantity, ...] = (PLACE,)

    def __init__(self, path: Path, *, warn: Callable[[str], None], **_more: Any) -> None:
        self.path, self.warn = path, warn
        warn("a model from another time")

    def of_entries(self, entries: Iterable[Entry]) -> Iterator[Row | Failure]:
        for e in entries:
            if e.id == UNKNOWN:
                self.warn("Ni has never been seen")
                yield Failure(e.source, e.id, "predict", "element", "it holds Ni, which training never saw")
                continue
            off = 0.8 if e.id == BAD else 0.01
            there = relaxed(e.atoms) + off * np.random.default_rng(5).normal(size=(len(e.atoms), 3))
            held = e.atoms.constraints[0].index
            there[held] = e.atoms.positions[held]
            yield Row(e.id, e.source, e.atoms, {PLACE.name: there})


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(start, "Predictor", Guesses)
    (tmp_path / "springs.safetensors").write_bytes(b"of no interest here")
    path = tmp_path / "slabs.extxyz"
    ase.io.write(path, slabs(), format="extxyz")
    return path


def rows(path: Path) -> dict[str, dict[str, str]]:
    with (path / "relaxation.csv").open(encoding="utf-8", newline="") as file:
        return {r["id"]: r for r in csv.DictReader(file)}


def test_the_better_place_is_taken_and_counted(source: Path, tmp_path: Path) -> None:
    model = str(tmp_path / "springs.safetensors")
    done = asked.relax([source], "emt", tmp_path / "run", start=model, compare_starts=True, fmax=0.05)
    plain = asked.relax([source], "emt", tmp_path / "plain", fmax=0.05)
    found, without = rows(done.path), rows(plain.path)
    assert {k: r["begin"] for k, r in found.items()} == {"s0": "model", BAD: "file", UNKNOWN: "file", "s3": "model"}
    assert "training never saw" in found[UNKNOWN]["no_guess"]
    for name, atoms in zip(found, slabs(), strict=True):
        row = found[name]
        assert row["converged"] == "true"
        assert row["steps_given"] == without[name]["steps"]
        if name == UNKNOWN:
            assert row["energy_guess [eV]"] == ""
            continue
        atoms.calc = EMT()
        assert float(row["energy_given [eV]"]) == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        largest = np.linalg.norm(atoms.get_forces(), axis=1).max()  # of free atoms: the constraint takes the others off
        assert float(row["fmax_given [eV/Å]"]) == pytest.approx(largest, abs=1e-6)
        worse = float(row["energy_guess [eV]"]) > float(row["energy_given [eV]"])
        assert worse == (name == BAD)
        chosen = "energy_given [eV]" if worse else "energy_guess [eV]"
        assert float(row["energy_start [eV]"]) == pytest.approx(float(row[chosen]), abs=1e-9)
    assert int(found["s0"]["steps"]) < int(without["s0"]["steps"])
    assert found[BAD]["steps"] == without[BAD]["steps"]
    said = done.data["start"]
    assert (said["structures"], said["began_at_the_guess"], said["guess_has_more_energy"], said["without_guess"]) == (
        4,
        2,
        1,
        1,
    )
    guessed = [name for name in found if name != UNKNOWN]
    assert said["compared"] == len(guessed)
    assert said["mean_steps_given"] == pytest.approx(np.mean([int(without[name]["steps"]) for name in guessed]))
    assert said["mean_steps"] == pytest.approx(np.mean([int(found[name]["steps"]) for name in guessed]))
    assert "begin" not in without["s0"]


@pytest.mark.parametrize("cell", ["none", "isotropic", "full"])
def test_the_cell_follows_as_far_as_it_may(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The strain that a model says is taken where the cell is free, its mean where it is free in size alone."""
    target = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True)
    given = target.copy()
    given.set_cell(target.cell.array @ np.diag([1.06, 1.05, 1.02]), scale_atoms=True)
    six = np.array([1 / 1.06 - 1, 1 / 1.05 - 1, 1 / 1.02 - 1, 0.0, 0.0, 0.0])

    class Strains(Guesses):
        def of_entries(self, entries: Iterable[Entry]) -> Iterator[Row | Failure]:
            for e in entries:
                yield Row(e.id, e.source, e.atoms, {PLACE.name: e.atoms.positions.copy(), "relaxed_strain": six})

    monkeypatch.setattr(start, "Predictor", Strains)
    (tmp_path / "springs.safetensors").write_bytes(b"of no interest here")
    ase.io.write(tmp_path / "one.extxyz", given, format="extxyz")
    done = asked.relax(
        [tmp_path / "one.extxyz"], "emt", tmp_path / "run", start=str(tmp_path / "springs.safetensors"), cell=cell
    )
    (row,) = rows(done.path).values()
    assert row["begin"] == "model"
    stretch = {"none": np.eye(3), "isotropic": np.eye(3) * (1 + six[:3].mean()), "full": np.diag(1 + six[:3])}[cell]
    expected = given.copy()
    expected.set_cell(given.cell.array @ stretch, scale_atoms=True)
    expected.calc = EMT()
    assert float(row["energy_guess [eV]"]) == pytest.approx(expected.get_potential_energy(), abs=1e-6)


def test_places_under_pressure_are_judged_by_enthalpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller cell with more energy is the better place where the surroundings press hard enough."""
    given = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True)

    class Smaller(Guesses):
        def of_entries(self, entries: Iterable[Entry]) -> Iterator[Row | Failure]:
            for e in entries:
                six = np.array([-0.02] * 3 + [0.0] * 3)
                yield Row(e.id, e.source, e.atoms, {PLACE.name: e.atoms.positions.copy(), "relaxed_strain": six})

    monkeypatch.setattr(start, "Predictor", Smaller)
    (tmp_path / "springs.safetensors").write_bytes(b"of no interest here")
    ase.io.write(tmp_path / "one.extxyz", given, format="extxyz")
    taken = []
    for pressure in (0.0, 30.0):
        folder = tmp_path / f"run-{pressure:g}"
        model = str(tmp_path / "springs.safetensors")
        done = asked.relax([tmp_path / "one.extxyz"], "emt", folder, start=model, cell="full", pressure=pressure)
        taken += [r["begin"] for r in rows(done.path).values()]
    assert taken == ["file", "model"]


def test_held_atoms_stay_exactly(source: Path, tmp_path: Path) -> None:
    done = asked.relax([source], "emt", tmp_path / "run", start=str(tmp_path / "springs.safetensors"), steps=0)
    for before, after in zip(slabs(), ase.io.read(done.path / "relaxed.extxyz", ":"), strict=True):
        held = before.constraints[0].index
        np.testing.assert_allclose(after.positions[held], before.positions[held], atol=1e-8)
        assert after.constraints[0].index.tolist() == held.tolist()


def test_what_cannot_start(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="add --start MODEL"):
        asked.relax([source], "emt", tmp_path / "a", compare_starts=True)
    monkeypatch.setattr(Guesses, "quantities", (Quantity("energy", "eV"),))
    with pytest.raises(UsageError, match="predicts energy and no positions"):
        asked.relax([source], "emt", tmp_path / "b", start=str(tmp_path / "springs.safetensors"))
    assert not (tmp_path / "a").exists()


class Pushes(Guesses):
    """Moves every atom, held or not, by the same step, and a period along the first vector; says a strain beside."""

    STEP = np.array([0.03, -0.02, 0.05])

    def of_entries(self, entries: Iterable[Entry]) -> Iterator[Row | Failure]:
        for e in entries:
            there = e.atoms.positions + self.STEP + e.atoms.cell.array[0]
            strain = np.array([0.05, -0.02, 0.03, 0.01, 0.0, 0.04])  # positions are in the file's cell all the same
            yield Row(e.id, e.source, e.atoms, {PLACE.name: there, "relaxed_strain": strain})


def test_held_atoms_follow_only_what_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed ones stay, those of an axis or of a lattice vector move along it, free ones go where the model says."""
    monkeypatch.setattr(start, "Predictor", Pushes)
    atoms = ase.build.bulk("Cu", "fcc", a=3.4).repeat(2)
    z, first = FixCartesian(1, mask=(True, True, False)), FixScaled(2, mask=(False, True, True))
    atoms.set_constraint([FixAtoms([0]), z, first])
    entry = Entry("cu", atoms, "cu.cif")
    worker = relaxation_work.Worker(
        Request(RelaxOptions(potential="emt", start=str(tmp_path / "m.safetensors"), steps=0))
    )
    assert worker.start is not None
    ((_, begin),) = worker.start.begun([entry], worker.potential, worker._fields)
    guess = worker.start._guess(entry, next(iter(Pushes(tmp_path, warn=print).of_entries([entry]))))
    assert isinstance(guess, Entry)
    step = guess.atoms.positions - atoms.positions
    along = atoms.cell.array[0] / np.linalg.norm(atoms.cell.array[0])
    np.testing.assert_array_equal(step[0], 0.0)
    np.testing.assert_allclose(step[1], [0.0, 0.0, Pushes.STEP[2]], atol=1e-12)
    np.testing.assert_allclose(step[2], (Pushes.STEP @ along) * along, atol=1e-12)
    np.testing.assert_allclose(step[3:], [Pushes.STEP + atoms.cell.array[0]] * 5, atol=1e-12)
    # what pushes against a constraint is no force
    judged = guess.atoms.copy()
    judged.set_constraint()
    judged.calc = EMT()
    forces = judged.get_forces()
    forces[0] = 0.0
    forces[1, :2] = 0.0
    forces[2] = (forces[2] @ along) * along
    assert begin.fmax_guess == pytest.approx(np.linalg.norm(forces, axis=1).max(), abs=1e-6)
    assert begin.energy_guess == pytest.approx(judged.get_potential_energy(), abs=1e-6)


def test_what_the_model_warns_of_is_heard_once(source: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    model = str(tmp_path / "springs.safetensors")
    done = asked.relax([source], "emt", tmp_path / "run", Host(warn=heard.append), start=model, steps=0, batch_size=2)
    assert heard == ["a model from another time", "Ni has never been seen"]
    log = (done.path / "log.txt").read_text(encoding="utf-8")
    assert [log.count(line) for line in heard] == [1, 1]


def test_what_workers_warn_of_comes_with_their_outcomes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RelaxOptions(potential="emt", start=str(tmp_path / "springs.safetensors"), steps=0, jobs=2)
    request, heard = Request(options), list[str]()
    shards = [[Entry(i, slabs()[2], str(source))] for i in ("s0", UNKNOWN, UNKNOWN)]

    class Elsewhere:
        """Two processes, one shard each, and one that is done by both."""

        def __init__(self, *_: Any) -> None:
            self.who = [relaxation_work.start(request) for _ in range(2)]

        def __enter__(self) -> Elsewhere:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to end."""

        def results(self, items: Iterator[Any], **_: Any) -> Iterator[tuple[int, Any]]:
            for k, item in enumerate(items):
                yield k, next(self.who[k % 2](item, 0))

    monkeypatch.setattr(relaxation_work, "prepare_cpu", lambda: None)  # is for a process of its own
    monkeypatch.setattr(relaxation_work, "executor", Elsewhere)
    asks = SimpleNamespace(reporter=Host(warn=heard.append), stop_if_asked=lambda: None)
    worker = relaxation_work.Worker(request, heard.append)
    found = list(relaxation_work.relaxed_shards(request, worker, iter(enumerate(shards)), asks, lambda *_: None))
    assert [k for k, _ in found] == [0, 1, 2]
    assert heard == ["a model from another time", "Ni has never been seen"]


def test_structures_are_judged_together(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one by one where the potential refuses one of them."""
    from crystalcli.vocabulary.errors import InputError

    worker = relaxation_work.Worker(Request(RelaxOptions(potential="emt", start=str(tmp_path / "springs.safetensors"))))
    assert worker.start is not None
    entries = [Entry(a.info["id"], a, f"{source}:{k}") for k, a in enumerate(slabs())]
    sizes: list[int] = []
    real = worker.potential.evaluate

    def evaluate(systems: Any, **more: Any) -> Any:
        sizes.append(systems.n_structures)
        if 79 in systems.atomic_numbers:
            raise InputError("structure 0: gold is too dear")
        return real(systems, **more)

    whole = worker.start.begun(entries, worker.potential, worker._fields)
    monkeypatch.setattr(worker.potential, "evaluate", evaluate)
    few = worker.start.begun(entries[:3], worker.potential, worker._fields)
    assert [b.taken for _, b in few] == [b.taken for _, b in whole[:3]]
    assert sizes == [2, 2]
    made = worker.start.begun(entries, worker.potential, worker._fields)
    assert made[3][1].why == "the potential has no energy there"
    assert made[0][1].energy_guess == pytest.approx(whole[0][1].energy_guess, abs=1e-9)


@pytest.mark.parametrize(("plain", "begun"), [(True, False), (False, True), (False, False), (True, True)])
def test_steps_are_compared_where_both_ways_lead_to_the_goal(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool, begun: bool
) -> None:
    options = RelaxOptions(potential="emt", start=str(tmp_path / "springs.safetensors"), compare_starts=True)
    worker = relaxation_work.Worker(Request(options))
    made = iter((begun, plain))

    def relaxed(entries: list[Entry], *_: Any) -> list[Outcome]:
        converged = next(made)
        reason = "converged" if converged else "steps"
        return [Outcome(e.id, e.source, reason, "", steps=7 if converged else 500) for e in entries]

    monkeypatch.setattr(worker, "_relaxed", relaxed)
    (found,) = worker.relax([Entry("s0", slabs()[0], str(source))])
    assert found.begin is not None
    assert found.begin.steps_given == (7 if plain and begun else None)


def test_steps_without_a_guess_compare_nothing() -> None:
    guessed = start.Begin("model", 1.0, 0.5, 2.0, 1.0, steps_given=10)
    found = start.told([guessed, start.Begin("file", why="no such element", steps_given=8)], [4, 8])
    assert (found["compared"], found["mean_steps_given"], found["mean_steps"]) == (1, 10.0, 4.0)
    assert found["without_guess"] == 1
