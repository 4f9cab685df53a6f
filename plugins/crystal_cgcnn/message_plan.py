"""How the edges of a batch are walked by gated messages: stretches of whole centres that fit the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

STRETCH = 4096
"""Edges per stretch on the CPU: a plane of 32 float32 features takes 512 kB."""


@dataclass(frozen=True)
class Stretch:
    """The e edges of n consecutive centres.

    Args:
        edges, atoms: their slices.
        centre: (e,) centre of each edge, from the first of the stretch.
        ends: (4e,) the two rows of the (4N, F) addends of every filter, then of every core; ends_start: (2e,).
        order: (2e,) 0, 1, 2, …; order_start: (n,) first edge of each centre.
        both_start: (2n,) the same in filters, then in cores.
    """

    edges: slice
    atoms: slice
    centre: Tensor
    ends: Tensor
    ends_start: Tensor
    order: Tensor
    order_start: Tensor
    both_start: Tensor

    @property
    def n_edges(self) -> int:
        """Number of edges e."""
        return int(self.edges.stop - self.edges.start)


@dataclass(frozen=True)
class MessagePlan:
    """Edges sorted by centre.

    Args:
        stretches: in order. n_atoms: N. n_edges: E.
        by_neighbor: (E,) edges sorted by neighbor; neighbor_start: (N,).
    """

    stretches: tuple[Stretch, ...]
    n_atoms: int
    n_edges: int
    by_neighbor: Tensor
    neighbor_start: Tensor


def plan_messages(centre: Tensor, neighbor: Tensor, n_atoms: int) -> MessagePlan:
    """Plan of (E,) edges sorted by centre."""
    n_edges = len(centre)
    degree = torch.bincount(centre, minlength=n_atoms)
    starts = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    sent = torch.bincount(neighbor, minlength=n_atoms)
    return MessagePlan(
        tuple(_stretches(centre, neighbor, starts)),
        n_atoms,
        n_edges,
        by_neighbor=_stable_order(neighbor, n_atoms).int(),
        neighbor_start=(sent.cumsum(0) - sent).int(),
    )


def _stable_order(values: Tensor, bound: int) -> Tensor:
    """Order that sorts ``values``; NumPy sorts 16-bit numbers by radix, ten times faster than torch."""
    if values.device.type != "cpu" or bound >= 1 << 16:
        return torch.argsort(values, stable=True)
    return torch.from_numpy(np.argsort(values.numpy().astype(np.uint16), kind="stable"))


def _stretches(centre: Tensor, neighbor: Tensor, starts: Tensor) -> Iterator[Stretch]:
    n_atoms, n_edges = len(starts) - 1, len(centre)
    if centre.device.type == "cpu":
        wished = torch.arange(STRETCH, n_edges + STRETCH, STRETCH)
        cuts = torch.searchsorted(starts, wished, right=True).sub_(1).clamp_(max=n_atoms).tolist()
    else:
        cuts = [n_atoms]
    first = 0
    for wish in dict.fromkeys([*cuts, n_atoms]):
        stop = max(wish, first + 1) if first < n_atoms else n_atoms
        if stop <= first:
            continue
        yield _stretch(centre, neighbor, starts, first, stop)
        first = stop


def _stretch(centre: Tensor, neighbor: Tensor, starts: Tensor, first: int, stop: int) -> Stretch:
    a, b = int(starts[first]), int(starts[stop])
    i, j, e = centre[a:b], neighbor[a:b], b - a
    filters = torch.stack([4 * i, 4 * j + 1], 1).flatten()
    begin = (starts[first:stop] - a).int()
    return Stretch(
        edges=slice(a, b),
        atoms=slice(first, stop),
        centre=(i - first).int(),
        ends=torch.cat([filters, filters + 2]).int(),
        ends_start=torch.arange(0, 4 * e, 2, dtype=torch.int32, device=i.device),
        order=torch.arange(2 * e, dtype=torch.int32, device=i.device),
        order_start=begin,
        both_start=torch.cat([begin, begin + e]),
    )
