"""Architecture ``threebody``: embeddings, convolutions, and one computation for atoms that symmetry makes equal."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from crystal_threebody.convolution import ThreeBodyConvolution
from crystal_threebody.options import ThreeBodyOptions
from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.harmonics import spherical_harmonics
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, DistinctAtoms, distinct_atoms, edge_vectors, with_edges

N_ELEMENTS = 119
SHORTEST = 1e-6
"""Å; a shorter edge has no direction."""


class ThreeBodyNetwork(nn.Module):
    """Graph and features → embeddings of atoms.

    Atoms start as a linear map of the featurizer's numbers plus a learned row of their element, which begins at zero:
    an element that training has not seen is what the featurizer says of it. Where graphs have the field ``orbit`` only
    one atom of each orbit is computed, with its edges, and stands for the others: all here are invariants.
    """

    element_tables: ClassVar = {"rows.weight": ElementTable(0, by_number=True)}

    def __init__(self, options: ThreeBodyOptions, node_dim: int, edge_dim: int, statistics: Statistics) -> None:
        super().__init__()
        f, g = options.width, options.edge_width
        self.embedding_dim = f
        self.l_max = options.l_max if options.angle_channels else 0
        self.nodes = nn.Linear(node_dim, f)
        self.rows = nn.Embedding(N_ELEMENTS, f)
        nn.init.zeros_(self.rows.weight)
        self.edges = nn.Sequential(nn.Linear(edge_dim, g), nn.SiLU(), nn.Linear(g, g))
        scale = max(statistics.mean_neighbors, 1.0) ** -0.5
        last = options.n_conv - 1
        self.convolutions = nn.ModuleList(
            ThreeBodyConvolution(options, scale, last=k == last) for k in range(options.n_conv)
        )
        self.norm = nn.LayerNorm(f)

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, F)."""
        distinct = distinct_atoms(graph)
        rows, numbers = features.nodes, graph.atomic_numbers
        if distinct is not None:
            rows, numbers = rows.index_select(0, distinct.atoms), numbers.index_select(0, distinct.atoms)
        nodes = self.nodes(rows) + self.rows(numbers)
        edges, ends, harmonics, envelope = self._edges(graph, features, distinct)
        for convolution in self.convolutions:
            nodes, edges = convolution(nodes, edges, ends, harmonics, envelope)
        nodes = self.norm(nodes)
        return Embedding(nodes if distinct is None else nodes.index_select(0, distinct.place))

    def _edges(
        self, graph: CrystalGraph, features: Features, distinct: DistinctAtoms | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor | None, Tensor | None]:
        """First features (E, G), ends, harmonics and envelope of the edges that count."""
        envelope, same_rows = features.envelope, features.distinct
        kept = None if distinct is None else distinct.edges
        if kept is not None:
            graph = with_edges(graph, kept)
            envelope = None if envelope is None else envelope.index_select(0, kept)
        if same_rows is not None:
            index = same_rows.index if kept is None else same_rows.index.index_select(0, kept)
            edges = self.edges(same_rows.rows).index_select(0, index)
        else:
            assert features.edges is not None  # the record requires edge features
            edges = self.edges(features.edges if kept is None else features.edges.index_select(0, kept))
        harmonics = None
        if self.l_max:
            away = edge_vectors(graph)
            units = away / torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp_min(SHORTEST)
            harmonics = spherical_harmonics(units, self.l_max)[:, 1:].to(edges.dtype)
        centre, neighbor = graph.edge_index
        if distinct is not None:
            centre, neighbor = distinct.place.index_select(0, centre), distinct.place.index_select(0, neighbor)
        return edges, (centre, neighbor), harmonics, envelope
