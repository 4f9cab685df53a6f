"""What is said of a glass: order at short and middle range, and whether it is one at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import factorial, prod
from typing import Any

import ase
import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.nouns.distributions import (
    BOND,
    Coordination,
    Frames,
    PairDistribution,
    coordination,
    first_minimum,
    pair_distribution,
)
from crystalcli.nouns.neighbors import neighbor_list, pairs_within
from crystalcli.nouns.radii import COVALENT, contact

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
WAVES = 20_000_000_000
"""Wave vectors times atoms that S(q) takes, at most: some ten seconds."""
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


def first_shell(found: PairDistribution, numbers: Sequence[Coordination]) -> list[Coordination]:
    """``numbers`` without reach where atoms of the pair are second neighbors, as O and O in an oxide.

    They are where the first peak of g_ab(r) lies beyond the first minimum of the g(r) of all atoms.
    """
    end = first_minimum(found.r, found.total)
    peaks = {frozenset(pair): first_peak(found, g) for pair, g in found.partial.items()}
    second = {pair for pair, peak in peaks.items() if peak is not None and peak > end}
    return [replace(c, cutoff=0.0) if frozenset((c.centre, c.neighbor)) in second else c for c in numbers]


def bonds_of(atoms: ase.Atoms, numbers: Sequence[Coordination]) -> tuple[NDArray[np.int64], Floats]:
    """Bonds in both directions: (2, B) atoms and (B, 3) vectors, nearer than the first minimum of their g_ab(r)."""
    species, kinds = np.unique(atoms.numbers, return_inverse=True)
    limits = BOND * contact(species)
    place = {chemical_symbols[z]: k for k, z in enumerate(species)}
    for one in numbers:
        limits[place[one.centre], place[one.neighbor]] = one.cutoff  # both orders are there
    edges, shifts, lengths = neighbor_list(atoms, float(limits.max()))
    near = lengths < limits[kinds[edges[0]], kinds[edges[1]]]
    edges, shifts = edges[:, near], shifts[near]
    at = atoms.positions
    return edges, at[edges[1]] + shifts @ atoms.cell.array - at[edges[0]]


def _by_atom(count: int, edges: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Which bonds every atom has."""
    order = np.argsort(edges[0], kind="stable")
    return np.split(order, np.searchsorted(edges[0][order], np.arange(1, count)))


def angles(atoms: ase.Atoms, edges: NDArray[np.int64], vectors: Floats) -> dict[str, Floats]:
    """Angles between bonds, degrees, by triplet ``O-Ti-O`` with its middle atom, the ends by the alphabet."""
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    symbols = np.array(atoms.get_chemical_symbols())
    found: dict[str, list[Floats]] = {}
    for i, mine in enumerate(_by_atom(len(atoms), edges)):
        j, k = (mine[x] for x in np.triu_indices(len(mine), 1))
        degrees = np.degrees(np.arccos(np.clip((units[j] * units[k]).sum(1), -1.0, 1.0)))
        ends = np.sort(np.stack([symbols[edges[1][j]], symbols[edges[1][k]]]), axis=0)
        for a, b in {(str(x), str(y)) for x, y in ends.T}:
            use = (ends[0] == a) & (ends[1] == b)
            found.setdefault(f"{a}-{symbols[i]}-{b}", []).append(degrees[use])
    return {name: np.concatenate(values) for name, values in sorted(found.items())}


