"""Blocks of a few atoms whose edges fit the cache, and the desks on which they are worked.

A desk is memory that all blocks of one size use one after the other: what is not allocated anew need not be cleared by
the system, which costs more than the arithmetic. On a CPU a thread keeps its desks from one graph to the next: to make
the two hundred views of each took a quarter of a force call of 30 atoms.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crystal_nequip.paths import Paths
from crystalcli.nouns.graph import CrystalGraph

BLOCK_NUMBERS = 1_500_000
"""Numbers on the desk of a block on a CPU, at most (one atom at least)."""
GPU_NUMBERS = 200_000_000
DESKS = 256
"""Desks that a thread keeps at most; before one more is made, all are forgotten."""


@dataclass(frozen=True)
class Block:
    """Some atoms with about the same number of neighbors.

    Args:
        atoms: (A,). edges: (A·M,), number of the edge; E where an atom has fewer than M.
        neighbors: (A·M,), atoms; where there is none the atom itself, so that what is no number stays in its structure.
    """

    atoms: Tensor
    edges: Tensor
    neighbors: Tensor


class Factors:
    """Weights (A·M, P) and neighbors' numbers (A·M, D) of a block, and how they meet: views by group of paths."""

    def __init__(self, w: Tensor, near: Tensor, paths: Paths) -> None:
        self.w, self.near = w, near
        self.pairs: list[tuple[Tensor, Tensor]] = []
        for g in paths.groups:
            columns = slice(g.source.start, g.source.columns.stop)
            self.pairs.append(
                (
                    w[:, g.weights : g.weights + g.n_weights].view(len(w), g.n, 1, g.source.count),
                    near[:, columns].view(len(w), 1, g.source.size, g.source.count),
                )
            )

    def multiplied(self, products: Products) -> None:
        """Z of (1)."""
        for (w, near), z in zip(self.pairs, products.groups, strict=True):
            torch.mul(w, near, out=z)

    def multiplied_with(self, other: Factors, products: Products) -> None:
        """ẑ of (3)."""
        for (w, near), (t_w, t_near), z in zip(self.pairs, other.pairs, products.groups, strict=True):
            torch.mul(t_w, near, out=z)
            z.addcmul_(w, t_near)


class Products:
    """Products of weights and numbers, by order of the harmonics (A, M, columns), and by group of paths."""

    def __init__(self, memory: list[Tensor], n_atoms: int, paths: Paths) -> None:
        self.by_order = [m.view(n_atoms, -1, m.shape[1]) for m in memory]
        self.groups: list[Tensor] = []
        for g in paths.groups:
            m = memory[paths.orders.index(g.order)][:, g.column : g.column + g.n_columns]
            self.groups.append(m.view(len(m), g.n, g.source.size, g.source.count))


class Desk:
    """Where blocks of A atoms with M neighbors each are worked on.

    Args:
        flat: memory, in the dtype of the numbers. n_atoms, n_edges: A and A·M. paths: of the sums. width: of h.
    """

    def __init__(self, flat: Tensor, n_atoms: int, n_edges: int, paths: Paths, width: int) -> None:
        n_harmonics = (paths.l_max + 1) ** 2
        sizes = _widths(paths, width)
        whole: Sequence[Tensor] = torch.split(flat[: n_edges * sum(sizes)], [n_edges * s for s in sizes])
        parts = [m.view(n_edges, -1) for m in whole]
        self.hidden, self.harmonics, self.d_harmonics, w, near, d_w, d_near, *products = parts
        self.factors, self.d_factors = Factors(w, near, paths), Factors(d_w, d_near, paths)
        n = len(paths.orders)
        self.products = Products(products[:n], n_atoms, paths)
        self.d_products = Products(products[n:], n_atoms, paths)
        self.terms = _Terms(self.d_factors, self.d_products, self.factors)
        y, d_y = (t.view(n_atoms, -1, n_harmonics) for t in (self.harmonics, self.d_harmonics))
        self.by_order = [y[:, :, k * k : (k + 1) ** 2] for k in paths.orders]
        self.d_by_order = [d_y[:, :, k * k : (k + 1) ** 2] for k in paths.orders]
        without = (k for k in range(paths.l_max + 1) if k not in paths.orders)
        self.d_without_paths = [d_y[:, :, k * k : (k + 1) ** 2] for k in without]


class _Terms:
    """``dw = Σ_i dz x`` and ``dx = Σ_p dz w`` as terms (what they are added to, dz, x or w)."""

    def __init__(self, d_factors: Factors, d_products: Products, factors: Factors) -> None:
        self.first: list[tuple[Tensor, Tensor, Tensor]] = []
        self.more: list[tuple[Tensor, Tensor, Tensor]] = []
        self.to_near: list[tuple[Tensor, Tensor, Tensor]] = []
        self.d_near = d_factors.near
        for (d_w, d_near), (w, near), d_z in zip(d_factors.pairs, factors.pairs, d_products.groups, strict=True):
            self.to_near += [(d_near[:, 0], d_z[:, p], w[:, p]) for p in range(d_z.shape[1])]
            of_w = [(d_w[:, :, 0], d_z[:, :, i], near[:, :, i]) for i in range(d_z.shape[2])]
            self.first += of_w[:1]
            self.more += of_w[1:]

    def begin(self) -> None:
        """Put the sums where something else was."""
        self.begin_weights()
        self.d_near.zero_()
        for to, a, b in self.to_near:
            to.addcmul_(a, b)

    def begin_weights(self) -> None:
        """Put dw where something else was."""
        for to, a, b in self.first:
            torch.mul(a, b, out=to)
        for to, a, b in self.more:
            to.addcmul_(a, b)

    def add(self) -> None:
        """Add to what is there."""
        for terms in (self.first, self.more, self.to_near):
            for to, a, b in terms:
                to.addcmul_(a, b)


