"""Which atoms of a crystal its space group takes onto each other: what is an invariant of one is that of all."""

from __future__ import annotations

import os
import warnings

import ase
import numpy as np
from numpy.typing import NDArray

ORBIT = "orbit"
"""Field of a graph, (N,): the first atom, counted in its crystal, that symmetry makes equal to this one."""


def orbits(atoms: ase.Atoms, symprec: float) -> NDArray[np.int64]:
    """For every atom the first one of its orbit, (N,): itself where it is alone, or where no symmetry is looked for.

    Symmetry is found by spglib (A. Togo, K. Shinohara, I. Tanaka, Sci. Technol. Adv. Mater. Methods 4, 2384822 (2024)),
    translations inside the cell included. It is looked for in elements and positions alone, and in crystals that are
    periodic along all three vectors. A supercell has the orbits of the crystal that it repeats.

    Args:
        atoms: the crystal.
        symprec: atoms that an operation takes onto each other within this distance are equal, Å.
    """
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # what it finds is seen; its own lines name no structure
    import spglib

    own = np.arange(len(atoms))
    if len(atoms) < 2 or not bool(np.all(atoms.pbc)):
        return own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how a future spglib will say that it found nothing
        try:
            found = spglib.get_symmetry_dataset(
                (atoms.cell.array, atoms.get_scaled_positions(wrap=False), atoms.numbers), symprec=symprec
            )
        except Exception:  # it gives up in several ways; without symmetry every atom is computed
            found = None
    if found is None:
        return own
    _, first, index = np.unique(found.crystallographic_orbits, return_index=True, return_inverse=True)
    return first[index].astype(np.int64)
