"""Neighbor lists with all periodic images, exact for every cell: tiny, needle-like, skewed, left-handed, any pbc.

The search itself is pymatgen's cell list; what stands around it here makes it exact and cheap where it alone is not:
atoms outside the cell are wrapped first and the shifts converted back, zero vectors along non-periodic directions are
completed, far-apart atoms go through a k-d tree (the cell list would allocate every empty cell between them), and the
search for the nearest few starts with a smaller sphere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.vocabulary.errors import InputError

Ties = Literal["keep", "cut"]
TIE_TOLERANCE = 1e-6
"""Distances closer than this, in Å, count as equal: at the cutoff, and at the last place of the nearest few."""

_MAX_CELLS = 2_000_000
"""More cells of the cell list than this, and the k-d tree is used."""

_FIRST_GUESS = 1.7
"""The first sphere of a search for the nearest M holds this many times M atoms at the mean density."""


@dataclass(frozen=True)
class _Pairs:
    """Pairs in any order: centres, neighbors (E,), shifts (E, 3) of the wrapped atoms, lengths (E,) Å."""

    centre: NDArray[np.int64]
    neighbor: NDArray[np.int64]
    shift: NDArray[np.int64]
    length: NDArray[np.float64]

    def take(self, which: NDArray[np.intp]) -> _Pairs:
        return _Pairs(self.centre[which], self.neighbor[which], self.shift[which], self.length[which])


@dataclass(frozen=True)
class _Wrapped:
    """Atoms moved into their cell: positions (N, 3), complete cell (3, 3), pbc (3,), and by how many cells (N, 3)."""

    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    moved: NDArray[np.int64]


def neighbor_list(atoms: ase.Atoms, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Find every pair with all images within ``cutoff`` Å (that distance included, with the tolerance of ties).

    Returns:
        edge_index (2, E), cell_shifts (E, 3), lengths (E,) in Å; sorted by centre, distance, neighbor, shift, where
        distances that differ by less than the tolerance count as equal, so that noise does not change the order.

    Raises:
        InputError: the cell is flat along a periodic direction, or a number is not finite.
    """
    wrapped = _wrap(atoms)
    return _finished(_ordered(_within(wrapped, np.arange(len(atoms)), cutoff)), wrapped)


