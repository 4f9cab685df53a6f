"""Distances that training never had, held near those that it had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from crystalcli.contracts.element_tables import ElementTable
from crystalcli.nouns.graph import CrystalGraph

SPAN = 0.1
"""Å that a distance can seem shorter than the shortest of training."""


class HeldLengths(nn.Module):
    """``r`` where the two elements have been as near in training, else ``s − δ tanh((s − r)/δ)``; s: the shortest, δ.

    Deviation: not in any of the papers. What a network makes of distances that it never saw is arbitrary, often a hole
    into which a pair of atoms falls sooner or later. Held lengths let it say of such pairs what it says of the nearest
    that it knows; what pushes them apart is for the head. Value, slope and curvature are continuous at s, and nothing
    changes where there were data.

    Args:
        shortest: (Z, Z', Å) for every pair of elements that are neighbors in training; others are left as they are.
    """

    shortest: Tensor
    element_tables: ClassVar = {"shortest": ElementTable(0, 1, by_number=True, from_statistics=True)}

    def __init__(self, shortest: Sequence[tuple[int, int, float]]) -> None:
        super().__init__()
        table = torch.zeros(120, 120)
        for a, b, distance in shortest:
            table[a, b] = table[b, a] = distance
        self.register_buffer("shortest", table)

    def forward(self, graph: CrystalGraph, lengths: Tensor) -> Tensor:
        """Lengths (E,) Å → lengths as the network sees them."""
        zi, zj = (graph.atomic_numbers.index_select(0, end) for end in graph.edge_index)
        short = torch.clamp_min(self.shortest.view(-1).index_select(0, zi * 120 + zj) - lengths, 0.0)
        return lengths + short - SPAN * torch.tanh(short / SPAN)
