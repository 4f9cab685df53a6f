"""``crystal relax --start``: the better place is taken, judged by the potential, and what it was worth is counted."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import asked
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.optimize import BFGS

from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.predict.prediction import Row
from crystalcli.workflows.relax import relaxation_start

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

    def __init__(self, path: Path, **_more: Any) -> None:
        self.path = path

    def of_entries(self, entries: Iterable[Entry]) -> Iterator[Row | Failure]:
        for e in entries:
            if e.id == UNKNOWN:
                yield Failure(e.source, e.id, "predict", "element", "it holds Ni, which training never saw")
                continue
            off = 0.8 if e.id == BAD else 0.01
            there = relaxed(e.atoms) + off * np.random.default_rng(5).normal(size=(len(e.atoms), 3))
            held = e.atoms.constraints[0].index
            there[held] = e.atoms.positions[held]
            yield Row(e.id, e.source, e.atoms, {PLACE.name: there})


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(relaxation_start, "Predictor", Guesses)
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
    assert said["mean_steps_given"] == pytest.approx(np.mean([int(r["steps"]) for r in without.values()]))
    assert said["mean_steps"] == pytest.approx(np.mean([int(r["steps"]) for r in found.values()]))
    assert "begin" not in without["s0"]


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
