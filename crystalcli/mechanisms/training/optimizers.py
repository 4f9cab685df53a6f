"""Optimisers of a training recipe, by name."""

from __future__ import annotations

import torch
from torch import nn

from crystalcli.contracts.records import Recipe
from crystalcli.vocabulary.errors import UsageError, did_you_mean

OPTIMIZERS = ("adam", "adamw", "sgd")
LOSSES = ("l1", "mse", "huber")


def make_optimizer(model: nn.Module, r: Recipe, momentum: float) -> torch.optim.Optimizer:
    """Optimiser of the recipe ``r``.

    Raises:
        UsageError: no such optimiser or loss.
    """
    if r.optimizer not in OPTIMIZERS:
        raise UsageError(f"no optimizer '{r.optimizer}'; {did_you_mean(r.optimizer, OPTIMIZERS)}")
    if r.loss not in LOSSES:
        raise UsageError(f"no loss '{r.loss}'; {did_you_mean(r.loss, LOSSES)}")
    parameters = [p for p in model.parameters() if p.requires_grad]
    if r.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=r.lr, momentum=momentum, weight_decay=r.weight_decay)
    kind = torch.optim.AdamW if r.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=r.lr, weight_decay=r.weight_decay)
