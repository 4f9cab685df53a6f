"""The graph of one crystal as numpy arrays, and which of its atoms its space group makes equal."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

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


@dataclass(frozen=True)
class GraphArrays:
    """One crystal and its directed edges with periodic images.

    Args:
        positions: (N, 3) float64, Å.
        cell: (3, 3) float64, lattice vectors as rows, Å; zero rows along non-periodic directions are legal.
        pbc: (3,) bool.
        atomic_numbers: (N,) int64.
        edge_index: (2, E) int64, [centre i, neighbor j], sorted by centre.
        cell_shifts: (E, 3) int64, S in ``d = r_j + S·cell − r_i``.
        fields: further named arrays with leading axis N (per site), e.g. a mask of fixed atoms; those that parts ask
            for by name are added by the program, see :mod:`crystalcli.nouns.structures.site_fields`.
    """

    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    atomic_numbers: NDArray[np.int64]
    edge_index: NDArray[np.int64]
    cell_shifts: NDArray[np.int64]
    fields: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atomic_numbers)

    @property
    def n_edges(self) -> int:
        """Number of directed edges."""
        return int(self.edge_index.shape[1])


def one_way(graph: GraphArrays) -> GraphArrays:
    """Every pair in one of its two directions: to the higher atom, or of an atom to its image ahead."""
    (i, j), (a, b, c) = graph.edge_index, graph.cell_shifts.T
    ahead = (a > 0) | ((a == 0) & ((b > 0) | ((b == 0) & (c > 0))))
    kept = np.flatnonzero((j > i) | ((j == i) & ahead))
    return replace(graph, edge_index=graph.edge_index[:, kept], cell_shifts=graph.cell_shifts[kept])
