"""Stress against energy: between two strains of one crystal ``ΔE = V σ:ε``, which tells unit, sign and order apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.labels.labelled import ENERGY, Labelled
from crystalcli.nouns.magnitudes import LARGEST

MOST_STRAIN, LEAST_STRAIN = 0.06, 1e-4
"""Strains between which the mean stress of two cells gives the work to a few percent."""
MOST_PAIRS = 500
ENOUGH = 3
BAD, CLEARLY = 0.3, 3.0
"""A convention is wrong if the work leaves more than BAD of Σ ΔE²; another is right if it leaves CLEARLY less."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StressVerdict:
    """What strained pairs say.

    Args:
        pairs: how many there are.
        left: share of Σ ΔE² that is not explained by the stress as it was taken; 0 is perfect.
        better: a convention under which it is, if the one taken is wrong; else empty.
    """

    pairs: int
    left: float
    better: str = ""

    @property
    def wrong(self) -> bool:
        """Whether the stress contradicts the energies."""
        return self.left > BAD


def check(
    entries: Sequence[Labelled],
    written: Floats,
    taken: str,
    conventions: dict[str, Callable[[Floats], Floats]],
    energy: str = ENERGY,
) -> StressVerdict | None:
    """Compare stress and energy of structures that differ by a small strain only; none where there are too few.

    Args:
        entries: with an energy among their labels.
        written: (S, 6) as in the files.
        taken: the convention chosen.
        conventions: name → function to eV/Å³, tensile positive, xx yy zz yz xz xy.
        energy: what the energies are called.
    """
    pairs = list(islice(_pairs(entries, written, energy), MOST_PAIRS))
    work = {name: np.array([_work(p, convert) for p in pairs]) for name, convert in conventions.items()}
    change = np.array([p.change for p in pairs])
    whole = float(np.square(change).sum())
    if len(pairs) < ENOUGH or whole == 0.0:
        return None
    left = {name: float(np.square(change - w).sum()) / whole for name, w in work.items()}
    best = min(left, key=left.__getitem__)
    better = best if left[taken] > BAD > left[best] and left[taken] > CLEARLY * left[best] else ""
    return StressVerdict(len(pairs), left[taken], better)


@dataclass(frozen=True)
class _Pair:
    """Strain (3, 3), mean volume Å³, mean stress as written (6,), change of energy eV."""

    strain: Floats
    volume: float
    stress: Floats
    change: float


def _pairs(entries: Sequence[Labelled], written: Floats, energy: str) -> Iterator[_Pair]:
    groups: dict[bytes, list[int]] = defaultdict(list)
    for k, e in enumerate(entries):
        total = e.labels.get(energy, np.nan)
        if e.sites and np.abs(written[k]).max() < LARGEST and np.ndim(total) == 0 and abs(total) < LARGEST:
            groups[e.sites].append(k)
    for members in groups.values():
        for i, j in combinations(members, 2):
            a, b = np.array(entries[i].lattice), np.array(entries[j].lattice)
            strain = _strain(a, b)
            if strain is not None:
                volume = 0.5 * (abs(np.linalg.det(a)) + abs(np.linalg.det(b)))
                change = entries[j].labels[energy] - entries[i].labels[energy]
                yield _Pair(strain, volume, 0.5 * (written[i] + written[j]), change)


def _strain(a: Floats, b: Floats) -> Floats | None:
    """Symmetric strain that takes cell ``a`` to ``b``; none if it is too large, too small, or a rotation."""
    if abs(np.linalg.det(a)) < 1e-3:
        return None
    gradient = np.linalg.solve(a, b) - np.eye(3)
    size = np.abs(gradient).max()
    if not LEAST_STRAIN < size < MOST_STRAIN:
        return None
    symmetric: Floats = 0.5 * (gradient + gradient.T)
    return symmetric if np.abs(symmetric).max() > LEAST_STRAIN else None


def _work(pair: _Pair, convert: Callable[[Floats], Floats]) -> float:
    xx, yy, zz, yz, xz, xy = convert(pair.stress[None])[0]
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return float(pair.volume * (tensor * pair.strain).sum())
