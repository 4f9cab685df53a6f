"""What a cache promises and opening it does not prove: hashes, ranges, order, distances, both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache import GraphCache, Stored
from crystalcli.engine.cache.cache_layout import FIELDS

TOLERANCE = 2e-6
"""Å by which an edge may be longer than the cutoff: twice the tolerance of ties."""


@dataclass(frozen=True)
class CacheFinding:
    """Something wrong with structure ``id``."""

    id: str
    problem: str


@dataclass(frozen=True)
class CacheVerdict:
    """What was found.

    Args:
        checked: structures looked at.
        findings: what is wrong, in order.
        symmetric: structures whose every edge (i, j, S) has its (j, i, -S); nearest-neighbor graphs need not.
        longest, shortest: lengths of edges, Å; NaN without edges.
    """

    checked: int
    findings: tuple[CacheFinding, ...]
    symmetric: int
    shortest: float
    longest: float


def verify(cache: GraphCache, listen: Callable[[int, str], None] = lambda _n, _text: None) -> CacheVerdict:
    """Check every structure of ``cache``."""
    findings = list(_whole(cache))
    limit = cache.recipe.options.get("cutoff", np.inf)
    limit = float(limit) if isinstance(limit, int | float) else np.inf
    symmetric, shortest, longest = 0, np.inf, -np.inf
    for k, id_ in enumerate(cache.ids):
        one = _One(cache, k)
        problems = list(one.problems())
        if not problems:
            lengths = one.lengths()
            if len(lengths):
                shortest, longest = min(shortest, float(lengths.min())), max(longest, float(lengths.max()))
                if lengths.max() > limit + TOLERANCE:
                    problems.append(f"an edge of {lengths.max():.6g} Å is longer than the cutoff of {limit} Å")
            symmetric += one.symmetric()
        findings += [CacheFinding(id_, p) for p in problems]
        listen(1, "")
    found = np.isfinite(longest)
    return CacheVerdict(
        len(cache), tuple(findings), symmetric, shortest if found else np.nan, longest if found else np.nan
    )


def _whole(cache: GraphCache) -> Iterator[CacheFinding]:
    seen: set[str] = set()
    for id_ in cache.ids:
        if id_ in seen:
            yield CacheFinding(id_, "the id occurs twice")
        seen.add(id_)
    for name in cache.field_names:
        for id_ in cache.damage(f"{FIELDS}{name}"):
            yield CacheFinding(id_, f"field '{name}' is not what was written, here or nearby (crc32)")
    for name, column in cache.columns.items():
        have = column.values[column.mask]
        if not np.isfinite(have).all():
            yield CacheFinding("", f"label '{name}' has {int((~np.isfinite(have)).sum())} values that are not finite")


class _One:
    """The arrays of one structure."""

    def __init__(self, cache: GraphCache, k: int) -> None:
        self.stored = Stored(cache, k)
        self.cell, self.pbc = cache.cell[k], cache.pbc[k]
        self.positions = self.stored.of("atoms/positions")
        self.numbers = self.stored.of("atoms/atomic_numbers")
        self.degree = self.stored.of("atoms/degree").astype(np.int64)
        self.neighbor = self.stored.of("edges/neighbor").astype(np.int64)
        self.shift = self.stored.of("edges/shift").astype(np.int64)

    @property
    def centre(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self.degree)), self.degree)

    def problems(self) -> Iterator[str]:
        changed = self.stored.changed()
        if "structure" in changed:
            yield "the structure is not the one that was written (sha256)"
        if "edges" in changed:
            yield "the edges are not those that were written (sha256)"
        if not (np.isfinite(self.positions).all() and np.isfinite(self.cell).all()):
            yield "a position or cell vector is not finite"
        if ((self.numbers < 1) | (self.numbers > 118)).any():
            yield f"atomic number {int(self.numbers.max(initial=0))} is no element"
        odd = (self.degree < 0) | (self.degree > len(self.neighbor))  # of such the sum may overflow
        if odd.any() or self.degree.sum() != len(self.neighbor):
            yield f"the atoms have {self.degree.sum()} edges, {len(self.neighbor)} are stored"
        elif ((self.neighbor < 0) | (self.neighbor >= len(self.numbers))).any():
            yield f"an edge leads to atom {int(self.neighbor.max())} of {len(self.numbers)}"
        elif ((self.centre == self.neighbor) & ~self.shift.any(axis=1)).any():
            yield "an atom is its own neighbor"
        elif len(np.unique(self.keys(), axis=0)) < len(self.neighbor):
            yield "an edge is there twice"
        if self.shift[:, ~self.pbc].any():
            yield "an edge crosses a boundary that is not periodic"

    def keys(self) -> NDArray[np.int64]:
        return np.column_stack([self.centre, self.neighbor, self.shift])

    def lengths(self) -> NDArray[np.float64]:
        vectors = self.positions[self.neighbor] - self.positions[self.centre] + self.shift @ self.cell
        lengths: NDArray[np.float64] = np.linalg.norm(vectors, axis=1)
        return lengths

    def symmetric(self) -> bool:
        there = self.keys()
        back = np.column_stack([self.neighbor, self.centre, -self.shift])
        return bool((there[np.lexsort(there.T)] == back[np.lexsort(back.T)]).all())
