"""What is computed anew from training structures before an evaluation: running statistics, last layers in closed form.

Running statistics: along a trajectory the pooled vector drifts with the weights by far more than it varies between
structures, so running averages over past steps are wrong by many of its standard deviations. A module that asks has
``recalibrate = True``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.evaluate.evaluation import BaselineValues, baseline_values_of
from crystalcli.engine.model.model import CrystalModel

STRUCTURES = 512
"""From which running statistics are taken, at most."""
BATCH = 64
"""Structures looked at together."""


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


def needs_no_epochs(model: CrystalModel) -> bool:
    """Whether what follows from training structures in closed form makes a model of it."""
    return hasattr(model.head, "closed_form") and not getattr(model.head, "needs_epochs", False)


def settle(
    model: CrystalModel,
    data: GraphDataset,
    train_index: NDArray[np.int64],
    names: Sequence[str],
    baseline_values: BaselineValues | None,
) -> bool:
    """Solve what of the head follows in closed form, as a last layer; whether anything does.

    Structures are taken in the order of the data, in which frames of a trajectory follow each other, and in batches of
    one size: the same weights give the same bits. Call it before every evaluation and before saving.

    Args:
        model: whose head it is; its mode of training stays.
        data: of the caches.
        train_index: the training part.
        names: of the targets.
        baseline_values: of the baselines; the head is given labels without them.
    """
    closed_form = getattr(model.head, "closed_form", None)
    if closed_form is None or len(train_index) == 0:
        return False
    order = np.sort(train_index)
    read_out = closed_form(len(order))
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        for walk, most in enumerate(read_out.walks):
            some = (
                order if not most else order[np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int)]
            )
            for part in np.array_split(some, max(1, len(some) // BATCH)):
                batch = data.batch(part, names)
                terms = baseline_values_of(batch, baseline_values, device) or {}
                labels = {k: v.to(device) for k, v in batch.labels.items()}
                labels = {k: replace(v, value=v.value - terms[k]) if k in terms else v for k, v in labels.items()}
                graph = batch.graph.to(device)
                read_out.take(walk, graph, model.seen_by_head(graph), labels)
            read_out.end(walk)
    model.train(was_training)
    return True
