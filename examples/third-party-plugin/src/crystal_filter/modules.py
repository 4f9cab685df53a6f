"""The torch modules behind the records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from crystal_filter import AttentionOptions, FilterOptions, InverseEmbedOptions, InverseOptions
from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.modules import Embedding, Features, Labels, Prediction
from crystalcli.contracts.nn.basis import polynomial
from crystalcli.contracts.nn.losses import masked_error
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import (
    CrystalGraph,
    edge_lengths,
    max_per_structure,
    sum_over_neighbors,
    sum_per_structure,
)
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


class InverseFeatures(nn.Module):
    """Learned element rows (N, D), ``(a/(a+r))^k`` for k = 1 … K (E, K), and an envelope (E,)."""

    element_tables: ClassVar = {"elements.weight": ElementTable(0, by_number=True)}

    def __init__(self, embed_options: InverseEmbedOptions, options: InverseOptions) -> None:
        super().__init__()
        self.elements = nn.Embedding(119, embed_options.element_width)
        self.softness, self.cutoff = embed_options.softness, options.cutoff
        self.node_dim, self.edge_dim = embed_options.element_width, embed_options.powers

    def forward(self, graph: CrystalGraph) -> Features:
        """Features of a batch."""
        r = edge_lengths(graph)
        base = self.softness / (self.softness + r)
        powers = torch.arange(1, self.edge_dim + 1, dtype=r.dtype, device=r.device)
        return Features(self.elements(graph.atomic_numbers), base[:, None] ** powers, polynomial(r / self.cutoff))


class FilterNet(nn.Module):
    """``v_i ← v_i + f(Σ_j W(u_ij) ∘ (A v_j) · f_c(r_ij))``, with networks W and f (SchNet, Eqs. 2–4)."""

    def __init__(self, options: FilterOptions, node_dim: int, edge_dim: int, statistics: Statistics) -> None:
        super().__init__()
        width = options.width
        self.embedding_dim = width
        self.embed = nn.Linear(node_dim, width)
        self.maps = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(options.n_conv))
        self.filters = nn.ModuleList(_two_layers(edge_dim, width, width) for _ in range(options.n_conv))
        self.updates = nn.ModuleList(_two_layers(width, width, width) for _ in range(options.n_conv))
        self.scale = max(statistics.mean_neighbors, 1.0) ** -0.5

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, F)."""
        if features.edges is None:
            raise UsageError("architecture filter needs edge features")
        nodes = self.embed(features.nodes)
        for linear, make_filter, update in zip(self.maps, self.filters, self.updates, strict=True):
            weights = make_filter(features.edges) * self.scale
            if features.envelope is not None:
                weights = weights * features.envelope[:, None]
            messages = weights * linear(nodes).index_select(0, graph.edge_index[1])
            nodes = nodes + update(sum_over_neighbors(graph, messages))
        return Embedding(nodes)


class AttentionHead(nn.Module):
    """``value = mean + scale · f(Σ_i w_i v_i)`` with ``w = softmax_i(q·v_i)`` in each crystal; float64."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self, options: AttentionOptions, dim: int, targets: tuple[Quantity, ...], statistics: Statistics
    ) -> None:
        super().__init__()
        if any(t.classes for t in targets):
            raise UsageError("head attention predicts numbers, no classes; use --head crystal")
        self.targets = targets
        self.extensive = False
        self.scores = nn.Linear(dim, options.heads, bias=False)
        self.layers = _two_layers(dim * options.heads, options.hidden, len(targets))
        mean = [statistics.target_mean.get(t.name, 0.0) for t in targets]
        scale = [statistics.target_scale.get(t.name, 1.0) for t in targets]
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict (S,) values of every target."""
        scores = self.scores(embedding.nodes)
        highest = max_per_structure(graph, scores).detach().index_select(0, graph.structure_index)
        weights = torch.exp(scores - highest)
        total = sum_per_structure(graph, weights).index_select(0, graph.structure_index)
        per_atom = (weights / total)[:, :, None] * embedding.nodes[:, None, :]
        pooled = sum_per_structure(graph, per_atom.flatten(1))
        value = self.mean + self.scale * self.layers(pooled).double()
        return {t.name: Prediction(value[:, k], t) for k, t in enumerate(self.targets)}

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], _graph: CrystalGraph, kind: str
    ) -> Tensor:
        """Mean over the targets, in units of the training scale; missing labels do not count."""
        errors = [
            masked_error(predictions[t.name].value, labels[t.name], self.scale[k], kind)
            for k, t in enumerate(self.targets)
        ]
        return torch.stack(errors).mean()


def _two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))
