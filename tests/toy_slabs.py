"""Slabs with adsorbates whose relaxed positions are known, and a plugin of toy parts that read fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
from ase.constraints import FixAtoms


def slabs(n: int, seed: int = 0) -> list[ase.Atoms]:
    """Slabs of 2 to 3 layers, the lowest one held, tags by layer, one atom on top; some atoms outside the cell.

    ``relaxed_positions`` are the start with the free atoms moved as :func:`pull` says, in another image of the cell for
    some; ``depth`` is any array of the file.
    """
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        metal, guest = ("Cu", "Ag", "Ni")[k % 3], ("H", "O")[k % 2]
        atoms = ase.build.fcc111(metal, (1, 2, 2 + k % 2), vacuum=6.0, orthogonal=True)
        ase.build.add_adsorbate(atoms, guest, 1.5 + 0.3 * rng.random(), "ontop")
        atoms.pbc = (True, True, False)
        atoms.set_constraint(FixAtoms(mask=atoms.get_tags() == 2 + k % 2))
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        atoms.positions[k % len(atoms)] += atoms.cell[0]  # outside
        relaxed = atoms.positions + pull(atoms)
        relaxed[-1] -= atoms.cell[1]
        atoms.set_array("relaxed_positions", relaxed)
        atoms.set_array("depth", atoms.positions[:, 2] - atoms.positions[:, 2].max())
        atoms.info = {"id": f"slab{k}" if seed == 0 else f"slab{seed}.{k}"}
        made.append(atoms)
    return made


def free(atoms: ase.Atoms) -> np.ndarray:
    """Which atoms may move, (N,) bool."""
    found = np.ones(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        found[constraint.index] = False
    return found


def pull(atoms: ase.Atoms) -> np.ndarray:
    """How far atoms move, Å: the guest up by 0.4 for H and 0.2 for O, free metal by 0.05 per unit of its tag."""
    guest = {1: 0.4, 8: 0.2}
    up = np.array([guest.get(z, 0.05 * t) for z, t in zip(atoms.numbers, atoms.get_tags(), strict=True)])
    return np.outer(free(atoms) * up, [0.3, 0.0, 1.0])


def write(path: Path, structures: Sequence[ase.Atoms]) -> Path:
    """As extended XYZ, with ``move_mask`` and ``tags``."""
    ase.io.write(path, list(structures), format="extxyz")
    return path


PLUGIN = Path(__file__).with_name("toy_parts.py")
"""Of the toy parts; for ``CRYSTAL_PLUGINS``."""
