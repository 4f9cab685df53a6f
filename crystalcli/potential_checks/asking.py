"""Questions to a potential: any structures at once, answers as plain arrays, and how noisy they are.

The noise of a computed function is what is left of it in differences of high order over points so near to each other
that the function itself leaves nothing: J. J. Moré, S. M. Wild, SIAM J. Sci. Comput. 33, 1292 (2011),
doi:10.1137/100786125. Rounding in single precision, and answers that depend on chance, are seen so without knowing how
the potential works; checks allow for it, and a noise that is too large is a finding of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.dynamics import Potential, fields_of
from crystalcli.nouns.structures.constraints import without_constraints
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError

MOST_ATOMS = 2048
"""Structures are asked about together until they have this many atoms."""
ORDER, POINTS, APART = 6, 13, 1e-4
"""Differences of this order, of so many points, so many Å apart."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What a potential says of one structure.

    Args:
        energy: eV. forces: (N, 3) eV/Å. stress: (3, 3) eV/Å³, or none where it was not asked for.
    """

    energy: float
    forces: Array
    stress: Array | None = None


@dataclass(frozen=True)
class Noise:
    """Standard deviations of what should be smooth: eV of the structure, and eV/Å of a component of a force."""

    energy: float
    force: float


class Asking:
    """A potential that answers about structures.

    Args:
        potential: whatever its kind.
    """

    def __init__(self, potential: Potential) -> None:
        self.potential = potential

    @property
    def gives_stress(self) -> bool:
        """Whether it can be asked for the stress."""
        return "stress" in self.potential.provides

    def __call__(self, structures: Sequence[ase.Atoms], *, stress: bool = False) -> list[Answer]:
        """Answers, in order.

        Raises:
            InputError: a structure that the potential cannot evaluate; says why.
        """
        found: list[Answer] = []
        block: list[ase.Atoms] = []
        for k, atoms in enumerate(structures):
            block.append(atoms)
            if k + 1 == len(structures) or sum(map(len, block)) + len(structures[k + 1]) > MOST_ATOMS:
                found += self._block(block, stress)
                block = []
        return found

    def systems(self, structures: Sequence[ase.Atoms]) -> Systems:
        """A batch for the potential, with the fields that it reads; nothing is held."""
        fields = [of_atoms(a, fields_of(self.potential)) for a in structures]
        return Systems.of([without_constraints(a) for a in structures], self.potential.device, fields)

    def _block(self, structures: Sequence[ase.Atoms], stress: bool) -> list[Answer]:
        try:
            told = self.potential.evaluate(self.systems(structures), stress=stress)
        except InputError as problem:
            reason = problem.reason.removeprefix("structure 0: ")
            raise InputError(reason, code=problem.code) from problem
        energy, forces = told.energy.detach().cpu().numpy(), told.forces.detach().cpu().numpy()
        stresses = None if told.stress is None else told.stress.detach().cpu().numpy()
        stops = np.cumsum([len(a) for a in structures])
        return [
            Answer(float(energy[k]), forces[stop - len(a) : stop], None if stresses is None else stresses[k])
            for k, (a, stop) in enumerate(zip(structures, stops, strict=True))
        ]

    def noise(self, atoms: ase.Atoms, rng: np.random.Generator) -> Noise:
        """Noise of energy and forces about ``atoms``."""
        along = rng.normal(size=(len(atoms), 3))
        answers = self([moved(atoms, APART * k * along) for k in range(POINTS)])
        scale = math.sqrt(math.factorial(2 * ORDER)) / math.factorial(ORDER)  # √(C(2k, k)): white noise in Δᵏ

        def left(values: Array) -> float:
            return float(np.sqrt(np.mean(np.diff(values, n=ORDER, axis=0) ** 2)) / scale)

        # the sixth derivative of a core at 1e-4 Å apart is far below rounding: 1e-24 of its value
        return Noise(left(np.array([a.energy for a in answers])), left(np.stack([a.forces for a in answers])))


def moved(atoms: ase.Atoms, by: Array) -> ase.Atoms:
    """``atoms`` displaced by (N, 3) Å."""
    made = atoms.copy()
    made.positions += by
    return made


def strained(atoms: ase.Atoms, strain: Array) -> ase.Atoms:
    """``atoms`` with cell and positions times 1 + ``strain`` (3, 3)."""
    made = atoms.copy()
    by = np.eye(3) + strain
    made.set_cell(atoms.cell.array @ by)
    made.set_positions(atoms.positions @ by, apply_constraint=False)
    return made
