"""Blocks of whole crystals whose gates fit the cache: how edges are gathered and added, by several threads.

The integers for it are made once per batch on the CPU, with NumPy's stable sort (radix for 16-bit numbers).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK_GATES = 3072
"""Gates per block: two planes of 64 float32 features take 1.5 MB, about the second-level cache of a core."""

Ints = NDArray[np.int64]

T = TypeVar("T")
_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)


@dataclass(frozen=True)
class Gates:
    """All gates of a batch, structure by structure. A gate adds up the addends of a centre, a neighbor and a distance.

    Args:
        centre, neighbor, distance: (G,) rows of the addends; without distance, each gate has a row of its own.
        gate: (E,) gate of each edge, or none where edge e has gate e and rows are atoms.
        pointers: (N + 1,) first edge of each atom.
        ends: (S, 5) after each structure, the number of: atoms, rows of atoms, rows of distances, gates, edges.
    """

    centre: Ints
    neighbor: Ints
    distance: Ints | None
    gate: Ints | None
    pointers: Ints
    ends: Ints


@dataclass(frozen=True)
class Block:
    """Some crystals: n atoms, e edges, g gates, r rows of atoms, d rows of distances.

    The block's table of addends has four rows per row of atoms (filter as centre, filter as neighbor, core as centre,
    core as neighbor) and two per distance (filter, core) unless each gate has a distance of its own.

    Args:
        atoms: their slice. first_gate: number of the first gate.
        atom_rows: slice of the (4R, F) addends. distances: slice of the distances.
        n_rows: 4r + 2d, or 4r.
        rows: (2kg,) the k = 3 (or 2) rows to add up for the filter of each gate, then for its core; rows_start: (2g,).
        gate: (e,) gate of each edge, edges sorted by centre; gate_start: (n,) first edge of each centre.
        shares: whether edges share gates; else edge e has gate e.
    """

    atoms: slice
    first_gate: int
    atom_rows: slice
    distances: slice
    n_rows: int
    rows: Tensor
    rows_start: Tensor
    gate: Tensor
    gate_start: Tensor
    shares: bool

    @property
    def n_gates(self) -> int:
        """How many gates."""
        return len(self.rows_start) // 2

    @property
    def gates(self) -> slice:
        """Their slice; also that of the edges where they do not share gates."""
        return slice(self.first_gate, self.first_gate + self.n_gates)

    @cached_property
    def backward(self) -> Backward:
        """Made when it is first asked for: predictions never do."""
        flat, n_gates = self.rows.numpy(), self.n_gates
        degree = np.diff(self.gate_start.numpy(), append=len(self.gate))
        centre, centre_start = np.repeat(np.arange(len(degree)), degree), None
        if self.shares:
            gate = self.gate.numpy()
            centre = centre[stable_order(gate, n_gates)]
            centre_start = int32(starts_of(gate, n_gates))
        back = int32(stable_order(flat, self.n_rows) // (len(flat) // (2 * n_gates)))
        return Backward(back, int32(starts_of(flat, self.n_rows)), int32(centre), centre_start)


@dataclass(frozen=True)
class Backward:
    """How the gradients of a block's gates go back.

    Args:
        back: (2kg,) filters and cores (g + gate) to add up for each row of the table; back_start: (n_rows,).
        centre: (e,) centre of each edge, edges sorted by gate, from the block's first atom.
        centre_start: (g,) first edge of each gate, or none where edge e has gate e.
    """

    back: Tensor
    back_start: Tensor
    centre: Tensor
    centre_start: Tensor | None


def make_blocks(gates: Gates) -> Iterator[Block]:
    """Cut a batch into blocks of whole structures, in order."""
    first, start = 0, np.zeros(5, dtype=np.int64)
    while first < len(gates.ends):
        last = max(first, int(np.searchsorted(gates.ends[:, 3], start[3] + BLOCK_GATES, side="right")) - 1)
        stop = gates.ends[last]
        yield _block(gates, *(slice(a, b) for a, b in zip(start.tolist(), stop.tolist(), strict=True)))
        first, start = last + 1, stop


def _block(gates: Gates, atoms: slice, sources: slice, distances: slice, part: slice, edges: slice) -> Block:
    r, d, g = (s.stop - s.start for s in (sources, distances, part))
    columns = [4 * (gates.centre[part] - sources.start), 4 * (gates.neighbor[part] - sources.start) + 1]
    size = 4 * r
    if gates.distance is not None:
        columns.append(size + 2 * (gates.distance[part] - distances.start))
        size += 2 * d
    k = len(columns)
    table = np.empty((2, g, k), dtype=np.int32)
    np.stack(columns, 1, out=table[0], casting="same_kind")
    np.add(table[0], np.array([2, 2, 1], dtype=np.int32)[:k], out=table[1])
    pointers = gates.pointers[atoms.start : atoms.stop] - edges.start
    shares = gates.gate is not None
    gate = np.arange(g) if gates.gate is None else gates.gate[edges] - part.start
    return Block(
        atoms=atoms,
        first_gate=part.start,
        atom_rows=slice(4 * sources.start, 4 * sources.stop),
        distances=distances,
        n_rows=size,
        rows=torch.from_numpy(table.reshape(-1)),
        rows_start=torch.arange(0, 2 * k * g, k, dtype=torch.int32),
        gate=int32(gate),
        gate_start=int32(pointers),
        shares=shares,
    )


def starts_of(values: NDArray[Any], bound: int) -> Ints:
    """Where each of 0, 1, … bound − 1 begins among the sorted values."""
    used = np.bincount(values, minlength=bound)
    starts: Ints = np.cumsum(used) - used
    return starts


def stable_order(values: NDArray[Any], bound: int) -> Ints:
    """Stable order of values below ``bound`` ≤ 2³²: by the lower 16 bits, then the upper ones; those sort by radix."""
    low = np.argsort((values & 0xFFFF).astype(np.uint16), kind="stable")
    if bound <= 1 << 16:
        return low
    order: Ints = low[np.argsort((values[low] >> 16).astype(np.uint16), kind="stable")]
    return order


def int32(values: NDArray[Any]) -> Tensor:
    """The same numbers as a tensor of int32."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int32))


def bag_sum(x: Tensor, index: Tensor, start: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sums of the (weighted) rows ``x[index]`` over consecutive ranges that begin at ``start``.

    Deterministic, unlike scatters.
    """
    result: Tensor = torch.embedding_bag(x, index, start, False, 0, False, weights)[0]
    return result


def each_block(blocks: Sequence[T], work: Callable[[Iterator[T]], None]) -> None:
    """Run ``work`` over the blocks in as many threads as torch may use, each operation single-threaded.

    torch releases the interpreter lock inside operations, and there is no barrier after each. Results do not depend on
    which thread took which block: every block writes rows of its own.
    """
    threads = torch.get_num_threads()
    helpers = min(threads, len(blocks)) - 1
    queue = iter(blocks)
    if helpers <= 0:
        work(queue)
        return
    if helpers not in _pools:
        _pools[helpers] = ThreadPoolExecutor(helpers, thread_name_prefix="gate-sum")

    def help_out() -> None:
        with torch.no_grad():  # gradient mode and thread count belong to the thread
            torch.set_num_threads(1)
            work(queue)

    torch.set_num_threads(1)
    try:
        futures = [_pools[helpers].submit(help_out) for _ in range(helpers)]
        work(queue)
        for future in futures:
            future.result()
    finally:
        torch.set_num_threads(threads)