def structure_factor(atoms_of: Sequence[ase.Atoms]) -> tuple[Floats, Floats]:
    """Total S(q) with equal weights, |Σ exp(iq·r)|²/N on the wave vectors of the cell, in shells; 1 for an ideal gas.

    Of a large box the planes h₁ = 0, m, 2m, … of wave vectors (h₁, h₂, h₃) are taken, as many as :data:`WAVES` allows.

    Returns:
        q (1/Å) of the shells that hold a wave vector, and S there.
    """
    edges = np.linspace(0.0, LARGEST_Q, STEPS_Q + 1)
    power, count, sums = np.zeros(STEPS_Q), np.zeros(STEPS_Q), np.zeros(STEPS_Q)
    for atoms in atoms_of:
        recip = 2.0 * np.pi * np.linalg.inv(atoms.cell.array).T
        most = np.ceil(LARGEST_Q * np.linalg.norm(atoms.cell.array, axis=1) / (2 * np.pi)).astype(int)
        x, y, z = (2j * np.pi * atoms.get_scaled_positions(wrap=False)).T[:, :, None]
        h1, h2, h3 = np.arange(most[0] + 1), *(np.arange(-m, m + 1) for m in most[1:])  # q and −q are one
        e2, e3 = np.exp(y * h2), np.exp(z * h3)
        level = h2[:, None, None] * recip[1] + h3[:, None] * recip[2]
        every = -(-len(h1) * len(h2) * len(h3) * len(atoms) // WAVES)
        for plane in h1[::every]:
            waves = np.abs((e2 * np.exp(x * plane)).T @ e3) ** 2
            q = np.linalg.norm(plane * recip[0] + level, axis=2)
            use = (q > 1e-9) & (q < LARGEST_Q)
            shell = np.searchsorted(edges, q[use], side="right") - 1
            twice = 2.0 if plane else 1.0  # the plane through 0 has both directions
            power += twice * np.bincount(shell, waves[use] / len(atoms), STEPS_Q)
            sums += twice * np.bincount(shell, q[use], STEPS_Q)
            count += twice * np.bincount(shell, minlength=STEPS_Q)
    there = count > 0
    return sums[there] / count[there], power[there] / count[there]


def q6(vectors: Floats) -> float | None:
    """Q6 of all bonds together (Steinhardt, Nelson, Ronchetti, PRB 28, 784 (1983)); none without bonds.

    By the addition theorem Q_l² is the mean of P_l(u·v) over all pairs of bonds, and
    Σ_uv (u·v)^n = Σ_{a+b+c=n} n!/(a! b! c!) (Σ_u u_x^a u_y^b u_z^c)².
    """
    if not len(vectors):
        return None
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    powers = [units**0, units, *(units**n for n in range(2, 7))]

    def summed(n: int) -> float:
        total = 0.0
        for a, b, c in ((i, k, n - i - k) for i in range(n + 1) for k in range(n + 1 - i)):
            many = factorial(n) // prod(map(factorial, (a, b, c)))
            total += many * float((powers[a][:, 0] * powers[b][:, 1] * powers[c][:, 2]).sum()) ** 2
        return total

    total = (231.0 * summed(6) - 315.0 * summed(4) + 105.0 * summed(2) - 5.0 * summed(0)) / 16.0
    return float(np.sqrt(max(total, 0.0)) / len(units))


def rings(count: int, edges: NDArray[np.int64]) -> dict[int, int]:
    """Shortest rings by size, up to :data:`LONGEST_RING` (S. V. King, Nature 213, 1112 (1967)).

    For every two bonds of an atom the shortest way from end to end that does not pass it closes a ring; each ring is
    counted once. Images are one atom: in a box narrower than its rings some of them close through its walls.
    """
    near = [sorted(set(edges[1][mine].tolist()) - {a}) for a, mine in enumerate(_by_atom(count, edges))]
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
    q6_of_all = q6(bonds_of(last, numbers)[1])
    edges, vectors = bonds_of(last, first_shell(found, numbers))
    q, s = structure_factor(images[-1:])
    said: dict[str, Any] = {
        "first_peak": first_peak(found, found.total),
        "first_peaks": {"-".join(pair): first_peak(found, g) for pair, g in found.partial.items()},
        "coordination": float(edges.shape[1] / len(last)),
        "coordinations": {f"{c.centre}-{c.neighbor}": float(c.mean) for c in numbers},
        "cutoffs": {f"{c.centre}-{c.neighbor}": c.cutoff for c in numbers},
        "q6": q6_of_all,
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
