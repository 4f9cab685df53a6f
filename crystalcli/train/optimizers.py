"""Optimisers of a training recipe, by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from crystalcli.contracts.records import Recipe
from crystalcli.vocabulary.errors import UsageError, did_you_mean

OPTIMIZERS = ("adam", "adamw", "sgd")
LOSSES = ("l1", "mse", "huber")


def make_optimizer(
    model: nn.Module, r: Recipe, momentum: float, factors: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """Optimiser of the recipe ``r``; a group of weights for every learning rate.

    Args:
        model: what is trained.
        r: recipe.
        momentum: of sgd.
        factors: of the learning rate, by name of the weights; 1 for all others. Groups keep theirs as ``factor``.

    Raises:
        UsageError: no such optimiser or loss.
    """
    if r.optimizer not in OPTIMIZERS:
        raise UsageError(f"no optimizer '{r.optimizer}'; {did_you_mean(r.optimizer, OPTIMIZERS)}")
    if r.loss not in LOSSES:
        raise UsageError(f"no loss '{r.loss}'; {did_you_mean(r.loss, LOSSES)}")
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            by_factor.setdefault((factors or {}).get(name, 1.0), []).append(p)
    parameters = [{"params": ps, "factor": f, "lr": f * r.lr} for f, ps in sorted(by_factor.items(), reverse=True)]
    if r.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=r.lr, momentum=momentum, weight_decay=r.weight_decay)
    kind = torch.optim.AdamW if r.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=r.lr, weight_decay=r.weight_decay)
