"""The contracts of readers and calculators fail for each fault that they are there to find, and for no sound part."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.calculators.calculator import Calculator as AseCalculator

from crystalcli.contracts.records import Calculator, Reader
from crystalcli.nouns.structures.entry import Entry
from crystalcli.testing import CalculatorContract, ReaderContract
from crystalcli.vocabulary.errors import InputError


def write(path: Path) -> None:
    """A format of one JSON list."""
    path.write_text(json.dumps([{"z": [29, 30], "r": [[0, 0, 0], [0, 0, 2.5]], "e": -1.5 * k} for k in range(3)]))


def rows(path: Path) -> list[Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(found, list)
        return found
    except (ValueError, AssertionError) as problem:
        raise InputError("is no list", path=path) from problem


def reader(fault: str) -> ReaderContract:
    def sniff(path: Path) -> Any:
        if fault == "sniff raises":
            return json.loads(path.read_text())[0]["z"]
        try:
            return None if fault == "sniff says none" else (fault != "sniff unsure" and bool(rows(path)))
        except InputError:
            return False

    def read(path: Path) -> Iterator[Any]:
        if fault == "read raises" and b"}" not in path.read_bytes()[-4:]:
            json.loads(path.read_bytes().decode("latin1"))
        for k, row in enumerate(rows(path)):
            atoms = ase.Atoms(row["z"], row["r"], cell=[5, 5, 5], pbc=True)
            if fault == "nan":
                atoms.positions[0, 0] = np.nan
            labels = {"e": "low" if fault == "words" else row["e"]}
            id = ":0" if fault == "one id" else f":{k}"
            source = "somewhere" if fault == "no source" else f"{path}:{k}"
            if fault == "random":
                atoms.positions += np.random.default_rng().normal(size=(2, 3))
            if fault == "changes":
                path.write_text(path.read_text() + " ")
            if fault == "no pickle":
                atoms.info["how"] = lambda: None
            yield atoms if fault == "bare atoms" else Entry(id, atoms, source, labels)

    class Made(ReaderContract):
        part = Reader(name="made", summary="s", suffixes=(".mk",), sniff=sniff, read=read, example=write)

    return Made()


def run_reader(contract: ReaderContract, tmp_path: Path) -> None:
    from crystalcli.testing.reader import FOREIGN

    for content in FOREIGN.values():
        contract.test_foreign_files(tmp_path, content, True)
    for name in ("sniff_knows_its_own", "structures", "labels", "twice", "workers", "truncated"):
        example = tmp_path / f"{name}.mk"
        write(example)
        getattr(contract, f"test_{name}")(example)


def test_a_sound_reader_passes(tmp_path: Path) -> None:
    run_reader(reader(""), tmp_path)


@pytest.mark.parametrize(
    "fault",
    ["sniff raises", "sniff says none", "sniff unsure", "read raises", "nan", "words", "one id", "no source", "random",
     "changes", "no pickle", "bare atoms"],
)  # fmt: skip
def test_faults_of_readers(tmp_path: Path, fault: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever pytest would report
        run_reader(reader(fault), tmp_path)


class Pairs(AseCalculator):
    """Gaussian wells between all pairs of images within 9 Å, with a switch for each fault."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault, self.calls = fault, 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=()) -> None:
        from ase.neighborlist import neighbor_list

        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        i, d, vectors = neighbor_list("idD", atoms, 9.0)
        e = -np.exp(-((d - 2.5) ** 2))
        slope = -2 * (d - 2.5) * e
        pull = (slope / d)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, pull)
        stress = 0.5 * vectors.T @ pull / atoms.get_volume()
        energy = 0.5 * e.sum()
        if self.fault == "sign of forces":
            forces = -forces
        if self.fault == "sign of stress":
            stress = -stress
        if self.fault == "order of stress":
            stress[[1, 2]] = stress[[2, 1]]
        if self.fault == "force constant":
            forces *= 1.01
        if self.fault == "remembers":
            energy += 1e-3 * self.calls * TOTAL["calls"]
        if self.fault == "place":
            energy += 1e-3 * atoms.positions[0, 0]
        if self.fault == "direction":
            energy += 1e-3 * vectors[:, 0].max()
        if self.fault == "per atom":
            energy /= len(atoms)
        if self.fault == "nan":
            forces[0, 0] = np.nan
        if self.fault == "shape":
            forces = forces.ravel()
        if self.fault == "changes":
            atoms.positions += 0.01
        TOTAL["calls"] += 1
        self.results = {"energy": energy, "forces": forces, "stress": stress}


TOTAL = {"calls": 0}


def run_calculator(fault: str) -> None:
    class Made(CalculatorContract):
        part = Calculator(name="made", summary="s", build=lambda _o: object() if fault == "object" else Pairs(fault))

    contract = Made()
    for name in ("is_a_calculator", "answers", "twice", "forces", "stress", "symmetry"):
        getattr(contract, f"test_{name}")()


def test_a_sound_calculator_passes() -> None:
    run_calculator("")


@pytest.mark.parametrize(
    "fault",
    ["object", "sign of forces", "sign of stress", "order of stress", "force constant", "remembers", "place",
     "direction", "per atom", "nan", "shape", "changes"],
)  # fmt: skip
def test_faults_of_calculators(fault: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        run_calculator(fault)
