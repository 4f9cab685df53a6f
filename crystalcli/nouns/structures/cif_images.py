"""Symmetry operations and a cell: whether the two go together, and the images that the operations make of sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError

MAX_IMAGES = 2_000_000
SAME, APART = 1e-3, 0.5
"""Å. Images of one site nearer than SAME are one atom, farther than APART are two; between lies doubt."""

Operations = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Rotations (k, 3, 3) and translations (k, 3), fractional."""


class DoubtfulError(Exception):
    """Images of a site that are neither clearly one atom nor clearly two."""


def squared(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(9k, 9): what makes RᵀGR, flat, of a flat metric G, for each of the rotations (k, 3, 3)."""
    made: NDArray[np.float64] = np.einsum("kai,kbj->kijab", rotations, rotations).reshape(-1, 9)
    return made


def misfits(squares: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each of k squared rotations is from an isometry of the cell (rows, Å): (k,), 0 for one that is.

    The metric G = cell·cellᵀ must be its own image RᵀGR; the largest difference, relative to |a_i||a_j|.
    """
    metric = cell @ cell.T
    lengths = np.sqrt(metric.diagonal())
    flat = metric.ravel()
    difference = np.abs((squares @ flat).reshape(-1, 9) - flat)
    worst: NDArray[np.float64] = (difference / (lengths[:, None] * lengths).ravel()).max(1)
    return worst


def expand(
    fractional: NDArray[np.float64],
    ops: Operations,
    cell: NDArray[np.float64],
    same: float = SAME,
    apart: float = APART,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All images of the sites: index of the site (N,) and fractional coordinates (N, 3) in [0, 1), each image once.

    Images within ``same`` Å of each other are one, those beyond ``apart`` are two.

    Raises:
        DoubtfulError: two images of a site lie between.
    """
    rotations, translations = ops
    if len(fractional) * len(rotations) > MAX_IMAGES:
        raise InputError(f"{len(fractional)} sites times {len(rotations)} operations are too many", code="too-large")
    which: list[NDArray[np.int64]] = []
    where: list[NDArray[np.float64]] = []
    for k, site in enumerate(fractional):
        images = rotations @ site + translations
        images -= np.floor(images)
        delta = images[:, None] - images[None]
        delta -= np.rint(delta)
        delta = delta @ cell
        distance = np.sqrt((delta * delta).sum(-1))
        one = distance < same
        unclear = ~one & (distance < apart)
        if unclear.any():
            raise DoubtfulError(f"images of site {k + 1} are {distance[unclear].min():.2g} Å apart")
        first = one.argmax(1) == np.arange(len(images))
        which.append(np.full(int(first.sum()), k, dtype=np.int64))
        where.append(images[first])
    return np.concatenate(which), np.concatenate(where)
