"""Last layers in closed form: solved anew for the weights behind them, from the whole training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts.modules import Labels
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.evaluate.evaluation import BaselineValues, baseline_values_of
from crystalcli.engine.model.model import CrystalModel

BATCH = 64


def has_closed_form(model: CrystalModel) -> bool:
    """Whether a part of the model follows from training structures in closed form."""
    return hasattr(model.head, "closed_form")


def settle(
    model: CrystalModel,
    data: GraphDataset,
    train_index: NDArray[np.int64],
    names: Sequence[str],
    baseline_values: BaselineValues | None,
) -> bool:
    """Solve the head's last layer, if it has one in closed form; whether it has.

    Structures are taken in the order of the data, in which frames of a trajectory follow each other, and in batches of
    one size: the same weights give the same bits. Call it before every evaluation and before saving.

    Args:
        model: whose head it is; its mode of training stays.
        data: of the caches.
        train_index: the training part.
        names: of the targets.
        baseline_values: of the baselines; the head is given labels without them.
    """
    if not has_closed_form(model) or len(train_index) == 0:
        return False
    order = np.sort(train_index)
    read_out = model.head.closed_form(len(order))  # type: ignore[attr-defined]
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
                labels = {k: Labels(v.value.to(device), v.mask.to(device)) for k, v in batch.labels.items()}
                labels = {k: replace(v, value=v.value - terms[k]) if k in terms else v for k, v in labels.items()}
                graph = batch.graph.to(device)
                read_out.take(walk, graph, model.seen_by_head(graph), labels)
            read_out.end(walk)
    model.train(was_training)
    return True
