"""Normalisations over the rows of a matrix."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

Norm = Literal["batch", "none", "layer"]


class BatchNorm(nn.BatchNorm1d):
    """Batch norm over rows that accepts any number of them.

    With fewer than two rows a batch has no variance: the running statistics are used and kept as they are, also in
    training. (A batch of one atom, or without edges, is legal.)

    Args:
        dim: channels C.
        eps: added to the variance.
        recalibrate: running statistics drift with the weights by more than what they measure; training must compute
            them anew from training structures before every evaluation.
    """

    def __init__(self, dim: int, *, eps: float = 1e-5, recalibrate: bool = False) -> None:
        super().__init__(dim, eps=eps, momentum=0.1)
        self.recalibrate = recalibrate

    def uses_batch(self, rows: int) -> bool:
        """Whether a batch of so many rows is normalised by its own statistics."""
        return self.training and rows > 1

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance, (C,) each."""
        return cast(Tensor, self.running_mean), cast(Tensor, self.running_var)

    def follow(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        """Let the running statistics follow those of a batch (biased variance) that was normalised elsewhere."""
        running_mean, running_variance = self.statistics()
        with torch.no_grad():
            seen = cast(Tensor, self.num_batches_tracked)
            seen += 1
            momentum = 1.0 / float(seen) if self.momentum is None else self.momentum
            running_mean.lerp_(mean, momentum)
            running_variance.lerp_(variance * (rows / (rows - 1)), momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (n, C) rows."""
        if self.training and not self.uses_batch(x.shape[0]):
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(x)


def normalization(norm: Norm, dim: int) -> nn.Module:
    """Module for ``norm`` over ``dim`` channels; momentum 0.1, ε = 1e-5."""
    if norm == "none":
        return nn.Identity()
    return cast(nn.Module, BatchNorm(dim) if norm == "batch" else nn.LayerNorm(dim))
