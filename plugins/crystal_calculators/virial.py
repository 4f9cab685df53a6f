"""Stress of a sum over pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from crystalcli.nouns.graph import CrystalGraph


def stress_of(graph: CrystalGraph, d: Tensor, f: Tensor) -> Tensor:
    """``Σ d ⊗ f / V``, (S, 3, 3) eV/Å³.

    Args:
        graph: with the edges.
        d: (E, 3) Å, of each edge.
        f: (E, 3) eV/Å, ∂E/∂d: where a pair attracts, both point the same way.
    """
    virial = (d[:, :, None] * f[:, None, :]).flatten(1)
    zero = virial.new_zeros(graph.n_structures, 9)
    index = graph.structure_index.index_select(0, graph.edge_index[0])
    found = zero.index_add(0, index, virial).view(-1, 3, 3)
    volume = torch.linalg.det(graph.cell).abs()[:, None, None]
    symmetric: Tensor = 0.5 * (found + found.transpose(1, 2)) / volume
    return symmetric
