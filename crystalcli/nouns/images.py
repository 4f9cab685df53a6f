"""Differences of positions in a periodic crystal: of all images the nearest one, exact for skewed cells and needles."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.nouns import cells
from crystalcli.nouns.graph import CrystalGraph

MOST_IMAGES = 125
"""Where more would have to be looked at, the cell is replaced by the most compact one of its lattice."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def minimum_image(graph: CrystalGraph, vectors: Tensor) -> Tensor:
    """The shortest of ``v + S·cell`` for every site, S whole numbers along periodic directions.

    Args:
        graph: whose cells count.
        vectors: (N, 3) Å, e.g. predicted minus true positions; NaN stays.

    Returns:
        (N, 3) in the dtype of ``vectors``; its derivative with respect to them and to the cell is that of S held fixed.
    """
    host, stops = vectors.detach().double().cpu().numpy(), np.cumsum(graph.atom_counts.cpu().numpy())
    cell, pbc = graph.cell.detach().double().cpu().numpy(), graph.pbc.cpu().numpy()
    parts = np.split(host, stops[:-1])
    shifts = np.concatenate([lattice_shifts(v, c, p) for v, c, p in zip(parts, cell, pbc, strict=True)])
    rows = torch.as_tensor(shifts, device=vectors.device, dtype=vectors.dtype).unsqueeze(1)
    moved: Tensor = (rows @ graph.cell.to(vectors.dtype).index_select(0, graph.structure_index)).squeeze(1)
    return vectors + moved


def lattice_shifts(vectors: Floats, cell: Floats, pbc: NDArray[np.bool_]) -> Ints:
    """S, (N, 3), that makes ``v + S·cell`` shortest for every row of ``vectors``, (N, 3) Å; 0 along other directions.

    Raises:
        ZeroDivisionError: the cell is flat along a periodic direction.
    """
    if not pbc.any() or not len(vectors):
        return np.zeros((len(vectors), 3), dtype=np.int64)
    whole = cells.completed(np.where(pbc[:, None], cell, 0.0))
    vectors = np.nan_to_num(vectors)
    first, reach = _rounded(vectors, whole, pbc)
    if np.prod(2 * reach + 1) > MOST_IMAGES:
        whole, change = minkowski_reduce(whole, pbc)
        first, reach = _rounded(vectors, whole, pbc)
    else:
        change = np.eye(3, dtype=np.int64)
    near = np.array(sorted(product(*(range(-r, r + 1) for r in reach)), key=lambda s: sum(map(abs, s))))
    left = (vectors + first @ whole)[:, None] + near @ whole
    best = near[np.square(left).sum(2).argmin(1)]
    found: Ints = np.rint((first + best) @ change).astype(np.int64)
    return found


def _rounded(vectors: Floats, cell: Floats, pbc: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Shifts to the image in the middle cell, and how many cells around it may hold a nearer one.

    A vector no longer than L has components of at most L over the height of the cell.
    """
    inverse = cells.inverse(cell)
    shifts = -np.rint(vectors @ inverse) * pbc
    longest = np.linalg.norm(vectors + shifts @ cell, axis=1).max()
    reach = np.floor(longest * np.linalg.norm(inverse, axis=0) + 0.5) * pbc
    return shifts.astype(np.int64), reach.astype(np.int64)
