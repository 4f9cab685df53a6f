"""Exponential moving average of weights: a second model that follows the first, smoother and usually better."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class AveragedModel:
    """Average of a model's parameters; buffers (batch-norm statistics, tables) are copied.

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
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, weights, 1.0 - keep)
        for ours, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)
