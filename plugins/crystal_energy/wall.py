"""A wall in front of what a model knows nothing of: pairs of atoms nearer than any in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from crystalcli.contracts.element_tables import ElementTable
from crystalcli.nouns.graph import CrystalGraph, edge_lengths, sum_over_neighbors, with_edges

STIFFNESS = 200.0
"""eV/Å³."""
MARGIN = 0.05
"""Å below the shortest distance of training at which the wall begins."""


class Wall(nn.Module):
    """``V_ij = k (w_ij − r)³`` for r < w_ij, else 0; half of it on each atom.

    Deviation: not in any of the papers. A learned energy is arbitrary where there were no data, often a hole into which
    a pair of atoms falls sooner or later. Value, slope and curvature vanish at w, which lies ``MARGIN`` below the
    shortest distance of the two elements in training, so that nothing is changed where the model has learned. With
    k = 200 eV/Å³ a pair 0.1 Å behind the wall is pushed with 6 eV/Å.

    Args:
        shortest: (Z, Z', Å) for every pair of elements that are neighbors in training.
    """

    begin: Tensor
    element_tables: ClassVar = {"begin": ElementTable(0, 1, by_number=True, from_statistics=True)}

    def __init__(self, shortest: Sequence[tuple[int, int, float]]) -> None:
        super().__init__()
        begin = torch.zeros(120, 120, dtype=torch.float64)
        for a, b, distance in shortest:
            begin[a, b] = begin[b, a] = max(distance - MARGIN, 0.0)
        self.register_buffer("begin", begin)

    def forward(self, graph: CrystalGraph) -> Tensor:
        """Energies of the atoms, (N,) eV float64."""
        zi, zj = (graph.atomic_numbers.index_select(0, end) for end in graph.edge_index)
        begin = self.begin.view(-1).index_select(0, zi * 120 + zj)
        with torch.no_grad():  # almost always none, and then there is nothing to differentiate
            behind = (edge_lengths(graph).double() < begin).nonzero().squeeze(1)
        few = with_edges(graph, behind)
        depth = begin.index_select(0, behind) - edge_lengths(few).double()
        return 0.5 * STIFFNESS * sum_over_neighbors(few, (depth**3).unsqueeze(1)).squeeze(1)
