"""Which kinds of numbers meet which harmonics, and where everything lies. Loads no torch.

The numbers of an atom lie kind by kind, ``32x0e+32x1o``, and within a kind component by component, each with all its
channels in a row: (2l + 1, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from crystalcli.contracts.irreps import Irreps, Term


@dataclass(frozen=True)
class Group:
    """All paths of one kind of neighbors' numbers with harmonics of one order: ``n`` of them, one to each of ``to``.

    Args:
        source: the neighbor's numbers. order: l_f of the harmonics. to: kinds of the products.
        weights: first column of their weights; path after path, C each.
        column: first column among the products of this order; path after path, (2l + 1, C) each.
    """

    source: Term
    order: int
    to: tuple[str, ...]
    weights: int
    column: int

    @property
    def n(self) -> int:
        """How many paths."""
        return len(self.to)

    @property
    def n_weights(self) -> int:
        """Weights of an edge."""
        return self.n * self.source.count

    @property
    def n_columns(self) -> int:
        """Products of an edge, before the harmonics."""
        return self.n * self.source.size * self.source.count


@dataclass(frozen=True, eq=False)
class Paths:
    """All paths from the neighbors' numbers over harmonics to kinds of products; a key by itself.

    Args:
        source: irreps of the neighbors' numbers. l_max: of the harmonics.
        kinds: of products that are wanted. even: all harmonics count as even.
    """

    source: Irreps
    l_max: int
    kinds: tuple[str, ...]
    even: bool

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """By order of the harmonics, then by kind."""
        found: list[Group] = []
        weights = 0
        for order in range(self.l_max + 1):
            column = 0
            for term in self.source.terms:
                to = tuple(k for k in products(term.kind, order, even=self.even) if k in self.kinds)
                if to:
                    found.append(Group(term, order, to, weights, column))
                    weights, column = weights + found[-1].n_weights, column + found[-1].n_columns
        return tuple(found)

    @cached_property
    def orders(self) -> tuple[int, ...]:
        """Orders of harmonics that have paths."""
        return tuple(sorted({g.order for g in self.groups}))

    def columns(self, order: int) -> int:
        """Products of an edge with harmonics of ``order``, before these."""
        return sum(g.n_columns for g in self.groups if g.order == order)

    @property
    def n_weights(self) -> int:
        """Weights of an edge."""
        return sum(g.n_weights for g in self.groups)

    @cached_property
    def products(self) -> Irreps:
        """Irreps of the products: of each kind all paths, by the neighbor's kind and the order of the harmonics."""
        counts = {k: sum(t.count for t, _, kind in self.by_source if kind == k) for k in self.kinds}
        return Irreps.parse("+".join(f"{n}x{k}" for k, n in counts.items() if n))

    @cached_property
    def by_source(self) -> tuple[tuple[Term, int, str], ...]:
        """(neighbor's numbers, order, kind of the product) by the first, then the second."""
        groups = sorted(self.groups, key=lambda g: (g.source.start, g.order))
        return tuple((g.source, g.order, kind) for g in groups for kind in g.to)


def products(kind: str, order: int, *, even: bool) -> Sequence[str]:
    """Kinds of what is in the product of ``kind`` with harmonics of an order: |l − l_f| … l + l_f."""
    degree, odd = int(kind[:-1]), kind.endswith("o")
    odd = odd if even else odd != (order % 2 == 1)
    return [f"{k}{'o' if odd else 'e'}" for k in range(abs(degree - order), degree + order + 1)]
