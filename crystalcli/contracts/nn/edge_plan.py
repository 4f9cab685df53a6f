"""How the edges of a batch are walked by the fast convolution: blocks of whole crystals that fit the cache.

Everything here is integers made once per batch on the CPU, with NumPy's stable sort (radix for 16-bit numbers).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.contracts.modules import DistinctRows, Features
from crystalcli.nouns.graph import CrystalGraph

BLOCK_EDGES = 2048
"""Edges per block: two planes of 64 float32 features take 1 MB, about the second-level cache of a core."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Some crystals: n atoms, d distinct distances, e edges.

    The block's table of addends has four rows per atom (filter as centre, filter as neighbor, core as centre, core as
    neighbor) and two per distance (filter, core).

    Args:
        atoms: their slice. first_edge: number of the first edge.
        atom_rows, distance_rows: slices of the (4N, F) and (2D, F) addends.
        rows: (6e,) the three rows to add up for the filter of each edge, then for its core; rows_start: (2e,).
        centre: (e,) centre of each edge, from the block's first atom.
        back: (6e,) filters and cores (e + edge) to add up for each row of the table; back_start: (4n + 2d,).
        order: (e,) 0, 1, 2, …; order_start: (n,) first edge of each centre.
    """

    atoms: slice
    first_edge: int
    atom_rows: slice
    distance_rows: slice
    rows: Tensor
    rows_start: Tensor
    centre: Tensor
    back: Tensor
    back_start: Tensor
    order: Tensor
    order_start: Tensor


@dataclass(frozen=True)
class EdgePlan:
    """Edges of a batch sorted by centre, and what the statistics of a batch norm over edges need.

    Args:
        basis: (D, K) edge features of the distinct distances.
        blocks: whole crystals each. n_edges: E.
        degree, sent: (N, 1) edges arriving at each centre, leaving each neighbor.
        neighbor: (E,) neighbor of each edge; centre_start: (N,).
        centre_by_neighbor: (E,) centre of each edge, sorted by neighbor; neighbor_start: (N,).
        basis_mean: (K,), basis_covariance: (K, K) over all edges.
        basis_by_centre, basis_by_neighbor: (N, K) sums of the centred basis over the edges of each atom.
    """

    basis: Tensor
    blocks: tuple[Block, ...]
    n_edges: int
    degree: Tensor
    sent: Tensor
    neighbor: Tensor
    centre_start: Tensor
    centre_by_neighbor: Tensor
    neighbor_start: Tensor
    basis_mean: Tensor
    basis_covariance: Tensor
    basis_by_centre: Tensor
    basis_by_neighbor: Tensor


def plan_for(graph: CrystalGraph, features: Features) -> EdgePlan | None:
    """Plan of a batch in float32 on the CPU whose featurizer gave distinct rows, else none."""
    distinct = features.distinct
    if distinct is None or features.envelope is not None or graph.n_edges == 0 or distinct.rows.device.type != "cpu":
        return None
    return make_plan(graph, distinct)


def make_plan(graph: CrystalGraph, distinct: DistinctRows) -> EdgePlan:
    """Make the plan of a batch."""
    n_atoms, n_edges = graph.n_atoms, graph.n_edges
    i, j = graph.edge_index.numpy()
    u = distinct.index.numpy()
    centre_start = graph.row_pointers.numpy()[:-1]
    degree, sent = np.diff(graph.row_pointers.numpy()), np.bincount(j, minlength=n_atoms)
    by_neighbor = _stable_order(j, n_atoms)
    neighbor_start = np.cumsum(sent) - sent
    basis = distinct.rows
    share = torch.as_tensor(np.bincount(u, minlength=len(basis)), dtype=basis.dtype) / n_edges
    mean = share @ basis
    centred = basis - mean
    return EdgePlan(
        basis=basis,
        blocks=tuple(_blocks(graph, distinct, i, j, u)),
        n_edges=n_edges,
        degree=torch.as_tensor(degree, dtype=basis.dtype).unsqueeze(1),
        sent=torch.as_tensor(sent, dtype=basis.dtype).unsqueeze(1),
        neighbor=_int32(j),
        centre_start=_int32(centre_start),
        centre_by_neighbor=_int32(i[by_neighbor]),
        neighbor_start=_int32(neighbor_start),
        basis_mean=mean,
        basis_covariance=(centred * share.unsqueeze(1)).t() @ centred,
        basis_by_centre=bag_sum(centred, _int32(u), _int32(centre_start)),
        basis_by_neighbor=bag_sum(centred, _int32(u[by_neighbor]), _int32(neighbor_start)),
    )


def bag_sum(x: Tensor, index: Tensor, start: Tensor) -> Tensor:
    """Sums of the rows ``x[index]`` over consecutive ranges that begin at ``start``; deterministic, unlike scatters."""
    result: Tensor = torch.embedding_bag(x, index, start, False, 0)[0]
    return result


def _blocks(graph: CrystalGraph, distinct: DistinctRows, i: Ints, j: Ints, u: Ints) -> Iterator[Block]:
    atom_stop = np.cumsum(graph.atom_counts.numpy())
    pointers = graph.row_pointers.numpy()
    edge_stop, row_stop = pointers[atom_stop], np.cumsum(distinct.counts.numpy())
    first, atom, edge, row = 0, 0, 0, 0
    while first < len(atom_stop):
        last = max(first, int(np.searchsorted(edge_stop, edge + BLOCK_EDGES, side="right")) - 1)
        stop_atom, stop_edge, stop_row = int(atom_stop[last]), int(edge_stop[last]), int(row_stop[last])
        part = slice(edge, stop_edge)
        starts = pointers[atom:stop_atom] - edge
        local = (i[part] - atom, j[part] - atom, u[part] - row)
        yield _block((atom, stop_atom), (row, stop_row), edge, local, starts)
        first, atom, edge, row = last + 1, stop_atom, stop_edge, stop_row


def _block(
    atoms: tuple[int, int], rows: tuple[int, int], edge: int, local: tuple[Ints, Ints, Ints], starts: Ints
) -> Block:
    i, j, u = local
    n, e = atoms[1] - atoms[0], len(i)
    size = 4 * n + 2 * (rows[1] - rows[0])
    table = np.empty((2, e, 3), dtype=np.uint16 if size < 1 << 16 else np.int64)
    table[0, :, 0], table[0, :, 1], table[0, :, 2] = 4 * i, 4 * j + 1, 4 * n + 2 * u
    table[1] = table[0] + np.array([2, 2, 1], dtype=table.dtype)
    flat = table.reshape(-1)
    used = np.bincount(flat, minlength=size)
    return Block(
        atoms=slice(*atoms),
        first_edge=edge,
        atom_rows=slice(4 * atoms[0], 4 * atoms[1]),
        distance_rows=slice(2 * rows[0], 2 * rows[1]),
        rows=_int32(flat),
        rows_start=torch.arange(0, 6 * e, 3, dtype=torch.int32),
        centre=_int32(i),
        back=_int32(np.argsort(flat, kind="stable") // 3),
        back_start=_int32(np.cumsum(used) - used),
        order=torch.arange(e, dtype=torch.int32),
        order_start=_int32(starts),
    )


def _stable_order(values: Ints, bound: int) -> Ints:
    return np.argsort(values.astype(np.uint16) if bound < 1 << 16 else values, kind="stable")


def _int32(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int32))
