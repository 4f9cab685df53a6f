"""Architectures ``cgcnn`` and ``lcgcn``: the same convolutions with and without norm and outer activation."""

from __future__ import annotations

from torch import nn

from crystal_cgcnn.options import CgcnnOptions
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.convolution import GatedConvolution
from crystalcli.contracts.nn.edge_plan import plan_for
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph


class ConvolutionStack(nn.Module):
    """Linear embedding of the element features, then T gated convolutions.

    Deviation: with ``edge_gain`` the first weights of the distances are larger than those of the nodes (4 for
    ``lcgcn``): snapshots of one crystal differ in nothing else. Paper-faithful: 1.
    """

    def __init__(self, node_dim: int, edge_dim: int, options: CgcnnOptions, statistics: Statistics) -> None:
        super().__init__()
        self.embedding_dim = options.width
        self.embed = nn.Linear(node_dim, options.width)
        scale = 1.0 if options.message_scale == "one" else max(statistics.mean_neighbors, 1.0) ** -0.5
        self.convolutions = nn.ModuleList(
            GatedConvolution(
                options.width,
                edge_dim,
                norm=options.norm,
                activation=options.activation,
                outer=options.outer_activation,
                scale=scale,
                edge_gain=options.edge_gain,
            )
            for _ in range(options.n_conv)
        )
        self.fast = options.activation == "softplus" and options.norm != "layer"

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, F)."""
        plan = plan_for(graph, features) if self.fast else None
        if plan is None or plan.first is None:
            nodes = self.embed(features.nodes)
            for convolution in self.convolutions:
                nodes = convolution(graph, nodes, features, plan)
            return Embedding(nodes)
        kinds = self.embed(features.nodes.index_select(0, plan.first.example))
        nodes = kinds.index_select(0, plan.first.kind)
        for k, convolution in enumerate(self.convolutions):
            rows = (plan.first.plan, kinds) if k == 0 else (plan,)
            nodes = convolution(graph, nodes, features, *rows)
        return Embedding(nodes)
