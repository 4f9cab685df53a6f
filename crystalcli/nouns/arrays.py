"""The graph of one crystal as numpy arrays: what a featurizer builds and the cache stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray


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
