"""Featurizers ``cgcnn`` (nearest neighbors) and ``radius`` (all neighbors, smooth cutoff)."""

from __future__ import annotations

import torch
from torch import nn

from crystal_cgcnn.elements import element_features
from crystal_cgcnn.held_lengths import HeldLengths
from crystal_cgcnn.options import EmbedOptions, KnnOptions, RadiusEmbedOptions, RadiusOptions
from crystalcli.contracts.modules import Distances, Features
from crystalcli.contracts.nn.basis import GaussianBasis, distinct_rows
from crystalcli.contracts.nn.envelopes import cosine, polynomial, xplor
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, edge_lengths, edge_vectors


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
