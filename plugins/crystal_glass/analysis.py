"""What is said of a glass: order at short and middle range, and whether it is one at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import ase
import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.nouns.distributions import BOND, Coordination, PairDistribution, coordination, pair_distribution
from crystalcli.nouns.frames import Frames
from crystalcli.nouns.neighbors import neighbor_list, pairs_within
from crystalcli.nouns.radii import COVALENT

Floats = NDArray[np.float64]
REACH, BINS = 8.0, 160
"""Å, and bins, of g(r)."""
SMOOTH = 0.1
"""Å, standard deviation of the Gaussian by which peaks are found."""
LIQUID = 1.0
"""Å. Atoms of a crystal stay nearer to their places than this (root mean square), however hot."""
CRYSTAL = 0.25
"""Q6 of all bonds beyond which the box has crystallised: 0.35 bcc to 0.66 for crystals, 1/√bonds for a glass."""
LARGEST_Q, STEPS_Q = 16.0, 240
"""1/Å, and points, of S(q)."""
LONGEST_RING = 8
NETWORK = 7.0
"""Bonds of an atom, on average, from which on a structure is packed rather than a network, and rings say nothing."""


def distributions(images: Sequence[ase.Atoms]) -> tuple[Frames, PairDistribution]:
    """Frames, and their mean g(r)."""
    frames = Frames.of(images, times=np.arange(len(images), dtype=np.float64).tolist())
    return frames, pair_distribution(frames, r_max=REACH, bins=BINS)


def first_peak(found: PairDistribution, g: Floats) -> float | None:
    """Where g(r) has its first maximum above 1, Å, from a parabola through three points of the smoothed curve."""
    step = found.r[1] - found.r[0]
    reach = np.arange(-4 * SMOOTH, 4 * SMOOTH + step / 2, step)
    kernel = np.exp(-0.5 * (reach / SMOOTH) ** 2)
    y = np.convolve(g, kernel / kernel.sum(), mode="same")[: len(g)]
    inner = y[1:-1]
    peaks = 1 + np.flatnonzero((inner > y[:-2]) & (inner >= y[2:]) & (inner > 1.0))
    if not len(peaks):
        return None
    k = int(peaks[0])
    bend = y[k - 1] - 2 * y[k] + y[k + 1]
    shift = 0.0 if bend == 0 else 0.5 * (y[k - 1] - y[k + 1]) / bend
    return float(found.r[k] + shift * step)


def bonds_of(atoms: ase.Atoms, numbers: Sequence[Coordination]) -> tuple[NDArray[np.int64], Floats]:
    """Bonds in both directions: (2, B) atoms and (B, 3) vectors, nearer than the first minimum of their g_ab(r)."""
    limits = {}
    for a, b in combinations_with_replacement(sorted(set(atoms.numbers.tolist())), 2):
        limits[a, b] = limits[b, a] = BOND * float(COVALENT[a] + COVALENT[b])
    for one in numbers:
        pair = chemical_symbols.index(one.centre), chemical_symbols.index(one.neighbor)  # both orders are there
        limits[pair] = one.cutoff
    edges, shifts, lengths = neighbor_list(atoms, max(limits.values()))
    z = atoms.numbers
    near = lengths < np.array([limits[a, b] for a, b in zip(z[edges[0]], z[edges[1]], strict=True)])
    edges, shifts = edges[:, near], shifts[near]
    at = atoms.positions
    return edges, at[edges[1]] + shifts @ atoms.cell.array - at[edges[0]]


def angles(atoms: ase.Atoms, edges: NDArray[np.int64], vectors: Floats) -> dict[str, Floats]:
    """Angles between bonds, degrees, by triplet ``O-Ti-O`` with its middle atom, the ends by the alphabet."""
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    found: dict[str, list[Floats]] = {}
    symbols = np.array(atoms.get_chemical_symbols())
    for i in range(len(atoms)):
        mine = np.flatnonzero(edges[0] == i)
        j, k = np.triu_indices(len(mine), 1)
        degrees = np.degrees(np.arccos(np.clip((units[mine[j]] * units[mine[k]]).sum(1), -1.0, 1.0)))
        ends = np.sort(np.stack([symbols[edges[1][mine[j]]], symbols[edges[1][mine[k]]]]), axis=0)
        for a, b in {(str(x), str(y)) for x, y in ends.T}:
            use = (ends[0] == a) & (ends[1] == b)
            found.setdefault(f"{a}-{symbols[i]}-{b}", []).append(degrees[use])
    return {name: np.concatenate(values) for name, values in sorted(found.items())}


def structure_factor(atoms_of: Sequence[ase.Atoms]) -> tuple[Floats, Floats]:
    """Total S(q) with equal weights, |Σ exp(iq·r)|²/N on the wave vectors of the cell, in shells; 1 for an ideal gas.

    Returns:
        q (1/Å) of the shells that hold a wave vector, and S there.
    """
    edges = np.linspace(0.0, LARGEST_Q, STEPS_Q + 1)
    power, count, sums = np.zeros(STEPS_Q), np.zeros(STEPS_Q), np.zeros(STEPS_Q)
    for atoms in atoms_of:
        recip = 2.0 * np.pi * np.linalg.inv(atoms.cell.array).T
        most = np.ceil(LARGEST_Q * np.linalg.norm(atoms.cell.array, axis=1) / (2 * np.pi)).astype(int)
        x, y, z = (np.arange(-m, m + 1) for m in most)
        grid = np.stack(np.meshgrid(x[most[0] :], y, z, indexing="ij"), -1).reshape(-1, 3)  # q and −q are one
        q = np.linalg.norm(grid @ recip, axis=1)
        use = (q > 1e-9) & (q < LARGEST_Q)
        shell = np.searchsorted(edges, q[use], side="right") - 1
        twice = np.where(grid[use, 0] > 0, 2.0, 1.0)  # the others are there in both directions
        power += np.bincount(shell, twice * _waves(atoms, grid[use]) / len(atoms), minlength=STEPS_Q)
        sums += np.bincount(shell, twice * q[use], minlength=STEPS_Q)
        count += np.bincount(shell, twice, minlength=STEPS_Q)
    there = count > 0
    return sums[there] / count[there], power[there] / count[there]


def _waves(atoms: ase.Atoms, grid: NDArray[np.int64]) -> Floats:
    """|Σ_j exp(2πi h·s_j)|² of wave vectors h, (Q, 3), as products of powers along each axis."""
    phase = np.exp(2j * np.pi * atoms.get_scaled_positions(wrap=False))
    low = grid.min(0)
    powers = [phase[:, k, None] ** np.arange(low[k], grid[:, k].max() + 1) for k in range(3)]
    found = np.zeros(len(grid))
    for block in np.array_split(np.arange(len(grid)), max(1, len(grid) * len(atoms) // 2_000_000)):
        h = grid[block] - low
        wave = powers[0][:, h[:, 0]] * powers[1][:, h[:, 1]] * powers[2][:, h[:, 2]]
        found[block] = np.abs(wave.sum(0)) ** 2
    return found


def q6(vectors: Floats) -> float | None:
    """Q6 of all bonds together (Steinhardt, Nelson, Ronchetti, PRB 28, 784 (1983)); none without bonds.

    By the addition theorem Q_l² is the mean of P_l(cos) over all pairs of bonds.
    """
    if not len(vectors):
        return None
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    total = 0.0
    for block in np.array_split(units, max(1, len(units) ** 2 // 4_000_000)):
        square = (block @ units.T) ** 2
        total += float((((231.0 * square - 315.0) * square + 105.0) * square - 5.0).sum()) / 16.0
    return float(np.sqrt(max(total, 0.0)) / len(units))


def rings(count: int, edges: NDArray[np.int64]) -> dict[int, int]:
    """Shortest rings by size, up to :data:`LONGEST_RING` (S. V. King, Nature 213, 1112 (1967)).

    For every two bonds of an atom the shortest way from end to end that does not pass it closes a ring; each ring is
    counted once. Images are one atom: in a box narrower than its rings some of them close through its walls.
    """
    near: list[list[int]] = [sorted({int(b) for b in edges[1][edges[0] == a]} - {a}) for a in range(count)]
    found: set[frozenset[int]] = set()
    for atom in range(count):
        for n, begin in enumerate(near[atom]):
            for end in near[atom][n + 1 :]:
                found.update(frozenset((*way, atom)) for way in _shortest(near, begin, end, atom))
    return dict(sorted(Counter(map(len, found)).items()))


def _shortest(near: Sequence[Sequence[int]], begin: int, end: int, without: int) -> list[tuple[int, ...]]:
    """All shortest ways from ``begin`` to ``end`` of at most LONGEST_RING − 1 atoms that do not pass ``without``."""
    ways: list[tuple[int, ...]] = [(begin,)]
    seen = {begin, without}
    for _ in range(LONGEST_RING - 2):
        longer: list[tuple[int, ...]] = [(*way, b) for way in ways for b in near[way[-1]] if b not in seen]
        if through := [way for way in longer if way[-1] == end]:
            return through
        seen |= {way[-1] for way in longer}
        ways = longer
    return []


def largest_cluster(atoms: ase.Atoms) -> float:
    """Share of the atoms that hold together in the largest cluster: less than 1 where some have evaporated."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    radii = COVALENT[atoms.numbers]
    i, j, d = pairs_within(atoms, 2.0 * BOND * float(radii.max()))
    near = d < BOND * (radii[i] + radii[j])
    n = len(atoms)
    table = coo_matrix((np.ones(int(near.sum())), (i[near], j[near])), shape=(n, n))
    labels = connected_components(table, directed=False)[1]
    return float(np.bincount(labels).max() / n)


