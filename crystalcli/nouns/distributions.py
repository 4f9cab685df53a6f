"""A trajectory in memory and what it tells: g(r), coordination, bond lengths, displacements, energies.

Every function takes :class:`Frames` or plain arrays and returns plain arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import ase
import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from crystalcli.nouns.neighbors import pairs_within

Array = NDArray[np.float64]

Pair = tuple[str, str]
"""Two elements. What has no direction is named in the order of the alphabet, as in ``Al-O``, see :func:`pair_of`."""
BOND = 1.3
"""Times the sum of the covalent radii: nearer atoms count as bonded."""


@dataclass(frozen=True)
class Frames:
    """A trajectory in memory, F frames of N atoms.

    Args:
        numbers: (N,). pbc: (3,). cells: (F, 3, 3) Å. positions: (F, N, 3) Å, not wrapped.
        energies: (F,) eV. temperatures: (F,) K. times: (F,) fs.
    """

    numbers: NDArray[np.int64]
    pbc: NDArray[np.bool_]
    cells: Array
    positions: Array
    energies: Array
    temperatures: Array
    times: Array

    @classmethod
    def of(cls, images: Sequence[ase.Atoms], times: Sequence[float] | None = None) -> Frames:
        """Join images of one structure; energy, temperature and time from their info where they have them."""
        first = images[0]

        def facts(key: str, calculated: str = "") -> Array:
            return np.array([_fact(a, key, calculated) for a in images])

        found = facts("time_fs") if times is None else np.asarray(times, dtype=np.float64)
        return cls(
            first.numbers,
            np.asarray(first.pbc),
            np.stack([a.cell.array for a in images]),
            np.stack([a.positions for a in images]),
            facts("energy", "energy"),
            facts("temperature"),
            found,
        )

    def __len__(self) -> int:
        return len(self.positions)


def _fact(atoms: ase.Atoms, key: str, calculated: str) -> float:
    if calculated and atoms.calc is not None and calculated in atoms.calc.results:
        return float(atoms.calc.results[calculated])
    return float(atoms.info.get(key, np.nan))


def pair_of(a: int, b: int) -> Pair:
    """Symbols of two elements, given by number, in the order of the alphabet."""
    x, y = sorted((chemical_symbols[a], chemical_symbols[b]))
    return x, y


def _pairs(numbers: NDArray[np.int64]) -> dict[Pair, tuple[int, int]]:
    """All pairs of the elements of ``numbers``, each with itself, too; sorted by name."""
    species = sorted({int(z) for z in numbers})
    return dict(sorted((pair_of(a, b), (a, b)) for a, b in combinations_with_replacement(species, 2)))


@dataclass(frozen=True)
class PairDistribution:
    """Radial distribution functions over M bins.

    Args:
        r: (M,) middles of the bins, Å.
        edges: (M + 1,) Å.
        total: (M,) g(r) of all atoms.
        partial: g_ab(r) by element pair (alphabetical).
        running: mean number of b around an a nearer than the upper edge of each bin, by (a, b) in both orders.
    """

    r: Array
    edges: Array
    total: Array
    partial: Mapping[Pair, Array]
    running: Mapping[Pair, Array]


def pair_distribution(frames: Frames, *, r_max: float = 8.0, bins: int = 400, most: int = 200) -> PairDistribution:
    """g(r) with all periodic images, averaged over at most ``most`` frames spread evenly.

    g_ab(r) = V n_ab(r) / (N_a N_b v(r)) with n_ab pairs in a shell of volume v(r); 1 for an ideal gas.

    Raises:
        ValueError: the structure is not periodic in all three directions: it has no density.
    """
    if not frames.pbc.all():
        raise ValueError("g(r) needs a structure that is periodic in all three directions")
    edges = np.linspace(0.0, r_max, bins + 1)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    species = sorted({int(z) for z in frames.numbers})
    count = {z: int((frames.numbers == z).sum()) for z in species}
    hits = {(a, b): np.zeros(bins) for a in species for b in species}
    dense = {key: np.zeros(bins) for key in hits}
    used = 0
    for atoms in _some(frames, most):
        i, j, d = pairs_within(atoms, r_max)
        volume = atoms.get_volume()
        zi, zj = frames.numbers[i], frames.numbers[j]
        for a, b in hits:
            n = np.histogram(d[(zi == a) & (zj == b)], edges)[0]
            hits[a, b] += n
            dense[a, b] += n * volume
        used += 1
    symbol = chemical_symbols
    partial = {
        pair: dense[a, b] / (used * count[a] * count[b] * shells) for pair, (a, b) in _pairs(frames.numbers).items()
    }
    total = sum(dense.values()) / (used * len(frames.numbers) ** 2 * shells)
    running = {(symbol[a], symbol[b]): np.cumsum(n) / (used * count[a]) for (a, b), n in hits.items()}
    running = dict(sorted(running.items()))
    return PairDistribution(0.5 * (edges[1:] + edges[:-1]), edges, np.asarray(total), partial, running)


FLAT = 0.02
"""Of the first peak: minima that are deeper by less are told apart by noise alone."""


def first_minimum(r: Array, g: Array, width: float = 0.1) -> float:
    """Where g(r) is least between its first two peaks, Å; NaN where there is no such place.

    Of minima as deep as each other, as in the flat valley behind Al–O, it is the first: which is deepest is chance
    there, half an ångström to and fro. Of a gap it is the middle. Behind a single peak that is a gap, as around
    molecules far from each other; that g(r) falls to 1 is none.

    Args:
        r: (M,) Å, evenly spaced.
        g: (M,).
        width: standard deviation of the Gaussian that takes the noise out first, Å.
    """
    step = r[1] - r[0]
    reach = np.arange(-4 * width, 4 * width + step, step)
    kernel = np.exp(-0.5 * (reach / width) ** 2)
    smooth = np.convolve(g, kernel / kernel.sum(), mode="same")[: len(r)]
    inner = smooth[1:-1]
    peaks = 1 + np.flatnonzero((inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > 0.5))
    if not len(peaks):
        return float("nan")
    first = peaks[0]
    later = peaks[smooth[peaks] > 0.5]
    later = later[later > first]
    behind = smooth[first : len(r) - len(reach) // 2]  # further out the end of g(r) is averaged with nothing
    if not len(later) and not behind.min(initial=1.0) <= 0.5:
        return float("nan")
    stop = later[0] if len(later) else len(r) - 1
    if stop <= first + 1:
        return float("nan")
    valley = smooth[first:stop]
    enough = valley.min() + FLAT * (valley[0] - valley.min())
    falls, rises = np.diff(valley, prepend=np.inf) <= 0, np.diff(valley, append=np.inf) >= 0
    least = int(np.flatnonzero(falls & rises & (valley <= enough))[0])
    until = least + int(np.argmax(np.append(valley[least:] > valley[least] + 1e-9, True)))
    return float(r[first + least : first + until].mean())


@dataclass(frozen=True)
class Coordination:
    """Neighbors b of an a within ``cutoff`` Å: mean, and the share of atoms with each number of them."""

    centre: str
    neighbor: str
    cutoff: float
    mean: float
    shares: Mapping[int, float]


def coordination(frames: Frames, found: PairDistribution, *, most: int = 200) -> list[Coordination]:
    """Coordination numbers up to the first minimum of each g_ab(r); pairs without one are left out."""
    cutoffs = {pair: first_minimum(found.r, g) for pair, g in found.partial.items()}
    cutoffs = {p: c for p, c in cutoffs.items() if np.isfinite(c)}
    counted: dict[Pair, list[NDArray[np.int64]]] = {}
    symbols = np.array(chemical_symbols)[frames.numbers]
    for atoms in _some(frames, most):
        i, j, d = pairs_within(atoms, max(cutoffs.values(), default=0.1))
        for (a, b), cutoff in cutoffs.items():
            for x, y in {(a, b), (b, a)}:
                use = (symbols[i] == x) & (symbols[j] == y) & (d < cutoff)
                counted.setdefault((x, y), []).append(np.bincount(i[use], minlength=len(symbols))[symbols == x])
    made = []
    for (x, y), counts in sorted(counted.items()):
        every = np.concatenate(counts)
        values, times = np.unique(every, return_counts=True)
        shares = {int(v): float(t / len(every)) for v, t in zip(values, times, strict=True)}
        made.append(Coordination(x, y, cutoffs[x, y] if (x, y) in cutoffs else cutoffs[y, x], every.mean(), shares))
    return made


def bond_lengths(
    frames: Frames, *, cutoffs: Mapping[Pair, float] | None = None, bins: int = 0, most: int = 200
) -> dict[Pair, tuple[Array, Array]]:
    """Density of bond lengths by element pair (Fig. 5a of the LCGCN paper), normalised to 1.

    Args:
        frames: trajectory.
        cutoffs: longest bond of each pair, Å; default :data:`BOND` times the sum of the covalent radii.
        bins: of each distribution; 0: as many as the data fill smoothly.
        most: frames used at most, spread evenly.

    Returns:
        By pair (alphabetical): lengths (bins,) Å and density (bins,) 1/Å; pairs without bonds are left out.
    """
    return {p: density(d, bins) for p, d in lengths_of_bonds(frames, cutoffs=cutoffs, most=most).items()}


def lengths_of_bonds(
    frames: Frames, *, cutoffs: Mapping[Pair, float] | None = None, most: int = 200
) -> dict[Pair, Array]:
    """Every bond length, Å, by element pair; arguments and pairs as of :func:`bond_lengths`."""
    named: dict[Pair, tuple[int, int, float]] = {}
    for (x, y), (a, b) in _pairs(frames.numbers).items():
        longest = BOND * float(covalent_radii[a] + covalent_radii[b])
        if cutoffs is not None:
            longest = cutoffs.get((x, y), cutoffs.get((y, x), 0.0))
        named[x, y] = (a, b, longest)
    reach = max(c for _, _, c in named.values())
    found: dict[Pair, list[Array]] = {pair: [] for pair in named}
    for atoms in _some(frames, most):
        i, j, d = pairs_within(atoms, reach)
        zi, zj = frames.numbers[i], frames.numbers[j]
        for pair, (a, b, longest) in named.items():
            found[pair].append(d[(zi == a) & (zj == b) & (d <= longest)])
    return {p: np.concatenate(d) for p, d in found.items() if sum(map(len, d))}


def mean_square_displacement(positions: Array) -> Array:
    """Mean over atoms and over all starting times of |r(t₀ + t) − r(t₀)|², (F,) Å², by FFT.

    Args:
        positions: (F, N, 3) Å, not wrapped, evenly spaced in time; see :func:`unwrapped`, :func:`in_mean_cell`.
    """
    n = len(positions)
    x = positions - positions.mean(0)  # the sums below cancel: small numbers cancel best
    squares = np.append((x**2).sum(2), np.zeros((1, x.shape[1])), axis=0)
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(x, size, axis=0)
    product = np.fft.irfft(np.abs(spectrum) ** 2, size, axis=0)[:n].sum(2)
    twice = 2.0 * squares.sum(0)
    sums = np.empty_like(product)
    for k in range(n):
        twice = twice - squares[k - 1] - squares[n - k]
        sums[k] = twice
    found = (sums - 2.0 * product) / (n - np.arange(n))[:, None]
    return np.asarray(np.maximum(found.mean(1), 0.0))


def in_mean_cell(positions: Array, cells: Array) -> Array:
    """Positions (F, N, 3) as they would be in the mean cell, of the same fractions; the same bits where it is fixed.

    A cell that breathes or grows carries its atoms along, the farther from the origin the more; none diffuses by that.
    """
    if bool((cells == cells[0]).all()):
        return positions
    return np.asarray(positions @ np.linalg.inv(cells) @ cells.mean(0))


def unwrapped(positions: Array, cells: Array, pbc: NDArray[np.bool_]) -> Array:
    """Positions (F, N, 3) without the jumps of atoms that were put back into the cell; steps below half a cell."""
    out = positions.copy()
    for k in range(1, len(out)):
        inverse = np.linalg.inv(ase.cell.Cell(cells[k]).complete().array)
        step = (positions[k] - positions[k - 1]) @ inverse
        step -= np.rint(step) * pbc
        out[k] = out[k - 1] + step @ ase.cell.Cell(cells[k]).complete().array
    return out


def density(values: Array, bins: int = 0) -> tuple[Array, Array]:
    """Middles of bins and density of ``values``, normalised to 1; for energies per atom, Fig. 5c of the LCGCN paper.

    Without a number of bins there are 2 n^⅓ of them (Rice's rule), at most 200.
    """
    values = np.asarray(values, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 1e-6, high + 1e-6
    bins = bins or min(200, max(5, round(2.0 * len(values) ** (1.0 / 3.0))))
    heights, edges = np.histogram(values, bins=bins, range=(low, high), density=True)
    return 0.5 * (edges[1:] + edges[:-1]), heights


def _some(frames: Frames, most: int) -> Iterator[ase.Atoms]:
    for k in np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int)):
        yield ase.Atoms(frames.numbers, frames.positions[k], cell=frames.cells[k], pbc=frames.pbc)
