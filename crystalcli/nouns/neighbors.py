"""Neighbor lists with all periodic images, exact for every cell."""

from __future__ import annotations

from typing import Literal

import ase
import numpy as np
from numpy.typing import NDArray
from pymatgen.optimization.neighbors import find_points_in_spheres

from crystalcli.nouns.arrays import GraphArrays

Ties = Literal["keep", "cut"]
TIE_TOLERANCE = 1e-6
"""Distances closer than this, in Å, count as equal."""


def neighbor_list(atoms: ase.Atoms, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Find every pair with all images within ``cutoff`` Å.

    Returns:
        edge_index (2, E) sorted by centre then distance, cell_shifts (E, 3), lengths (E,) in Å.
    """
    positions = np.ascontiguousarray(atoms.positions, dtype=np.float64)
    lattice = np.ascontiguousarray(atoms.cell.complete().array, dtype=np.float64)
    pbc = np.ascontiguousarray(atoms.pbc, dtype=np.int64)
    i, j, shifts, lengths = find_points_in_spheres(
        all_coords=positions, center_coords=positions, r=float(cutoff), pbc=pbc, lattice=lattice, tol=1e-8
    )
    shifts = shifts.astype(np.int64)
    real = ~((i == j) & (shifts == 0).all(axis=1))
    i, j, shifts, lengths = i[real], j[real], shifts[real], lengths[real]
    order = np.lexsort((shifts[:, 2], shifts[:, 1], shifts[:, 0], j, np.round(lengths / TIE_TOLERANCE), i))
    return np.stack([i, j])[:, order].astype(np.int64), shifts[order], lengths[order]


def nearest(
    edge_index: NDArray[np.int64], lengths: NDArray[np.float64], n_atoms: int, count: int, ties: Ties
) -> NDArray[np.bool_]:
    """Mask of the ``count`` shortest edges of every centre; edges tied with the last one stay or go with ``ties``."""
    starts = np.searchsorted(edge_index[0], np.arange(n_atoms))
    rank = np.arange(len(lengths)) - starts[edge_index[0]]
    mask: NDArray[np.bool_] = rank < count
    if ties == "keep":
        last = np.full(n_atoms, np.inf)
        at_limit = rank == count - 1
        last[edge_index[0][at_limit]] = lengths[at_limit]
        mask |= lengths <= last[edge_index[0]] + TIE_TOLERANCE
    return mask


def build_graph(atoms: ase.Atoms, *, cutoff: float, max_neighbors: int = 0, ties: Ties = "cut") -> GraphArrays:
    """Build the graph of ``atoms``: all edges within ``cutoff`` Å, or the ``max_neighbors`` shortest of each atom."""
    edge_index, shifts, lengths = neighbor_list(atoms, cutoff)
    if max_neighbors:
        kept = nearest(edge_index, lengths, len(atoms), max_neighbors, ties)
        edge_index, shifts = edge_index[:, kept], shifts[kept]
    return GraphArrays(
        positions=np.asarray(atoms.positions, dtype=np.float64),
        cell=np.asarray(atoms.cell.array, dtype=np.float64),
        pbc=np.asarray(atoms.pbc, dtype=bool),
        atomic_numbers=np.asarray(atoms.numbers, dtype=np.int64),
        edge_index=edge_index,
        cell_shifts=shifts,
    )
