"""Answers of calculators in shapes that nobody expects: meant ones are taken, others cost their structure alone."""

import sys
from collections.abc import Callable
from typing import Any

import ase
import numpy as np
import pytest
import torch
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import all_changes

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.contracts.records import Calculator
from crystalcli.engine.potential.potentials import CalculatorPotential, of_calculator
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.systems import Systems
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import InputError

Change = Callable[[dict[str, Any]], object]
BAD = 8
"""An oxygen; the second structure has it."""


class Changed(AseCalculator):  # type: ignore[misc] # ASE is untyped
    """Springs to the origin, whose answer about a structure with oxygen, or about all, is changed."""

    implemented_properties = ("energy", "forces", "stress", "energies")

    def __init__(self, change: Change, every: bool) -> None:
        super().__init__()
        self.change, self.every = change, every

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        x = atoms.positions
        stress = np.arange(6.0)
        self.results = {"energy": float((x**2).sum()), "forces": -2 * x, "stress": stress, "energies": (x**2).sum(1)}
        if self.every or BAD in atoms.numbers:
            self.change(self.results)


def potential(change: Change, every: bool = False) -> CalculatorPotential:
    return CalculatorPotential(Calculator(name="odd", summary="s", build=lambda _: None), Changed(change, every))


def some() -> Systems:
    return Systems.of([crystals.one_atom(), crystals.rattled(0), crystals.one_atom()])


def put(name: str, make: Callable[[Any], Any]) -> Change:
    return lambda results: results.__setitem__(name, make(results[name]))


MEANT = {
    "energy in an array": put("energy", lambda e: np.array([e])),
    "energy in a list of lists": put("energy", lambda e: [[e]]),
    "energies in a column": put("energies", lambda e: e[:, None]),
    "forces of a batch of one": put("forces", lambda f: f[None]),
    "forces as lists": put("forces", lambda f: f.tolist()),
    "stress of a batch of one": put("stress", lambda s: s[None]),
    "stress as a matrix": put(
        "stress", lambda s: np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
    ),
}


@pytest.mark.parametrize("meant", MEANT)
def test_what_is_meant_is_taken(meant: str) -> None:
    plain = potential(lambda _: None).evaluate(some(), stress=True)
    for every in (False, True):  # alone among plain answers, or all
        found = potential(MEANT[meant], every).evaluate(some(), stress=True)
        for name in ("energy", "forces", "stress", "energies"):
            one, other = getattr(found, name), getattr(plain, name)
            assert torch.equal(one, other), name