def displacement(positions: Floats, cells: Floats) -> float:
    """Root mean square of what atoms have moved from the first to the last of (F, N, 3) frames, without their drift.

    What the cell does is no motion: fractions are compared.
    """
    first = positions[0] @ np.linalg.inv(cells[0])
    last = positions[-1] @ np.linalg.inv(cells[-1])
    moved = (last - first) @ cells[-1]
    moved -= moved.mean(0)
    return float(np.sqrt((moved * moved).sum(1).mean()))


def described(images: Sequence[ase.Atoms]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers for the table, and curves for files, of a structure: of all its frames, the last alone for bonds."""
    frames, found = distributions(images)
    numbers = coordination(frames, found)
    last = images[-1]
    edges, vectors = bonds_of(last, numbers)
    q, s = structure_factor(images[-1:])
    said: dict[str, Any] = {
        "first_peak": first_peak(found, found.total),
        "first_peaks": {"-".join(pair): first_peak(found, g) for pair, g in found.partial.items()},
        "coordination": float(edges.shape[1] / len(last)),
        "coordinations": {f"{c.centre}-{c.neighbor}": float(c.mean) for c in numbers},
        "cutoffs": {f"{c.centre}-{c.neighbor}": c.cutoff for c in numbers},
        "q6": q6(vectors),
        "largest_cluster": largest_cluster(last),
    }
    curves: Mapping[str, Any] = {
        "rdf": found,
        "coordination": numbers,
        "angles": angles(last, edges, vectors),
        "sq": (q, s),
        "rings": rings(len(last), edges) if edges.shape[1] < NETWORK * len(last) else {},
    }
    return said, dict(curves)
