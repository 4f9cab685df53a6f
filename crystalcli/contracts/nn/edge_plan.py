"""How the edges of a batch are walked by the fast convolution: blocks of gates, and sums for the statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.modules import DistinctRows, Features
from crystalcli.contracts.nn.edge_blocks import Block, Gates, Ints, bag_sum, int32, make_blocks, stable_order, starts_of
from crystalcli.nouns.graph import CrystalGraph

PLAN = "edges"
WORTH_SHARING = 0.75
"""Edges share gates in the first convolution if that leaves fewer than this part of them."""


class Adjacency(Protocol):
    """Which rows are neighbors of which."""

    def neighbors(self, x: Tensor) -> Tensor:
        """Sum (R, F) rows over the neighbors of each row."""
        ...

    def centres(self, x: Tensor) -> Tensor:
        """Sum (R, F) rows over the centres that each row is a neighbor of."""
        ...


@dataclass(frozen=True)
class Lists:
    """Edges as lists: (E,) neighbors sorted by centre, (E,) centres sorted by neighbor, (R,) starts of both."""

    neighbor: Tensor
    centre_start: Tensor
    centre: Tensor
    neighbor_start: Tensor

    def neighbors(self, x: Tensor) -> Tensor:
        """Sum over neighbors."""
        return bag_sum(x, self.neighbor, self.centre_start)

    def centres(self, x: Tensor) -> Tensor:
        """Sum over centres."""
        return bag_sum(x, self.centre, self.neighbor_start)


@dataclass(frozen=True)
class Pairs:
    """Number of edges of every pair, (R, R)."""

    count: Tensor

    def neighbors(self, x: Tensor) -> Tensor:
        """Sum over neighbors."""
        return self.count @ x

    def centres(self, x: Tensor) -> Tensor:
        """Sum over centres."""
        return self.count.t() @ x


@dataclass(frozen=True)
class EdgeSums:
    """What the statistics of a batch norm over edges need, in training only. Rows are atoms, or kinds of atoms.

    Args:
        degree, sent: (R, 1) edges arriving at each centre, leaving each neighbor.
        adjacency: sums over neighbors and centres.
        basis_mean: (K,), basis_covariance: (K, K) over all edges.
        basis_by_centre, basis_by_neighbor: (R, K) sums of the centred basis over the edges of each row.
    """

    degree: Tensor
    sent: Tensor
    adjacency: Adjacency
    basis_mean: Tensor
    basis_covariance: Tensor
    basis_by_centre: Tensor
    basis_by_neighbor: Tensor


@dataclass(frozen=True)
class EdgePlan:
    """Gates of a batch. Rows are atoms, or kinds of atoms.

    Args:
        basis: (D, K) edge features of the distinct distances; none where each gate has a row of its own.
        gates: G, in order. n_atoms, n_edges: N, E.
        spread: (R',) row of the node features for each row of addends in the blocks; none if they are the same.
        make_sums: makes :attr:`sums`; none without a basis.
        first: another plan for the first convolution, if that is faster.
    """

    basis: Tensor | None
    gates: Gates
    n_atoms: int
    n_edges: int
    spread: Tensor | None
    make_sums: Callable[[], EdgeSums] | None
    first: FirstPlan | None = None

    @cached_property
    def sums(self) -> EdgeSums:
        """Made when they are first asked for."""
        assert self.make_sums is not None
        return self.make_sums()

    @property
    def n_gates(self) -> int:
        """G."""
        return len(self.gates.centre)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The gates in blocks of whole crystals."""
        return tuple(make_blocks(self.gates))


@dataclass(frozen=True)
class FirstPlan:
    """Plan of the first convolution, where atoms of one kind are still equal.

    Edges between the same kinds, of the same length and in the same crystal share a gate.

    Args:
        plan: its rows are kinds.
        example: (R,) an atom of each kind. kind: (N,) kind of each atom.
    """

    plan: EdgePlan
    example: Tensor
    kind: Tensor


def plan_for(graph: CrystalGraph, features: Features) -> EdgePlan | None:
    """Plan of a batch in float32 on the CPU whose featurizer gave distinct rows, else none; made once of features."""
    if PLAN not in features.plans:
        features.plans[PLAN] = _made(graph, features)
    found: EdgePlan | None = features.plans[PLAN]
    return found


def _made(graph: CrystalGraph, features: Features) -> EdgePlan | None:
    distinct = features.distinct
    if distinct is None or features.envelope is not None or graph.n_edges == 0 or distinct.rows.device.type != "cpu":
        return None
    plan = plan_of_atoms(graph, distinct)
    if features.kinds is None:
        return plan
    return replace(plan, first=plan_of_kinds(graph, distinct, features.kinds, plan))


def plan_of_atoms(graph: CrystalGraph, distinct: DistinctRows) -> EdgePlan:
    """Make the plan of a batch, a gate for every edge."""
    n_atoms, n_edges = graph.n_atoms, graph.n_edges
    i, j = graph.edge_index.numpy()
    u, pointers = distinct.index.numpy(), graph.row_pointers.numpy()
    atom_ends = np.cumsum(graph.atom_counts.numpy())
    ends = np.stack(
        [atom_ends, atom_ends, np.cumsum(distinct.counts.numpy()), pointers[atom_ends], pointers[atom_ends]]
    )
    return EdgePlan(
        basis=distinct.rows,
        gates=Gates(i, j, u, None, pointers, ends.T),
        n_atoms=n_atoms,
        n_edges=n_edges,
        spread=None,
        make_sums=lambda: _sums_of_atoms(distinct.rows, i, j, u, pointers),
    )


def plan_of_edges(graph: CrystalGraph) -> EdgePlan | None:
    """A gate and a row of distances for every edge, on the CPU; none on other devices and without edges."""
    if graph.n_edges == 0 or graph.edge_index.device.type != "cpu":
        return None
    i, j = graph.edge_index.numpy()
    pointers, atoms = graph.row_pointers.numpy(), np.cumsum(graph.atom_counts.numpy())
    edges = pointers[atoms]
    gates = Gates(i, j, None, None, pointers, np.stack([atoms, atoms, edges, edges, edges]).T)
    return EdgePlan(None, gates, graph.n_atoms, graph.n_edges, spread=None, make_sums=None)


def _sums_of_atoms(basis: Tensor, i: Ints, j: Ints, u: Ints, pointers: Ints) -> EdgeSums:
    n_atoms = len(pointers) - 1
    by_neighbor = stable_order(j, n_atoms)
    neighbor_start, sent = starts_of(j, n_atoms), np.bincount(j, minlength=n_atoms)
    edges = Lists(int32(j), int32(pointers[:-1]), int32(i[by_neighbor]), int32(neighbor_start))
    share = torch.as_tensor(np.bincount(u, minlength=len(basis)), dtype=basis.dtype) / len(i)
    mean = share @ basis
    centred = basis - mean
    return EdgeSums(
        degree=torch.as_tensor(np.diff(pointers), dtype=basis.dtype).unsqueeze(1),
        sent=torch.as_tensor(sent, dtype=basis.dtype).unsqueeze(1),
        adjacency=edges,
        basis_mean=mean,
        basis_covariance=(centred * share.unsqueeze(1)).t() @ centred,
        basis_by_centre=bag_sum(centred, int32(u), edges.centre_start),
        basis_by_neighbor=bag_sum(centred, int32(u[by_neighbor]), edges.neighbor_start),
    )


def plan_of_kinds(graph: CrystalGraph, distinct: DistinctRows, kinds: Tensor, every: EdgePlan) -> FirstPlan | None:
    """Make the plan of the first convolution from the numbers of the kinds, (N,); none if too few edges are alike."""
    numbers, kind = torch.unique(kinds, return_inverse=True)
    k = len(numbers)
    i, j = kind.index_select(0, graph.edge_index[0]), kind.index_select(0, graph.edge_index[1])
    pair = i * k + j
    found, gate = torch.unique(distinct.index * (k * k) + pair, return_inverse=True)
    if len(found) > WORTH_SHARING * graph.n_edges:
        return None
    # rows of addends: the kinds that occur in each structure
    sources = torch.unique(graph.structure_index * k + kind)
    row_of = torch.zeros(graph.n_structures * k, dtype=torch.int64)
    row_of[sources] = torch.arange(len(sources))
    distance, pair_of_gate = found // (k * k), found % (k * k)
    structures = torch.arange(graph.n_structures)
    first = k * structures.repeat_interleave(distinct.counts).index_select(0, distance)
    row_ends = torch.cumsum(distinct.counts, 0)
    atom_ends = torch.cumsum(graph.atom_counts, 0)
    ends = torch.stack(
        [
            atom_ends,
            torch.searchsorted(sources, k * (structures + 1)),
            row_ends,
            torch.searchsorted(distance, row_ends),
            graph.row_pointers.index_select(0, atom_ends),
        ]
    )
    gates = Gates(
        _rows(row_of, first + pair_of_gate // k),
        _rows(row_of, first + pair_of_gate % k),
        distance.numpy(),
        gate.numpy(),
        graph.row_pointers.numpy(),
        ends.t().numpy(),
    )
    plan = EdgePlan(
        basis=every.basis,
        gates=gates,
        n_atoms=graph.n_atoms,
        n_edges=graph.n_edges,
        spread=sources % k,
        make_sums=lambda: _sums_of_kinds(kind, pair, k, every),
    )
    example = np.empty(k, dtype=np.int64)
    example[kind.numpy()] = np.arange(graph.n_atoms)
    return FirstPlan(plan, torch.from_numpy(example), kind)


def _sums_of_kinds(kind: Tensor, pair: Tensor, k: int, every: EdgePlan) -> EdgeSums:
    of_atoms = every.sums.basis_by_centre
    count = torch.bincount(pair, minlength=k * k).view(k, k).to(of_atoms.dtype)
    zero = of_atoms.new_zeros(k, of_atoms.shape[1])
    return replace(
        every.sums,
        degree=count.sum(1, keepdim=True),
        sent=count.sum(0).unsqueeze(1),
        adjacency=Pairs(count),
        basis_by_centre=zero.index_add(0, kind, every.sums.basis_by_centre),
        basis_by_neighbor=zero.index_add(0, kind, every.sums.basis_by_neighbor),
    )


def _rows(row_of: Tensor, index: Tensor) -> Ints:
    rows: Ints = row_of.index_select(0, index).numpy()
    return rows
