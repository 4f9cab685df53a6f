"""Featurizer ``cgcnn``: nearest-neighbor edges; element features and Gaussians of the distance."""

from __future__ import annotations

from collections.abc import Callable

import ase
from torch import nn

from crystal_cgcnn.options import EmbedOptions, KnnOptions
from crystalcli.contracts.modules import Features
from crystalcli.contracts.nn.basis import GaussianBasis
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, edge_lengths
from crystalcli.nouns.neighbors import build_graph


def build(options: KnnOptions) -> Callable[[ase.Atoms], GraphArrays]:
    """Return the function that builds one graph."""

    def one(atoms: ase.Atoms) -> GraphArrays:
        return build_graph(atoms, cutoff=options.cutoff, max_neighbors=options.max_neighbors, ties=options.ties)

    return one


class CgcnnFeatures(nn.Module):
    """Element features (N, 92) and Gaussian-expanded distances (E, K)."""

    def __init__(self, embed_options: EmbedOptions, options: KnnOptions) -> None:
        super().__init__()
        self.elements = nn.Embedding(119, 92)
        self.basis = GaussianBasis(0.0, options.cutoff, embed_options.gaussian_step)
        self.node_dim, self.edge_dim = 92, self.basis.dim

    def forward(self, graph: CrystalGraph) -> Features:
        """Features of a batch."""
        return Features(self.elements(graph.atomic_numbers), self.basis(edge_lengths(graph)))
