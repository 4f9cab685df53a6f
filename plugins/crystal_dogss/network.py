"""The network behind the springs: gated convolutions that update atoms and edges (J. Yoon, Z. W. Ulissi 2020)."""

from __future__ import annotations

import ase.data
import torch
from torch import Tensor, nn

from crystal_dogss.options import DogssOptions
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.basis import GaussianBasis
from crystalcli.contracts.nn.edge_convolution import EdgeConvolution
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, edge_vectors

BINS = (0.2, 2.6, 0.15)
"""Å; of a covalent radius: lower end of the first bin, end, and step."""
SUMS = (0.5, 5.1, 0.2)
"""Å; Gaussians of the sum of two covalent radii: first and last centre, step and width."""
TAGS = 3
"""ASE's tags of slabs and adsorbates: 0 and below, 1, 2 and above."""


class DogssNetwork(nn.Module):
    """Graph and features → embeddings of atoms and edges.

    Atoms: the featurizer's numbers ⊕ bin of the covalent radius ⊕ tag ⊕ whether the atom is held, then a linear layer.
    Edges: the featurizer's Gaussians of the distance ⊕ Gaussians of the sum of covalent radii, then a linear layer.
    """

    radii: Tensor
    bins: Tensor

    def __init__(self, options: DogssOptions, node_dim: int, edge_dim: int, statistics: Statistics) -> None:
        super().__init__()
        f = options.width
        self.embedding_dim = self.edge_dim = f
        self.register_buffer("radii", torch.tensor(ase.data.covalent_radii, dtype=torch.float32))
        self.register_buffer("bins", torch.arange(*BINS))
        self.sums = GaussianBasis(*SUMS)
        self.nodes = nn.Linear(node_dim + len(self.bins) + TAGS + 1, f)
        self.edges = nn.Linear(edge_dim + self.sums.dim, f)
        scale = max(statistics.mean_neighbors, 1.0) ** -0.5 if options.norm == "none" else 1.0
        self.convolutions = nn.ModuleList(
            EdgeConvolution(
                f,
                f,
                vectors=options.vectors if options.n_conv > 1 else 0,
                push=k < options.n_conv - 1,
                norm=options.norm,
                activation=options.activation,
                scale=scale,
            )
            for k in range(options.n_conv)
        )

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed a batch."""
        assert features.edges is not None  # the record requires edge features
        centre, neighbor = graph.edge_index[0], graph.edge_index[1]
        radii = self.radii.index_select(0, graph.atomic_numbers)
        nodes = self.nodes(torch.cat([features.nodes, *self._of_atoms(graph, radii, features.nodes)], 1))
        sums = radii.index_select(0, centre) + radii.index_select(0, neighbor)
        edges = self.edges(torch.cat([features.edges, self.sums(sums).to(features.edges)], 1))
        away = edge_vectors(graph)
        directions = (away / torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp_min(1e-4)).to(nodes)
        vectors = None
        for convolution in self.convolutions:
            nodes, edges, vectors = convolution(graph, nodes, edges, directions, vectors, features.envelope)
        return Embedding(nodes, edges)

    def _of_atoms(self, graph: CrystalGraph, radii: Tensor, like: Tensor) -> list[Tensor]:
        bins = (radii[:, None] >= self.bins).sum(1).sub(1).clamp_min(0)
        tags = graph.fields["tags"].round().long().clamp(0, TAGS - 1)
        bins, tags = nn.functional.one_hot(bins, len(self.bins)), nn.functional.one_hot(tags, TAGS)
        return [bins.to(like), tags.to(like), graph.fields["fixed"][:, None].to(like)]