ODD = {
    "energy of every atom": (put("energy", lambda _: np.zeros(5)), "energy of shape (5,), not one number"),
    "no energy": (put("energy", lambda _: None), "no energy"),
    "energy as text": (put("energy", lambda _: "low"), "no numbers for energy: ValueError"),
    "an atom's forces missing": (put("forces", lambda f: f[1:]), "forces of shape (4, 3), not (5, 3)"),
    "no forces": (put("forces", lambda _: None), "no forces"),
    "forces in a row": (put("forces", np.ravel), "forces of shape (15,), not (5, 3)"),
    "forces of no shape": (put("forces", lambda f: [*f[1:].tolist(), [0.0]]), "no numbers for forces: ValueError"),
    "stress of three": (put("stress", lambda s: s[:3]), "stress of shape (3,), not (6,) or (3, 3)"),
    "pressure": (put("stress", lambda _: 0.0), "stress of shape (), not (6,) or (3, 3)"),
    "energies too many": (put("energies", lambda e: np.append(e, 0.0)), "energies of shape (6,), not (5,)"),
    "exit": (lambda _: sys.exit(0), "calls sys.exit(0)"),
    "exit with words": (lambda _: sys.exit("no licence"), "calls sys.exit('no licence')"),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_costs_its_structure(odd: str) -> None:
    change, said = ODD[odd]
    with pytest.raises(InputError) as raised:
        potential(change).evaluate(some(), stress=True)
    assert raised.value.reason.startswith("structure 1: odd")
    assert said in raised.value.reason
    assert raised.value.code == "calculator"


def test_an_interruption_is_the_users() -> None:
    def interrupted(_results: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        potential(interrupted).evaluate(some())


class Batches:
    """Takes whole batches; its answer is changed."""

    cutoff, provides, once = 3.0, frozenset({"energy", "forces", "stress"}), False
    elements = frozenset[int]()

    def __init__(self, change: Callable[[CrystalGraph], Any]) -> None:
        self.change = change

    def evaluate(self, graph: CrystalGraph, *, stress: bool) -> Any:  # noqa: ARG002
        return self.change(graph)


def answer(graph: CrystalGraph, **changed: Any) -> Evaluated:
    energy, forces = torch.ones(graph.n_structures), torch.zeros(graph.n_atoms, 3)
    return Evaluated(**{"energy": energy, "forces": forces, "stress": torch.zeros(graph.n_structures, 3, 3), **changed})


WHOLE: dict[str, tuple[Callable[[CrystalGraph], Any], str]] = {
    "nothing": (lambda _: None, "gives no energy"),
    "one energy": (lambda g: answer(g, energy=torch.ones(2)), "energy of shape (2,), not (3,)"),
    "no tensor": (lambda g: answer(g, forces=[]), "a list, not a tensor, for forces"),
    "atoms missing": (lambda g: answer(g, forces=torch.ones(6, 3)), "forces of shape (6, 3), not (7, 3)"),
    "stress of six": (lambda g: answer(g, stress=torch.ones(3, 6)), "stress of shape (3, 6), not (3, 3, 3)"),
    "raises": (lambda _: 1 / 0, "ZeroDivisionError"),
    "exit": (lambda _: sys.exit(3), "calls sys.exit(3)"),
}


def of_batches(change: Callable[[CrystalGraph], Any]) -> Any:
    return of_calculator(
        Calculator(name="whole", summary="s", build=lambda _: Batches(change)), {}, torch.device("cpu")
    )


@pytest.mark.parametrize("odd", WHOLE)
def test_of_whole_batches_too(odd: str) -> None:
    change, said = WHOLE[odd]
    with pytest.raises(InputError) as raised:
        of_batches(change).evaluate(some(), stress=True)
    assert said in raised.value.reason
    assert raised.value.reason.startswith("whole")


def test_a_batch_that_is_too_large_is_no_structures_fault() -> None:
    def full(_graph: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        of_batches(full).evaluate(some())


def test_answers_of_batches_are_double() -> None:
    found = of_batches(lambda g: answer(g, energy=torch.ones(3, 1))).evaluate(some(), stress=True)
    assert found.energy.shape == (3,)
    assert {found.energy.dtype, found.forces.dtype, found.stress.dtype} == {torch.float64}


def test_a_lone_atom_has_forces_in_a_row() -> None:
    def row(results: dict[str, Any]) -> None:
        if len(results["forces"]) == 1:
            results["forces"] = results["forces"][0]

    one = Systems.of([ase.Atoms("Cu", positions=[(1.0, 2.0, 3.0)])])
    assert potential(row, every=True).evaluate(one).forces.tolist() == [[-2.0, -4.0, -6.0]]


class BySignedVolume(AseCalculator):  # type: ignore[misc] # ASE is untyped
    """A gas, as packages have it that take the volume for a triple product; it says a stress without a cell, too."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        volume = np.linalg.det(atoms.cell.array) or 1.0
        forces = np.zeros((len(atoms), 3))
        self.results = {"energy": -np.log(abs(volume)), "forces": forces, "stress": -np.ones(6) / volume}


def test_left_handed_cells_have_the_stress_of_right_handed_ones() -> None:
    right = crystals.rattled(0)
    left = right.copy()
    left.set_cell(right.cell.array[[0, 2, 1]])
    made = CalculatorPotential(Calculator(name="gas", summary="s", build=lambda _: None), BySignedVolume())
    found = made.evaluate(Systems.of([right, left]), stress=True).stress
    assert found is not None
    assert float(found[0, 0, 0]) < 0.0
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=0.0)


def test_no_volume_no_stress() -> None:
    made = CalculatorPotential(Calculator(name="gas", summary="s", build=lambda _: None), BySignedVolume())
    molecule = Systems.of([ase.Atoms("CO", positions=[(0.0, 0.0, 0.0), (0.0, 0.0, 1.1)])])
    assert made.evaluate(molecule).stress is None
    with pytest.raises(InputError, match="structure 0: gas gives no stress; its cell has fewer than three vectors"):
        made.evaluate(molecule, stress=True)
