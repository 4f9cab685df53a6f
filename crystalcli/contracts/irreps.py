"""What the numbers of a site are under rotation: scalars, vectors, tensors; how wide an embedding is. Loads no torch.

``32x0e+16x1o`` is 32 scalars, then 16 vectors: the 48 numbers of the vectors lie vector by vector, each with its 2l + 1
components in a row. Real spherical harmonics in the order and with the axes of e3nn: the components of ``1o`` are x, y,
z; those of ``2e`` are √3 xz, √3 xy, y² − (x² + z²)/2, √3 yz, √3/2 (z² − x²). ``e`` and ``o`` say whether inversion
leaves them or turns their sign. M. Geiger, T. Smidt, arXiv:2207.09453.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from crystalcli.vocabulary.errors import UsageError

_TERM = re.compile(r"(?:(?P<count>\d+)x)?(?P<kind>(?P<l>\d)(?P<parity>[eo]))")
SCALAR = "0e"


@dataclass(frozen=True)
class Term:
    """``count`` quantities of one kind (``"1o"``), ``size`` = 2l + 1 numbers each, from column ``start`` on."""

    count: int
    kind: str
    start: int

    @property
    def degree(self) -> int:
        """Angular momentum l."""
        return int(self.kind[:-1])

    @property
    def size(self) -> int:
        """Numbers of one quantity."""
        return 2 * self.degree + 1

    @property
    def columns(self) -> range:
        """Where its numbers are."""
        return range(self.start, self.start + self.count * self.size)


@dataclass(frozen=True)
class Irreps:
    """The kinds of numbers in a row, as :func:`parse` reads them."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Irreps:
        """Read ``8x0e+4x1o``; a term without a count is one.

        Raises:
            UsageError: not like that.
        """
        terms: list[Term] = []
        for part in text.replace(" ", "").split("+"):
            match = _TERM.fullmatch(part)
            if not match or match["count"] == "0":
                raise UsageError(f"irreps '{text}' are not like 8x0e+4x1o")
            start = terms[-1].columns.stop if terms else 0
            terms.append(Term(int(match["count"] or 1), match["kind"], start))
        return cls(tuple(terms))

    @classmethod
    def scalars(cls, count: int) -> Irreps:
        """``count`` scalars."""
        return cls((Term(count, SCALAR, 0),))

    def __str__(self) -> str:
        return "+".join(f"{t.count}x{t.kind}" for t in self.terms)

    @property
    def dim(self) -> int:
        """Numbers in all."""
        return self.terms[-1].columns.stop if self.terms else 0

    @property
    def kinds(self) -> frozenset[str]:
        """Which occur: ``{"0e", "1o"}``."""
        return frozenset(t.kind for t in self.terms)

    def columns(self, kinds: Collection[str]) -> list[int]:
        """Where the numbers of these kinds are."""
        return [c for t in self.terms if t.kind in kinds for c in t.columns]

    def only(self, kinds: Collection[str]) -> Irreps:
        """What is left when all other kinds are left out."""
        return Irreps.parse("+".join(f"{t.count}x{t.kind}" for t in self.terms if t.kind in kinds))


@dataclass(frozen=True)
class EmbeddingShape:
    """What an architecture gives, and a head is built for.

    Args:
        irreps: of the numbers of a site. edge_dim: numbers of an edge, all scalars; 0: no edges.
    """

    irreps: Irreps
    edge_dim: int = 0

    @property
    def node_dim(self) -> int:
        """Numbers of a site, F of nodes (N, F)."""
        return self.irreps.dim
