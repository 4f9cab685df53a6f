"""What every calculator must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.data import covalent_radii
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated, NeighborPotential, neighbors_of
from crystalcli.contracts.records import Calculator
from crystalcli.nouns.graph import collate
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError

STEP = 1e-3
"""Å, and strain, of the central differences."""


class CalculatorContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    Structures are shaken from the record's ``example``, else from a rock salt of two of its elements, or an fcc of one.

    Args:
        gradient: by what share of the largest force (or stress) derivative and central differences may differ.
        same: eV; energies of one structure seen in two ways may differ by so much.
    """

    part: ClassVar[Calculator]
    options: ClassVar[Mapping[str, Any]] = {}
    gradient: ClassVar[float] = 1e-3
    same: ClassVar[float] = 1e-5

    def build(self) -> Any:
        """A fresh calculator."""
        built = self._built()
        return _OneByOne(built) if _takes_batches(built) else built

    def _built(self) -> Any:
        options: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        try:
            return self.part.build(options)
        except (EnvironmentProblem, UsageError) as problem:  # a package that is not there, or nothing without options
            pytest.skip(f"not run: {problem}")

    def example(self) -> ase.Atoms:
        """A crystal without symmetry that the calculator can evaluate."""
        if self.part.example is not None:
            atoms = self.part.example()
        else:
            known = sorted(self.part.elements) or [29]
            one, two = known[0], known[min(1, len(known) - 1)]
            length = 1.15 * (covalent_radii[one] + covalent_radii[two])
            atoms = bulk("X", "fcc", a=length * 2**0.5, cubic=True).repeat((2, 1, 1))
            atoms.numbers[:] = [one, two] * (len(atoms) // 2)
        atoms.rattle(0.05, seed=4)
        return atoms

    def results(self, atoms: ase.Atoms, *wanted: str) -> dict[str, Any]:
        """What a fresh calculator answers."""
        calculator, words = self.build(), list(wanted or ("energy", "forces"))
        if hasattr(calculator, "calculate"):
            calculator.calculate(atoms, words, all_changes)
            return dict(calculator.results)
        return {w: calculator.get_property(w, atoms) for w in words}

    def energy(self, atoms: ase.Atoms) -> float:
        """Energy, eV."""
        return float(self.results(atoms, "energy", "forces")["energy"])

    def test_is_a_calculator(self) -> None:
        """It has what an ASE calculator has, and gives energies and forces."""
        calculator = self.build()
        assert hasattr(calculator, "implemented_properties"), f"{type(calculator).__name__} is no ASE calculator"
        missing = {"energy", "forces"} - set(calculator.implemented_properties)
        assert not missing, f"it gives no {' and no '.join(sorted(missing))}"

    def test_answers(self) -> None:
        """Energy and forces are finite, of the right shape, and the structure is left as it was."""
        atoms = self.example()
        before = atoms.copy()
        found = self.results(atoms)
        assert np.isfinite(float(found["energy"])), f"energy is {found['energy']}"
        forces = np.asarray(found["forces"])
        assert forces.shape == (len(atoms), 3), f"forces have shape {forces.shape}"
        assert np.isfinite(forces).all(), "a force is not finite"
        assert atoms == before, "the structure is changed"

    def test_twice(self) -> None:
        """Asked again, after another structure, it answers the same: nothing is kept that counts."""
        atoms, other = self.example(), self.example()
        other.positions += 0.1 * np.sin(np.arange(3.0 * len(other))).reshape(-1, 3)
        first = self.energy(atoms)
        self.energy(other)
        assert abs(self.energy(atoms) - first) <= self.same, "the energy of one structure depends on what came before"

    def test_batch(self) -> None:
        """One that takes whole batches gives each structure the bits that it has alone."""
        potential = self._built()
        if not _takes_batches(potential):
            pytest.skip("takes one structure at a time")
        structures = [self.example(), self.example()[::-1], self.example().repeat((1, 2, 1))]
        together, first = _asked(potential, structures), 0
        for k, atoms in enumerate(structures):
            alone = _asked(self._built(), [atoms])
            rows = together.forces[first : first + len(atoms)]
            assert torch.equal(alone.energy[0], together.energy[k]), "an energy depends on what shares its batch"
            assert torch.equal(alone.forces, rows), "a force depends on what shares its batch"
            first += len(atoms)

    def test_forces(self) -> None:
        """Forces are the derivative of the energy, by central differences along three directions."""
        atoms = self.example()
        forces = np.asarray(self.results(atoms)["forces"], dtype=np.float64)
        rng = np.random.default_rng(5)
        for _ in range(3):
            along = rng.normal(size=forces.shape)
            along /= np.linalg.norm(along)
            numeric = -self._slope(lambda x, along=along: self._moved(atoms, x * along))
            found = float((forces * along).sum())
            allowed = self.gradient * max(float(np.abs(forces).max()), 1e-3)
            assert abs(found - numeric) <= allowed, f"force {found:.6g} eV/Å, central differences {numeric:.6g}"

    def test_stress(self) -> None:
        """Stress, where it is given, is the derivative by the strain over the volume, positive in tension."""
        if "stress" not in self.build().implemented_properties:
            pytest.skip("gives no stress")
        atoms = self.example()
        given = np.asarray(self.results(atoms, "energy", "forces", "stress")["stress"], dtype=np.float64)
        stress: NDArray[np.float64] = given if given.shape == (3, 3) else voigt_6_to_full_3x3_stress(given)
        for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
            numeric = self._slope(lambda e, i=i, j=j: self._strained(atoms, i, j, e)) / atoms.get_volume()
            allowed = self.gradient * max(float(np.abs(stress).max()), 1e-4)
            assert abs(stress[i, j] - numeric) <= allowed, (
                f"stress {'xyz'[i]}{'xyz'[j]} is {stress[i, j]:.6g} eV/Å³, central differences {numeric:.6g}"
            )

    def test_symmetry(self) -> None:
        """Translation, rotation, another order of the atoms change nothing; a doubled cell has twice the energy."""
        atoms = self.example()
        energy = self.energy(atoms)
        moved = atoms.copy()
        moved.positions += (0.3, -0.2, 0.7)
        turned = atoms.copy()
        turned.rotate(37, (1, 2, 3), rotate_cell=True)
        for what, other in (("translation", moved), ("rotation", turned), ("order of the atoms", atoms[::-1])):
            assert abs(self.energy(other) - energy) <= self.same, f"the energy changes by {what}"
        assert abs(self.energy(atoms.repeat((1, 2, 1))) - 2 * energy) <= 2 * self.same, (
            "a doubled cell has not twice the energy"
        )

    def _slope(self, at: Any) -> float:
        """Derivative of the energy of ``at(x)`` at 0; central differences of fourth order."""
        e = {x: self.energy(at(x * STEP)) for x in (-2, -1, 1, 2)}
        return float((8 * (e[1] - e[-1]) - (e[2] - e[-2])) / (12 * STEP))

    @staticmethod
    def _moved(atoms: ase.Atoms, by: NDArray[np.float64]) -> ase.Atoms:
        moved = atoms.copy()
        moved.positions += by
        return moved

    @staticmethod
    def _strained(atoms: ase.Atoms, i: int, j: int, strain: float) -> ase.Atoms:
        deformed = np.eye(3)
        deformed[i, j] += strain / 2
        deformed[j, i] += strain / 2
        made = atoms.copy()
        made.set_cell(atoms.cell.array @ deformed, scale_atoms=True)
        return made


def _takes_batches(built: Any) -> bool:
    return hasattr(built, "evaluate") and hasattr(built, "cutoff")


def _asked(potential: NeighborPotential, structures: Sequence[ase.Atoms], *, stress: bool = False) -> Evaluated:
    graphs = [neighbors_of(potential, atoms) for atoms in structures]
    return potential.evaluate(collate(graphs, torch.float64), stress=stress)


class _OneByOne:
    """A potential that takes batches, seen as ASE's calculators are."""

    def __init__(self, potential: NeighborPotential) -> None:
        self.potential, self.results = potential, dict[str, Any]()
        self.implemented_properties = sorted(potential.provides)

    def calculate(self, atoms: ase.Atoms, wanted: Sequence[str], _changes: Sequence[str]) -> None:
        """Ask it for one structure."""
        found = _asked(self.potential, [atoms], stress="stress" in wanted)
        self.results = {"energy": float(found.energy[0]), "forces": found.forces.numpy()}
        if found.stress is not None:
            self.results["stress"] = found.stress[0].numpy()
