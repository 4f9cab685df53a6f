"""Exponential moving average of weights: a second model that follows the first, smoother and usually better."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


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