def pairs_within(atoms: ase.Atoms, cutoff: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Centres, neighbors (E,) and lengths (E,) Å of :func:`neighbor_list` in any order, for sums over pairs."""
    pairs = _within(_wrap(atoms), np.arange(len(atoms)), cutoff)
    return pairs.centre, pairs.neighbor, pairs.length


def nearest_neighbors(
    atoms: ase.Atoms, cutoff: float, count: int, ties: Ties = "cut"
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Find the ``count`` nearest neighbors of every atom within ``cutoff`` Å; all of them where there are fewer.

    Edges tied with the last one (within the tolerance) all stay with ``ties="keep"``; with ``"cut"`` exactly
    ``count`` stay, those of lower neighbor index first.

    Returns:
        As :func:`neighbor_list`.
    """
    wrapped = _wrap(atoms)
    everyone = np.arange(len(atoms))
    guess = _first_radius(wrapped, count)
    if guess > 0.75 * cutoff:
        return _finished(_nearest(_within(wrapped, everyone, cutoff), len(atoms), count, ties)[0], wrapped)
    found, reach = _nearest(_within(wrapped, everyone, guess), len(atoms), count, ties)
    sparse = reach >= guess - TIE_TOLERANCE  # not full, or a tie may go on beyond the first sphere
    if sparse.any():
        far, _ = _nearest(_within(wrapped, np.flatnonzero(sparse), cutoff), len(atoms), count, ties)
        found = _joined(found.take(np.flatnonzero(~sparse[found.centre])), far)
    return _finished(found, wrapped)


def build_graph(atoms: ase.Atoms, *, cutoff: float, max_neighbors: int = 0, ties: Ties = "cut") -> GraphArrays:
    """Build the graph of ``atoms``: all edges within ``cutoff`` Å, or the ``max_neighbors`` shortest of each atom.

    Raises:
        InputError: as :func:`neighbor_list`.
    """
    if max_neighbors:
        edge_index, shifts, _ = nearest_neighbors(atoms, cutoff, max_neighbors, ties)
    else:
        edge_index, shifts, _ = neighbor_list(atoms, cutoff)
    return GraphArrays(
        positions=np.array(atoms.positions, dtype=np.float64),
        cell=np.array(atoms.cell.array, dtype=np.float64),
        pbc=np.array(atoms.pbc, dtype=bool),
        atomic_numbers=np.array(atoms.numbers, dtype=np.int64),
        edge_index=edge_index,
        cell_shifts=shifts,
    )


def _wrap(atoms: ase.Atoms) -> _Wrapped:
    positions = np.asarray(atoms.positions, dtype=np.float64)
    pbc = np.asarray(atoms.pbc, dtype=bool)
    given = np.asarray(atoms.cell.array, dtype=np.float64)
    if not (np.isfinite(positions).all() and np.isfinite(given).all()):
        raise InputError("a position or cell vector is not a finite number")
    if (flat := pbc & ~given.any(axis=1)).any():
        raise InputError(f"periodic along cell vector {int(np.flatnonzero(flat)[0]) + 1}, which has zero length")
    cell = given
    if not pbc.all():
        cell = np.where(pbc[:, None], given, 0.0)  # vectors of non-periodic directions mean nothing for the search
        cell = cells.completed(cell)
    if cells.is_flat(cell):
        raise InputError(f"the cell is flat (volume {abs(cells.volume(cell)):.3g} Å³)")
    moved = np.floor(positions @ cells.inverse(cell)) * pbc
    return _Wrapped(positions - moved @ cell, cell, pbc, moved.astype(np.int64))


def _within(wrapped: _Wrapped, centres: NDArray[np.int64], cutoff: float) -> _Pairs:
    """All pairs of ``centres`` with length at most ``cutoff`` plus the tolerance."""
    reach = cutoff + TIE_TOLERANCE
    at = wrapped.positions
    extent = at.max(axis=0) - at.min(axis=0) if len(at) else np.zeros(3)
    empty_too = float(np.ceil((extent + 2 * reach) / reach).prod())
    pairs = (_cell_list if empty_too < _MAX_CELLS else _tree)(wrapped, centres, reach)
    real = pairs.length <= reach
    own = np.flatnonzero(pairs.centre == pairs.neighbor)
    real[own] &= pairs.shift[own].any(axis=1)
    return pairs.take(np.flatnonzero(real))


def _cell_list(wrapped: _Wrapped, centres: NDArray[np.int64], reach: float) -> _Pairs:
    from pymatgen.optimization.neighbors import find_points_in_spheres

    points = np.ascontiguousarray(wrapped.positions)
    i, j, shift, length = find_points_in_spheres(
        all_coords=points,
        center_coords=np.ascontiguousarray(points[centres]),
        r=reach + TIE_TOLERANCE,
        pbc=np.ascontiguousarray(wrapped.pbc, dtype=np.int64),
        lattice=np.ascontiguousarray(wrapped.cell),
        tol=1e-8,
    )
    return _Pairs(centres[i], np.asarray(j, dtype=np.int64), np.rint(shift).astype(np.int64), length)


def _tree(wrapped: _Wrapped, centres: NDArray[np.int64], reach: float) -> _Pairs:
    from scipy.spatial import cKDTree

    points, cell = wrapped.positions, wrapped.cell
    heights = 1.0 / np.linalg.norm(cells.inverse(cell), axis=0)
    span = np.where(wrapped.pbc, np.ceil(reach / heights), 0).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in span), indexing="ij"), axis=-1).reshape(-1, 3)
    low, high = points[centres].min(axis=0) - reach, points[centres].max(axis=0) + reach
    images = points[None] + (shifts @ cell)[:, None]
    image, atom = np.nonzero(((images >= low) & (images <= high)).all(axis=2))
    found = cKDTree(points[centres]).sparse_distance_matrix(
        cKDTree(images[image, atom]), reach + TIE_TOLERANCE, output_type="ndarray"
    )
    return _Pairs(centres[found["i"]], atom[found["j"]], shifts[image[found["j"]]].astype(np.int64), found["v"])


