"""Head ``crystal``: pool the atoms, then fully connected layers to one value per target."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crystal_cgcnn.options import CrystalHeadOptions
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, max_per_structure, mean_per_structure, sum_per_structure
from crystalcli.vocabulary.quantities import Quantity


class CrystalHead(nn.Module):
    """Pooling, softplus, hidden layers, one output per target; values in the target's unit as float64."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self, options: CrystalHeadOptions, dim: int, targets: tuple[Quantity, ...], statistics: Statistics
    ) -> None:
        super().__init__()
        self.pool, self.targets = options.pool, targets
        self.pool_map = nn.Linear(dim, dim) if options.pool == "fcmax" else nn.Identity()
        layers: list[nn.Module] = [nn.Softplus(), nn.Linear(dim, options.hidden), nn.Softplus()]
        for _ in range(options.n_hidden - 1):
            layers += [nn.Linear(options.hidden, options.hidden), nn.Softplus()]
        self.layers = nn.Sequential(*layers, nn.Linear(options.hidden, len(targets)))
        mean = [statistics.target_mean.get(t.name, 0.0) for t in targets]
        scale = [statistics.target_scale.get(t.name, 1.0) for t in targets]
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict (S,) values of every target."""
        nodes = self.pool_map(embedding.nodes)
        pooled = {
            "average": mean_per_structure,
            "sum": sum_per_structure,
            "max": max_per_structure,
            "fcmax": max_per_structure,
        }[self.pool](graph, nodes)
        value = self.mean + self.scale * self.layers(pooled).double()
        return {t.name: Prediction(value[:, k], t) for k, t in enumerate(self.targets)}

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """Mean over existing labels of the loss in units of the training split's standard deviation."""
        losses = {"l1": torch.nn.functional.l1_loss, "mse": torch.nn.functional.mse_loss}
        total = self.mean.new_zeros(())
        for k, t in enumerate(self.targets):
            label = labels[t.name]
            error = (predictions[t.name].value - label.value)[label.mask] / self.scale[k]
            total = total + losses[kind](error, torch.zeros_like(error))
        return total / len(self.targets)
