"""Featurizers ``cgcnn`` (nearest neighbors) and ``radius`` (all neighbors, smooth cutoff)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from crystal_cgcnn.elements import element_features
from crystal_cgcnn.options import EmbedOptions, KnnOptions, RadiusEmbedOptions, RadiusOptions
from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.modules import Distances, Features
from crystalcli.contracts.nn.basis import GaussianBasis, cosine, distinct_rows, polynomial, xplor
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, edge_lengths, edge_vectors

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


class CgcnnFeatures(nn.Module):
    """Element features (N, D) and Gaussian-expanded distances (E, K)."""

    def __init__(self, embed_options: EmbedOptions, options: KnnOptions) -> None:
        super().__init__()
        self.elements = element_features(embed_options.atom_features)
        self.basis = GaussianBasis(0.0, options.cutoff, embed_options.gaussian_step)
        self.node_dim, self.edge_dim = self.elements.dim, self.basis.dim

    def forward(self, graph: CrystalGraph) -> Features:
        """Features of a batch."""
        lengths, nodes = edge_lengths(graph), self.elements(graph.atomic_numbers)
        distinct = distinct_rows(graph, lengths, self.basis)
        edges = self.basis(lengths) if distinct is None else None
        return Features(nodes, edges, distinct=distinct, kinds=graph.atomic_numbers)


class RadiusFeatures(nn.Module):
    """As :class:`CgcnnFeatures`, with an envelope that takes messages to zero at the cutoff."""

    def __init__(self, embed_options: RadiusEmbedOptions, options: RadiusOptions, statistics: Statistics) -> None:
        super().__init__()
        self.elements = element_features(embed_options.atom_features)
        self.basis = GaussianBasis(0.0, options.cutoff, embed_options.gaussian_step)
        self.node_dim, self.edge_dim = self.elements.dim, self.basis.dim
        self.cutoff = options.cutoff
        self.held = HeldLengths(statistics.shortest)
        self.envelope = {"polynomial": polynomial, "cosine": cosine, "xplor": xplor}[embed_options.envelope]

    def forward(self, graph: CrystalGraph) -> Features:
        """Features of a batch."""
        vectors = edge_vectors(graph)
        lengths = self.held(graph, torch.linalg.vector_norm(vectors, dim=1))
        return Features(
            self.elements(graph.atomic_numbers),
            lambda: self.basis(lengths),
            self.envelope(lengths / self.cutoff),
            distances=Distances(lengths, self.cutoff, vectors),
        )
