"""Places for adsorbates on a slab: above which point of the plane, and how high."""

from __future__ import annotations

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial import Voronoi

Floats = NDArray[np.float64]
LOWEST = 0.5
"""Å above the nearest atom of the top layer: what is small enough to fall through a hollow stays on the slab."""
NO_EDGE = 0.1
"""Å: two atoms whose cells touch along less are no neighbors but corners of a square."""
_IMAGES = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)])


def places(top: Floats, cell: Floats) -> dict[str, Floats]:
    """Points of the plane, by kind, of the Voronoi diagram of the atoms of the top layer.

    Args:
        top: (M, 2) Å, of the atoms, anywhere.
        cell: (2, 2) Å.

    Returns:
        ``top``: the atoms; ``bridge``: midway between two whose cells share an edge; ``hollow``: as far from three or
        more; (P, 2) Å each, in the cell, in an order that depends on the places alone.
    """
    inside = _wrapped(top, cell)
    around = np.concatenate([inside + s @ cell for s in _IMAGES])
    diagram = Voronoi(around)
    bridges = []
    for (p, q), ends in zip(diagram.ridge_points, diagram.ridge_vertices, strict=True):
        if min(ends) >= 0 and np.ptp(diagram.vertices[ends], axis=0).max() > NO_EDGE:
            bridges.append(0.5 * (around[p] + around[q]))
    return {
        "top": _once(inside, cell),
        "bridge": _once(np.array(bridges), cell),
        "hollow": _once(diagram.vertices, cell),
    }


def height(
    point: Floats, number: int, positions: Floats, numbers: NDArray[np.int64], top: Floats, cell: Floats
) -> float:
    """Where an atom above ``point`` touches the slab: no distance is below the sum of covalent radii, one is equal.

    Args:
        point: (2,) Å.
        number: atomic, of the atom.
        positions: (N, 3) Å, of the slab.
        numbers: (N,), of the slab.
        top: (M, 3) Å, its top layer.
        cell: (2, 2) Å.

    Returns:
        z in Å, at least :data:`LOWEST` above the nearest atom of the top layer.
    """
    touch = covalent_radii[numbers] + covalent_radii[number]
    room = touch**2 - _across(positions, point, cell) ** 2
    reached = room > 0
    heights = positions[reached, 2] + np.sqrt(room[reached])
    floor = top[np.argmin(_across(top, point, cell)), 2] + LOWEST
    return float(max(floor, *heights)) if len(heights) else float(floor)


def _across(positions: Floats, point: Floats, cell: Floats) -> Floats:
    """(N,) Å in the plane, to the nearest image."""
    d = _wrapped(positions[:, :2] - point, cell)
    far = d[:, None] + _IMAGES @ cell
    nearest: Floats = np.linalg.norm(far, axis=-1).min(axis=1)
    return nearest


def _wrapped(points: Floats, cell: Floats) -> Floats:
    fraction = points @ np.linalg.inv(cell)
    found: Floats = (fraction - np.floor(fraction + 1e-6)) @ cell
    return found


def _once(points: Floats, cell: Floats) -> Floats:
    """Those in the cell, each once: images of the outer ones are among them."""
    fraction = points @ np.linalg.inv(cell)
    inside = points[((fraction > -1e-6) & (fraction < 1 - 1e-6)).all(axis=1)]
    order = np.lexsort(inside.round(4).T)
    kept: list[Floats] = []
    for point in inside[order]:
        if all(np.abs(point - k).max() > 1e-3 for k in kept):
            kept.append(point)
    return np.array(kept)
