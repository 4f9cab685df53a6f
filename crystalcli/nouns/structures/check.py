"""Readers are no gatekeepers: every structure passes here before anything is computed from it."""

from __future__ import annotations

import math

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.vocabulary.errors import InputError

OVERLAP = 0.25
"""Å. Atoms nearer than this are refused: no bond is shorter than H2's 0.74 Å, real unrelaxed data go down to 0.31 Å."""
CLOSE = 0.5
"""Å. Atoms nearer than this are worth a warning."""
SHORTEST_VECTOR = 0.7
"""Å. No crystal repeats in less; hydrogen under pressure, in computations, comes down to 0.94 Å."""
SHORT_VECTOR = 1.5
"""Å. Shorter repeats are worth a warning: ordinary matter has none below 2 Å."""
SMALLEST_VOLUME = 0.5
"""Å³ per atom; hydrogen in the core of Jupiter has more."""
SMALL_VOLUME = 1.8
"""Å³ per atom, worth a warning; 2.4 Å³ is the least among 65,000 computed crystals, some at 1,000 GPa."""
LARGEST = 1e5
"""Å. Cells and coordinates beyond are nonsense (and cost neighbour searches their memory)."""
FULL = 1e-3
"""An occupancy this near to 1 is full."""
_DENSE = 64


def is_full(occupancy: float) -> bool:
    """Whether an occupancy is 1 within what files round to; a site that is less is shared or empty at times."""
    return abs(occupancy - 1) <= FULL + 1e-9  # 0.999 counts, whatever binary makes of it


def check(atoms: ase.Atoms) -> tuple[str, ...]:
    """Return warnings about ``atoms``, or refuse it.

    Raises:
        InputError: no atoms, an element that is none, a number that is not finite, a cell without volume or with
            images nearer than :data:`SHORTEST_VECTOR`, atoms nearer than :data:`OVERLAP` (the distance is named).
    """
    if len(atoms) == 0:
        raise InputError("has no atoms", code="no-atoms")
    _elements(atoms.numbers)
    cell, pbc = atoms.cell.array, atoms.pbc
    warnings = _cell(cell, pbc, len(atoms))
    positions = atoms.positions
    largest = float(np.abs(positions).max())  # not finite if any is not
    if not math.isfinite(largest):
        k = int((~np.isfinite(positions).all(1)).argmax())
        raise InputError(f"position of atom {k} is {_text(positions[k])}", code="not-finite")
    if largest > LARGEST:
        raise InputError(f"a coordinate is {largest:.3g} Å", code="not-finite")
    i, j, distance = closest(positions, cell, pbc, CLOSE)
    if distance < OVERLAP:
        names = atoms.get_chemical_symbols()
        what = "duplicate atoms" if distance < 1e-3 else "atoms overlap"
        raise InputError(f"{what}: {names[i]} {i} and {names[j]} {j} are {distance:.3g} Å apart", code="overlap")
    if distance < CLOSE:
        warnings.append(f"atoms {i} and {j} are only {distance:.2f} Å apart")
    if not pbc.any() and not cell.any():
        warnings.append("no cell: taken as a molecule")
    return tuple(warnings)


def _elements(numbers: NDArray[np.int64]) -> None:
    if numbers.min() < 1 or numbers.max() > 118:
        k = int(((numbers < 1) | (numbers > 118)).argmax())
        raise InputError(f"atom {k} is no element (atomic number {numbers[k]})", code="element")


