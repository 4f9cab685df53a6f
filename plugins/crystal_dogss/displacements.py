"""Head ``displacements``: positions in one go, by pushes along edges; what springs have to be better than."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crystal_dogss.head import layers, of_edges
from crystal_dogss.moved import difference, free_atoms, mean_error
from crystal_dogss.options import DisplacementsOptions
from crystalcli.contracts.counting import Counted
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, edge_vectors, sum_over_neighbors
from crystalcli.vocabulary.quantities import Quantity


class DisplacementsHead(nn.Module):
    """``x_i + s Σ_e φ(b_e) d̂_e`` with s the mean displacement of the training split; held atoms stay.

    Args:
        options: of the head.
        shape: of the embedding.
        targets: ``relaxed_positions``.
        statistics: of the training split.
    """

    scale: Tensor

    def __init__(
        self,
        options: DisplacementsOptions,
        shape: EmbeddingShape,
        targets: tuple[Quantity, ...],
        statistics: Statistics,
    ) -> None:
        super().__init__()
        (self.quantity,) = targets
        self.pushes = layers(2 * shape.node_dim + shape.edge_dim, options.hidden, options.n_hidden)
        scale = statistics.target_scale.get(self.quantity.name, 1.0)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict positions, (N, 3) float64 Å."""
        away = edge_vectors(graph).double()
        unit = away / torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp_min(1e-4)
        moved = sum_over_neighbors(graph, self.pushes(of_edges(graph, embedding)).double() * unit)
        value = graph.positions.double() + free_atoms(graph) * self.scale * moved
        return {self.quantity.name: Prediction(value, self.quantity)}

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """Mean distance to the label over free atoms, by the nearest image, in units of the mean displacement."""
        found, label = predictions[self.quantity.name], labels[self.quantity.name]
        return mean_error(graph, found.value, label, self.scale, kind)

    def errors(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph
    ) -> dict[str, Counted]:
        """Distances of free atoms by the nearest image."""
        name = self.quantity.name
        return {name: difference(graph, predictions[name].value, labels[name])}
