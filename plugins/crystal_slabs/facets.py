"""Slabs of one lattice: the facets, cut by ASE, with the layer and the cubic place of every atom."""

from __future__ import annotations

from dataclasses import dataclass

import ase.build
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
A, C_OVER_A = 4.0, 1.6
"""Lattice constant (Å) and ratio with which ASE cuts; whoever wants others scales."""


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