def _cell(cell: NDArray[np.float64], pbc: NDArray[np.bool_], n: int) -> list[str]:
    if not np.isfinite(cell).all():
        raise InputError(f"cell is not finite: {_text(cell[~np.isfinite(cell).all(1)][0])}", code="cell")
    if not cell.any() and not pbc.any():
        return []
    lengths = cells.lengths(cell)
    if max(lengths) > LARGEST:
        raise InputError(f"a cell vector is {max(lengths):.3g} Å long", code="cell")
    periodic = [(length, name) for length, name, p in zip(lengths, "abc", pbc.tolist(), strict=True) if p]
    for length, name in periodic:
        if length < SHORTEST_VECTOR:
            text = f"shortest image distance is {length:.3g} Å (cell vector {name})"
            raise InputError(text if length else f"cell vector {name} is zero", code="cell")
    least = min(periodic, default=(math.inf, ""))[0]
    warnings = [f"a cell vector is only {least:.2f} Å long"] if least < SHORT_VECTOR else []
    if not pbc.all():
        return warnings
    volume = abs(cells.volume(cell))
    if volume < SMALLEST_VOLUME * n:
        raise InputError(f"cell volume is {volume:.3g} Å³ for {n} atoms: flat, or atoms too many", code="cell")
    if volume < SMALL_VOLUME * n:
        warnings.append(f"only {volume / n:.2f} Å³ per atom")
    return warnings


def closest(
    positions: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_], below: float
) -> tuple[int, int, float]:
    """Nearest pair of atoms, images included, if nearer than ``below``: (i, j, distance), else (-1, -1, inf).

    Exact: where all plane spacings exceed twice ``below``, the nearest image within it is the one that rounding gives;
    smaller cells are searched in full.
    """
    filled = cells.completed(cell) if not pbc.all() else cell
    if cells.is_flat(filled):
        raise InputError("the cell is flat: two of its vectors are parallel, or all in one plane", code="cell")
    inverse = cells.inverse(filled)
    spacing = 1 / np.sqrt((inverse * inverse).sum(0))
    if (spacing[pbc] < 2.02 * below).any():
        return _search_in_full(positions, filled, pbc, below)
    fractional = positions @ inverse
    if len(positions) <= _DENSE:
        return _by_rounding(fractional, filled, pbc, below)
    return _by_tree(fractional, filled, pbc, below, below / spacing)


def _by_rounding(
    fractional: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_], below: float
) -> tuple[int, int, float]:
    n = len(fractional)
    delta = fractional[:, None] - fractional[None]
    delta -= np.rint(delta) * pbc
    delta = delta.reshape(-1, 3) @ cell
    squared = np.einsum("ij,ij->i", delta, delta)
    squared[:: n + 1] = np.inf
    k = int(squared.argmin())
    distance = math.sqrt(squared[k])
    return (k // n, k % n, distance) if distance < below else (-1, -1, np.inf)


def _by_tree(
    fractional: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    below: float,
    margin: NDArray[np.float64],
) -> tuple[int, int, float]:
    """The atoms, and images of those just inside the lower faces, in one k-d tree."""
    from scipy.spatial import cKDTree

    points = fractional - np.floor(fractional) * pbc
    who = np.arange(len(points))
    for axis in np.flatnonzero(pbc):
        near = points[:, axis] <= margin[axis]
        points = np.concatenate([points, points[near] + np.eye(3)[axis]])
        who = np.concatenate([who, who[near]])
    positions = points @ cell
    pairs = cKDTree(positions).query_pairs(below, output_type="ndarray")
    pairs = pairs[who[pairs[:, 0]] != who[pairs[:, 1]]]
    if not len(pairs):
        return -1, -1, np.inf
    distance = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    k = int(distance.argmin())
    i, j = sorted(who[pairs[k]].tolist())
    return i, j, float(distance[k])


def _search_in_full(
    positions: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_], below: float
) -> tuple[int, int, float]:
    from pymatgen.optimization.neighbors import find_points_in_spheres

    where, lattice = np.ascontiguousarray(positions, dtype=float), np.ascontiguousarray(cell, dtype=float)
    i, j, shift, distance = find_points_in_spheres(where, where, below, pbc.astype(np.int64), lattice)
    other = (i != j) | shift.any(1)
    if not other.any():
        return -1, -1, np.inf
    k = int(np.where(other, distance, np.inf).argmin())
    return int(i[k]), int(j[k]), float(distance[k])


def _text(vector: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{x:g}" for x in vector) + ")"
