"""Architecture ``neighborhood-mlp``: fully connected layers on the sorted neighborhood of every atom."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystal_site.options import NeighborhoodOptions
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.nouns.graph import CrystalGraph, edge_lengths

TIE = 1e-4
"""Å; neighbors no further apart than this are at one distance, and come in the order of their elements."""


class NeighborhoodMlp(nn.Module):
    """The baseline of per-site CGCNN: it knows the neighbors of an atom, but no message passes between atoms.

    Input of a site: its element features, then for each of its M nearest neighbors, in the order of (distance,
    element), element features and expanded distance; D + M(D + K) numbers, 1688 for the defaults of CGCNN. Missing
    neighbors are zeros. The first layer has weights of its own for each place in the list: sharing them would be a
    convolution.

    Args:
        node_dim: D. edge_dim: K. options: of the architecture.
    """

    def __init__(self, node_dim: int, edge_dim: int, options: NeighborhoodOptions) -> None:
        super().__init__()
        self.neighbors, self.embedding_dim = options.neighbors, options.width
        self.input_dim = node_dim + options.neighbors * (node_dim + edge_dim)
        layers: list[nn.Module] = [nn.Linear(self.input_dim, options.width)]
        for _ in range(options.n_layers - 1):
            layers += [nn.Softplus(), nn.Linear(options.width, options.width)]
        self.layers = nn.Sequential(*layers)

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, width); the non-linearity after the last layer is the head's."""
        return Embedding(self.layers(self.describe(graph, features)))

    def describe(self, graph: CrystalGraph, features: Features) -> Tensor:
        """The vector of every site, (N, input_dim)."""
        assert features.edges is not None  # the record requires edge features
        edges = torch.cat([features.nodes.index_select(0, graph.edge_index[1]), features.edges], 1)
        if features.envelope is not None:
            edges = edges * features.envelope.unsqueeze(1)
        edges = torch.cat([edges, edges.new_zeros(1, edges.shape[1])])
        listed = edges.index_select(0, nearest(graph, self.neighbors).flatten())
        return torch.cat([features.nodes, listed.view(graph.n_atoms, -1)], 1)


def nearest(graph: CrystalGraph, count: int) -> Tensor:
    """Edges of the ``count`` nearest neighbors of every atom by (distance, element), (N, count); E where there is none.

    Two neighbors of one distance and one element are told apart by nothing that the site's vector holds.
    """
    centre, neighbor = graph.edge_index[0], graph.edge_index[1]
    with torch.no_grad():
        lengths = edge_lengths(graph).double()
    order = torch.argsort(lengths, stable=True)
    order = order.index_select(0, torch.argsort(centre.index_select(0, order), stable=True))
    sorted_lengths = lengths.index_select(0, order)
    step = torch.ones_like(order)
    step[1:] = (sorted_lengths[1:] - sorted_lengths[:-1] > TIE).long()
    first = graph.row_pointers[:-1]
    step.index_fill_(0, first[first < graph.n_edges], 1)
    shell = step.cumsum(0)
    elements = graph.atomic_numbers.index_select(0, neighbor).index_select(0, order)
    order = order.index_select(0, torch.argsort(shell * 128 + elements, stable=True))
    place = torch.arange(graph.n_edges, device=centre.device) - graph.row_pointers.index_select(0, centre)
    kept = (place < count).nonzero().squeeze(1)
    table = torch.full((graph.n_atoms * count,), graph.n_edges, dtype=torch.int64, device=centre.device)
    table.index_copy_(0, (centre * count + place).index_select(0, kept), order.index_select(0, kept))
    return table.view(graph.n_atoms, count)
