"""Running statistics computed anew from training structures, for modules that ask for it.

Along a trajectory the pooled vector drifts with the weights by far more than it varies between structures, so running
averages over past steps are wrong by many of its standard deviations. A module that asks has ``recalibrate = True``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model import CrystalModel

STRUCTURES = 512
BATCH = 64


def modules_that_ask(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Batch norms whose running statistics must be computed anew."""
    norms = (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return [m for m in norms if getattr(m, "recalibrate", False)]


def recalibrate(model: CrystalModel, dataset: GraphDataset, train_index: NDArray[np.int64]) -> None:
    """Set running mean and variance to those of up to 512 training structures, evenly chosen, in a fixed order.

    Call it before every evaluation and before saving. Weights, other statistics and the mode of training stay.
    """
    asking = modules_that_ask(model)
    if not asking or len(train_index) == 0 or model.frozen_norms:
        return
    chosen = train_index[np.linspace(0, len(train_index) - 1, min(STRUCTURES, len(train_index))).round().astype(int)]
    batches = np.array_split(chosen, max(1, len(chosen) // BATCH))
    was_training, momenta = model.training, [m.momentum for m in asking]
    device = next(model.parameters()).device
    model.eval()
    for m in asking:
        m.reset_running_stats()
        m.momentum = None
        m.train()
    with torch.no_grad():
        for part in batches:
            graph = dataset.batch(part).graph.to(device)
            model.of_embedding(graph, model.embed(graph), baseline_values={})
    for m, momentum in zip(asking, momenta, strict=True):
        m.momentum = momentum
    model.train(was_training)
