"""Normalisations over the rows of a matrix."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from crystalcli.contracts.nn import joint

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
        """Whether a batch of so many rows is normalised by its own statistics; one shared by processes always asks."""
        return self.training and (rows > 1 or joint.is_shared())

    def of_batch(self, mean: Tensor, variance: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """Mean and biased variance to normalise by, (C,) each; the running statistics follow them.

        Args:
            mean: of the rows of this process, however computed.
            variance: of them.
            rows: how many they are; of all processes, fewer than two leave the running statistics to be used.
        """
        mean, variance, rows = joint.statistics(mean, variance, rows)
        if rows < 2:
            return self.statistics()
        self._follow(mean.detach(), variance.detach(), rows)
        return mean, variance

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance, (C,) each."""
        return cast(Tensor, self.running_mean), cast(Tensor, self.running_var)

    def _follow(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        running_mean, running_variance = self.statistics()
        with torch.no_grad():
            seen = cast(Tensor, self.num_batches_tracked)
            seen += 1
            momentum = 1.0 / float(seen) if self.momentum is None else self.momentum
            running_mean.lerp_(mean, momentum)
            running_variance.lerp_(variance * (rows / (rows - 1)), momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (n, C) rows."""
        if self.training and joint.is_shared():
            return self._jointly(x)
        if self.training and not self.uses_batch(x.shape[0]):
            return nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(x)

    def _jointly(self, x: Tensor) -> Tensor:
        """Normalise rows by the statistics of the rows of all processes."""
        some = x.shape[0] > 0
        own = x.mean(0) if some else x.sum(0)
        spread = (x - own).square().mean(0) if some else x.sum(0)
        mean, variance = self.of_batch(own, spread, x.shape[0])
        return (x - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def normalization(norm: Norm, dim: int) -> nn.Module:
    """Module for ``norm`` over ``dim`` channels; momentum 0.1, ε = 1e-5."""
    if norm == "none":
        return nn.Identity()
    return cast(nn.Module, BatchNorm(dim) if norm == "batch" else nn.LayerNorm(dim))