class Pair:
    """A desk, and another for the cotangents, between which the second derivative goes to and fro."""

    def __init__(self, one: Desk, other: Desk) -> None:
        self.one, self.other = one, other
        self.terms = (
            _Terms(one.d_factors, one.d_products, other.factors),
            _Terms(one.d_factors, other.d_products, one.factors),
            _Terms(other.d_factors, one.d_products, one.factors),
        )


class Workplace:
    """Memory, and the desks and pairs of desks in it; what lies on one lasts as long as a sum is at work."""

    def __init__(self) -> None:
        self.memory: dict[tuple[int, torch.dtype], Tensor] = {}
        self.desks: dict[tuple[object, ...], Desk] = {}
        self.pairs: dict[tuple[object, ...], Pair] = {}

    def room(self, place: int, like: Tensor, numbers: int) -> Tensor:
        """At least so many numbers at one of the two places, in the dtype of ``like``; the desks there may be gone."""
        found = self.memory.get((place, like.dtype))
        if found is None or len(found) < numbers:
            if found is not None:
                self.desks.clear()
                self.pairs.clear()
            found = self.memory[place, like.dtype] = like.new_empty(numbers)
        return found


class _Kept(threading.local):
    """The workplace of each thread, for sums on a CPU."""

    def __init__(self) -> None:
        self.workplace = Workplace()


KEPT = _Kept()


def _widths(paths: Paths, width: int) -> list[int]:
    """Numbers of an edge on a desk: h, Y, dY, w, x, dw, dx, z by order, dz by order."""
    n, factors = (paths.l_max + 1) ** 2, [paths.n_weights, paths.source.dim]
    products = [paths.columns(order) for order in paths.orders]
    return [width, n, n, *factors, *factors, *products, *products]


class Blocks:
    """The atoms of a graph that have neighbors, cut into blocks; made once for a graph and all sums over it."""

    def __init__(self, graph: CrystalGraph) -> None:
        self.graph = graph
        degree = graph.row_pointers.diff()
        self.order = torch.argsort(degree, stable=True)
        self.sorted = degree.index_select(0, self.order)
        self.host: list[int] = self.sorted.tolist()
        self.made: dict[int, list[Block]] = {}
        self.own = None if self.order.device.type == "cpu" else Workplace()

    def of(self, paths: Paths, width: int) -> list[Block]:
        """Blocks for sums over ``paths`` whose weights come from ``width`` numbers."""
        most = self._most(paths, width)
        if most not in self.made:
            self.made[most] = list(self._cut(most))
        return self.made[most]

    def desk(self, block: Block, paths: Paths, like: Tensor, width: int) -> Desk:
        """A desk for a block, in the dtype of ``like``, that of all sums over the graph."""
        return self._desk(block, paths, like, width, 0)

    def pair(self, block: Block, paths: Paths, like: Tensor, width: int) -> Pair:
        """Two desks beside each other."""
        at = self._workplace
        one, other = (self._desk(block, paths, like, width, place) for place in (0, 1))
        key = (len(block.atoms), len(block.edges), paths, width, like.dtype)
        if key not in at.pairs:
            at.pairs[key] = Pair(one, other)
        return at.pairs[key]

    @property
    def _workplace(self) -> Workplace:
        return KEPT.workplace if self.own is None else self.own

    def _desk(self, block: Block, paths: Paths, like: Tensor, width: int, place: int) -> Desk:
        at, n_edges = self._workplace, len(block.edges)
        key = (place, len(block.atoms), n_edges, paths, width, like.dtype)
        if key not in at.desks:
            if len(at.desks) >= DESKS:
                at.desks.clear()
                at.pairs.clear()
            numbers = sum(_widths(paths, width))
            # sums one after the other need not have memory of their own
            most = max(len(b.edges) for b in self.of(paths, width))
            memory = at.room(place, like, max(numbers * most, BLOCK_NUMBERS))
            at.desks[key] = Desk(memory, len(block.atoms), n_edges, paths, width)
        return at.desks[key]

    def _most(self, paths: Paths, width: int) -> int:
        numbers = sum(_widths(paths, width))
        return max((BLOCK_NUMBERS if self.order.device.type == "cpu" else GPU_NUMBERS) // numbers, 1)

    def _cut(self, most: int) -> Iterator[Block]:
        first = next((k for k, d in enumerate(self.host) if d), len(self.host))
        n_edges = self.graph.n_edges
        while first < len(self.host):
            last = first + 1
            while last < len(self.host) and self.host[last] * (last + 1 - first) <= most:
                last += 1
            atoms = self.order[first:last]
            place = torch.arange(self.host[last - 1], device=atoms.device)
            begin, degree = self.graph.row_pointers.index_select(0, atoms), self.sorted[first:last]
            there, edges = place < degree.unsqueeze(1), begin.unsqueeze(1) + place
            near = self.graph.edge_index[1][edges.clamp(max=n_edges - 1)]
            neighbors = torch.where(there, near, atoms.unsqueeze(1))
            yield Block(atoms, torch.where(there, edges, n_edges).flatten(), neighbors.flatten())
            first = last
