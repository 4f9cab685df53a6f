"""What must change nothing: where a crystal lies, how it is turned, mirrored, numbered, described; asking twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ase
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from crystalcli.potential_checks.asking import Answer, Array, Asking, Noise
from crystalcli.potential_checks.findings import Finding, judged, not_run

ENERGY, FORCE, STRESS = 1e-8, 1e-7, 1e-8
"""eV/atom, eV/Å, eV/Å³ that are rounding in double precision, of crystals of any size that a check would take."""
ROUNDING = 20.0
"""Standard deviations of noise that two answers may differ by: of the largest of some hundred numbers."""


@dataclass(frozen=True)
class SymmetryAnswer:
    """A structure seen in another way.

    Args:
        atoms: as it is seen. order: (N',) the atom of the structure that each atom is.
        turn: (3, 3) orthogonal; a vector v of the structure is v @ turn here.
    """

    atoms: ase.Atoms
    order: NDArray[np.int64]
    turn: Array


def checks(asking: Asking, name: str, atoms: ase.Atoms, noise: Noise, rng: np.random.Generator) -> list[Finding]:
    """All of this file on one structure."""
    stress = asking.gives_stress and bool(atoms.pbc.all())
    first = asking([atoms], stress=stress)[0]
    found = []
    for check, see in SEEING.items():
        seen = see(atoms, rng)
        if seen is None:
            found.append(not_run(check, name, "is not periodic"))
            continue
        found.append(_compared(check, name, first, asking([seen.atoms], stress=stress)[0], seen, noise))
    return found


def _compared(check: str, name: str, one: Answer, other: Answer, seen: SymmetryAnswer, noise: Noise) -> Finding:
    n, copies = len(one.forces), len(seen.atoms) / len(one.forces)
    should = one.forces[seen.order] @ seen.turn
    found = {
        "energy (eV/atom)": abs(other.energy / copies - one.energy) / n,
        "force (eV/Å)": float(np.abs(other.forces - should).max()),
    }
    size = float(np.abs(one.forces).max())
    allowed = {
        "energy (eV/atom)": ENERGY + ROUNDING * noise.energy / n,
        "force (eV/Å)": FORCE * max(1.0, size) + ROUNDING * noise.force,
    }
    if one.stress is not None and other.stress is not None:
        turned = seen.turn.T @ one.stress @ seen.turn
        found["stress (eV/Å³)"] = float(np.abs(other.stress - turned).max())
        volume = seen.atoms.get_volume() / copies
        # a stress is Σ r ⊗ F / V over pairs some Å long: its noise follows from that of the forces
        allowed["stress (eV/Å³)"] = STRESS + ROUNDING * noise.force * 10.0 * np.sqrt(n) / volume
    return judged(check, name, found, allowed, said=SAID[check])


def _again(atoms: ase.Atoms, _rng: np.random.Generator) -> SymmetryAnswer:
    return SymmetryAnswer(atoms.copy(), np.arange(len(atoms)), np.eye(3))


def _translated(atoms: ase.Atoms, rng: np.random.Generator) -> SymmetryAnswer:
    """Moved as a whole, and some atoms by lattice vectors: other images of the same crystal."""
    made = atoms.copy()
    made.positions += rng.normal(0.0, 2.0, 3)
    images = rng.integers(-1, 2, (len(atoms), 3)) * atoms.pbc
    made.positions += images @ atoms.cell.array
    return SymmetryAnswer(made, np.arange(len(atoms)), np.eye(3))


def _turned(atoms: ase.Atoms, by: Array) -> SymmetryAnswer:
    made = atoms.copy()
    made.set_cell(atoms.cell.array @ by)
    made.set_positions(atoms.positions @ by, apply_constraint=False)
    return SymmetryAnswer(made, np.arange(len(atoms)), by)


def _rotated(atoms: ase.Atoms, rng: np.random.Generator) -> SymmetryAnswer:
    return _turned(atoms, Rotation.random(random_state=int(rng.integers(2**31))).as_matrix())


def _mirrored(atoms: ase.Atoms, rng: np.random.Generator) -> SymmetryAnswer:
    """Reflected at a plane of any direction; two lattice vectors change places, so that the cell stays right-handed."""
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    seen = _turned(atoms, np.eye(3) - 2.0 * np.outer(normal, normal))
    made, swap = seen.atoms, [1, 0, 2]
    made.set_cell(made.cell.array[swap])
    made.pbc = made.pbc[swap]
    return seen


def _permuted(atoms: ase.Atoms, rng: np.random.Generator) -> SymmetryAnswer:
    order = rng.permutation(len(atoms))
    return SymmetryAnswer(atoms[order], order, np.eye(3))


def _repeated(atoms: ase.Atoms, _rng: np.random.Generator) -> SymmetryAnswer | None:
    """Twice along the shortest vector that it is periodic along."""
    if not atoms.pbc.any():
        return None
    lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
    times = np.ones(3, dtype=int)
    times[int(lengths.argmin())] = 2
    return SymmetryAnswer(atoms.repeat(tuple(times)), np.tile(np.arange(len(atoms)), 2), np.eye(3))


def _other_cell(atoms: ase.Atoms, _rng: np.random.Generator) -> SymmetryAnswer | None:
    """The same lattice by other vectors: b + a for b, c − a for c."""
    if not atoms.pbc.all():
        return None
    made = atoms.copy()
    made.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-1, 0, 1]]) @ atoms.cell.array)
    return SymmetryAnswer(made, np.arange(len(atoms)), np.eye(3))


SEEING: dict[str, Callable[[ase.Atoms, np.random.Generator], SymmetryAnswer | None]] = {
    "repeat": _again,
    "translation": _translated,
    "rotation": _rotated,
    "mirror": _mirrored,
    "permutation": _permuted,
    "supercell": _repeated,
    "cell": _other_cell,
}
SAID = {
    "repeat": "asked again it answers otherwise",
    "translation": "the answer depends on where the crystal lies, or which images of its atoms are given",
    "rotation": "the answer depends on how the crystal is turned",
    "mirror": "a crystal and its mirror image have other energies",
    "permutation": "the answer depends on the order of the atoms",
    "supercell": "a doubled cell is no doubled crystal",
    "cell": "the answer depends on which vectors span the lattice",
}
"""What is wrong where one of them fails."""