def _first_radius(wrapped: _Wrapped, count: int) -> float:
    """Radius of a sphere that holds a few times ``count`` atoms at the mean density; infinite if that is unknown."""
    if not wrapped.pbc.all() or not len(wrapped.positions):
        return np.inf
    density = len(wrapped.positions) / abs(cells.volume(wrapped.cell))
    return float(np.cbrt(_FIRST_GUESS * (count + 1) * 3 / (4 * np.pi * density)))


def _nearest(pairs: _Pairs, n_atoms: int, count: int, ties: Ties) -> tuple[_Pairs, NDArray[np.float64]]:
    """The ``count`` nearest of every centre, in order, and how far they and their ties reach, (n_atoms,) Å.

    A centre with fewer pairs reaches to infinity.
    """
    order = _by_length(pairs)
    centre, length = pairs.centre[order], pairs.length[order]
    group = _groups(centre, length)
    starts = np.searchsorted(centre, np.arange(n_atoms + 1))
    full = np.flatnonzero(starts[1:] - starts[:-1] >= count)
    last = np.full(n_atoms, len(group))
    last[full] = group[starts[full] + count - 1]
    reach = np.full(n_atoms, np.inf)
    reach[full] = length[np.searchsorted(group, last[full], side="right") - 1]
    near = np.flatnonzero(group <= last[centre])
    order = order[near]
    order = order[_by_group(group[near], pairs.neighbor[order], pairs.shift[order])]
    if ties == "cut":
        # the last group was kept whole until now, since its members have their order only after the sort; the
        # sort moves nothing beyond its group, so places of centres are still those of ``near``
        order = order[near - starts[centre[near]] < count]
    return pairs.take(order), reach


def _by_length(pairs: _Pairs) -> NDArray[np.intp]:
    """Order by centre and length; one key sorts faster than two. Ties are for :func:`_by_group`."""
    if not len(pairs.length):
        return np.zeros(0, dtype=np.intp)
    return np.argsort(pairs.centre * (pairs.length.max() + 1.0) + pairs.length)


def _groups(centre: NDArray[np.int64], length: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number the runs of equal lengths of pairs sorted by centre and length."""
    new = np.empty(len(length), dtype=np.int64)
    new[:1] = 0
    new[1:] = (centre[1:] != centre[:-1]) | (length[1:] - length[:-1] > TIE_TOLERANCE)
    return new.cumsum()


def _ordered(pairs: _Pairs) -> _Pairs:
    """Sort by centre, distance with tolerance, neighbor and shift."""
    order = _by_length(pairs)
    group = _groups(pairs.centre[order], pairs.length[order])
    return pairs.take(order[_by_group(group, pairs.neighbor[order], pairs.shift[order])])


def _by_group(group: NDArray[np.int64], neighbor: NDArray[np.int64], shift: NDArray[np.int64]) -> NDArray[np.intp]:
    """Order by group, neighbor and shift: one whole number for all five where 64 bits are enough."""
    if not len(group):
        return np.zeros(0, dtype=np.intp)
    most = int(np.abs(shift).max())
    base = 2 * most + 1
    if (int(group[-1]) + 1) * (int(neighbor.max()) + 1) * base**3 >= 1 << 62:
        x, y, z = shift.T
        return np.lexsort((z, y, x, neighbor, group))
    place = (shift + most) @ np.array([base * base, base, 1])
    return np.argsort((group * (int(neighbor.max()) + 1) + neighbor) * base**3 + place)


def _joined(a: _Pairs, b: _Pairs) -> _Pairs:
    """Both in the order of their centres; none of them is in both."""
    both = _Pairs(*(np.concatenate([getattr(a, f), getattr(b, f)]) for f in _Pairs.__dataclass_fields__))
    return both.take(np.argsort(both.centre, kind="stable"))


def _finished(pairs: _Pairs, wrapped: _Wrapped) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Convert the shifts back to the atoms as given: r_j + S·A − r_i is the same vector."""
    shift = pairs.shift
    if wrapped.moved.any():
        shift = shift - wrapped.moved[pairs.neighbor] + wrapped.moved[pairs.centre]
    return np.stack([pairs.centre, pairs.neighbor]), shift, pairs.length
