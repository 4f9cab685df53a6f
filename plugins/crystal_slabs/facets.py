"""Slabs of one lattice: the facets, cut by ASE, with the layer of every atom, and places for adsorbates."""

from __future__ import annotations

from dataclasses import dataclass

import ase.build
import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial import Voronoi

Floats = NDArray[np.float64]
A, C_OVER_A = 4.0, 1.6
"""Lattice constant (Å) and ratio with which ASE cuts; whoever wants others scales."""

LOWEST = 0.5
"""Å above the nearest atom of the top layer: what is small enough to fall through a hollow stays on the slab."""
NO_EDGE = 0.1
"""Å: two atoms whose cells touch along less are no neighbors but corners of a square."""
_IMAGES = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)])


@dataclass(frozen=True)
class Facet:
    """A surface of a lattice.

    Args:
        lattice: fcc, bcc or hcp.
        miller: of its plane; for hcp in four numbers.
        along: direction of the cell's x in cubic axes, as ASE lays it (fcc only; ordered alloys need it).
        planes: lattice planes in one layer: three in the terraces of (211).
    """

    lattice: str
    miller: tuple[int, ...]
    along: tuple[int, int, int] | None = None
    planes: int = 1


FACETS: dict[str, Facet] = {
    "fcc111": Facet("fcc", (1, 1, 1), (1, 0, -1)),
    "fcc100": Facet("fcc", (0, 0, 1), (1, -1, 0)),
    "fcc110": Facet("fcc", (1, 1, 0), (0, 0, 1)),
    "fcc211": Facet("fcc", (2, 1, 1), (1, -1, -1), planes=3),
    "bcc110": Facet("bcc", (1, 1, 0)),
    "bcc100": Facet("bcc", (0, 0, 1)),
    "hcp0001": Facet("hcp", (0, 0, 0, 1)),
}


@dataclass(frozen=True)
class Ideal:
    """A slab of one lattice, of lattice constant :data:`A`.

    Args:
        positions: (N, 3) Å. cell: (2, 3) Å, in the plane.
        layer: (N,) of each atom, 0 at the bottom.
        cubic: (N, 3) int, places in halves of the cubic vectors, of fcc.
    """

    positions: Floats
    cell: Floats
    layer: NDArray[np.int64]
    cubic: NDArray[np.int64] | None


def ideal(name: str, repeat: tuple[int, int], layers: int) -> Ideal:
    """The slab ``name`` of so many surface cells and layers."""
    facet = FACETS[name]
    size = (3 * repeat[0] if name == "fcc211" else repeat[0], repeat[1], layers)
    more = {"c": C_OVER_A * A} if facet.lattice == "hcp" else {}
    atoms = getattr(ase.build, name)("X" if name != "fcc211" else "Cu", size, a=A, vacuum=5.0, **more)
    heights = np.unique(atoms.positions[:, 2].round(4), return_inverse=True)[1]
    cubic = None if facet.along is None else _cubic(atoms.positions, facet.along, facet.miller)
    return Ideal(atoms.positions, atoms.cell.array[:2], heights // facet.planes, cubic)


def _cubic(positions: Floats, along: tuple[int, ...], miller: tuple[int, ...]) -> NDArray[np.int64]:
    x, z = (np.array(v, dtype=float) / np.linalg.norm(v) for v in (along, miller))
    axes = np.array([x, np.cross(z, x), z])  # rows: the cell's axes in cubic ones
    found = (positions - positions[0]) @ axes * 2 / A
    places: NDArray[np.int64] = np.rint(found).astype(np.int64)
    assert np.abs(found - places).max() < 1e-3
    return places


def ordered(cubic: NDArray[np.int64], kind: str, axis: int, shift: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which sites of an fcc lattice the second element has.

    Args:
        cubic: (N, 3) places in halves of the cubic vectors.
        kind: ``L1_0``, planes along ``axis`` by turns; ``L1_2``, the corners of the cubes.
        axis: of the planes.
        shift: (3,) a vector of the lattice: which of the sublattices is the second element's.
    """
    moved = cubic + shift
    if kind == "L1_0":
        planes: NDArray[np.bool_] = moved[:, axis] % 2 == 0
        return planes
    corners: NDArray[np.bool_] = (moved % 2 == 0).all(axis=1)
    return corners


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
