"""Optimisers and learning rates of a training recipe, and the moving average that smooths the weights.

All learning rates but those of ``plateau`` are pure functions of the step: a resumed run needs no memory of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crystalcli.contracts.records import Recipe
from crystalcli.train.muon import Muon, hidden_matrices

WARM_UP, START, END = 0.3, 25.0, 1e4
"""One-cycle: share of the steps that rise; the rate starts at peak/25 and ends at peak/25/10⁴."""


def make_optimizer(
    model: nn.Module, r: Recipe, momentum: float, factors: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """Optimiser of the recipe ``r``; a group of weights for every learning rate.

    Args:
        model: what is trained.
        r: recipe.
        momentum: of sgd.
        factors: of the learning rate, by name of the weights; 1 for all others. Groups keep theirs as ``factor``.
    """
    hidden = hidden_matrices(model) if r.optimizer == "muon" else set()
    by_kind: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            by_kind.setdefault(((factors or {}).get(name, 1.0), name in hidden), []).append(p)
    parameters = [
        {"params": ps, "factor": f, "lr": f * r.lr, "hidden": of_muon}
        for (f, of_muon), ps in sorted(by_kind.items(), reverse=True)
    ]
    if r.optimizer == "muon":
        return Muon(parameters, r.lr, r.weight_decay)
    if r.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=r.lr, momentum=momentum, weight_decay=r.weight_decay)
    kind = torch.optim.AdamW if r.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=r.lr, weight_decay=r.weight_decay)


@dataclass(frozen=True)
class Schedule:
    """A named schedule.

    Args:
        name: constant, plateau, cosine, one-cycle or step.
        steps: optimiser steps of the whole run.
        steps_per_epoch: optimiser steps of one epoch.
        step_epochs: epochs between two drops of ``step``, and without improvement before a drop of ``plateau``.
        gamma: factor of one drop.
    """

    name: str
    steps: int
    steps_per_epoch: int = 1
    step_epochs: int = 10
    gamma: float = 0.5

    def factor(self, step: int) -> float:
        """Factor on the peak rate at optimiser step ``step`` (0 is the first); 1 for constant and plateau."""
        if self.name == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * step / max(self.steps, 1)))
        if self.name == "step":
            return float(self.gamma ** (step // self.steps_per_epoch // self.step_epochs))
        if self.name == "one-cycle":
            return self._one_cycle(step)
        return 1.0

    def _one_cycle(self, step: int) -> float:
        """Cosine rise, cosine fall: L. N. Smith, N. Topin, arXiv:1708.07120, in the form that torch has."""
        peak = WARM_UP * self.steps - 1.0
        last = self.steps - 1.0
        if step <= peak:
            return _between(1.0 / START, 1.0, step / peak if peak > 0 else 1.0)
        return _between(1.0, 1.0 / START / END, (step - peak) / (last - peak) if last > peak else 1.0)


def _between(a: float, b: float, share: float) -> float:
    return b + (a - b) * 0.5 * (1.0 + math.cos(math.pi * share))


@dataclass(frozen=True)
class Plateau:
    """Memory of ``plateau``: the rate drops by ``gamma`` after ``patience`` epochs without a better score."""

    factor: float = 1.0
    best: float = math.inf
    waited: int = 0

    def after(self, score: float, patience: int, gamma: float) -> Plateau:
        """State after an epoch with validation ``score``."""
        if score < self.best:
            return Plateau(self.factor, score, 0)
        if self.waited + 1 >= patience:
            return Plateau(self.factor * gamma, self.best, 0)
        return Plateau(self.factor, self.best, self.waited + 1)


class AveragedModel:
    """Average of a model's parameters and of the running statistics that go with them; other buffers are copied.

    Statistics of the last weights do not fit averaged ones: with them the average is worse than either.

    Args:
        model: the model that is trained.
        decay: share of the old average kept in a step, 0 < decay < 1. It is held down to ``(1 + n)/(10 + n)`` in step
            n, so that the first, random weights are forgotten soon.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(model)
        self.module.requires_grad_(False)
        self.module.eval()

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after optimiser step ``step`` (counted from 0)."""
        keep = min(self.decay, (1.0 + step) / (10.0 + step))
        averages: list[Tensor] = [*self.module.parameters(), *_statistics(self.module)]
        torch._foreach_lerp_(averages, [*model.parameters(), *_statistics(model)], 1.0 - keep)
        for (name, ours), theirs in zip(self.module.named_buffers(), model.buffers(), strict=True):
            if not _is_statistic(name):
                ours.copy_(theirs)


def _is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var"))


def _statistics(model: nn.Module) -> list[Tensor]:
    return [b for name, b in model.named_buffers() if _is_statistic(name)]
