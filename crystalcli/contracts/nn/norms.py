"""Normalisations over the rows of a matrix, or over all edges from sums over atoms."""

from __future__ import annotations

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crystalcli.contracts.nn import joint
from crystalcli.contracts.nn.edge_plan import EdgePlan

Norm = Literal["batch", "none", "layer"]


class Moments(torch.autograd.Function):
    """Σ over edges of products that involve node features, from products over atoms only.

    Returns ``[Σ v_i v_iᵀ | Σ v_i v_jᵀ | Σ v_j v_jᵀ | Σ v_i uᵀ | Σ v_j uᵀ]``, (F, 3F + 2K), and [Σ v_i, Σ v_j], (2, F):
    ``Σ_e v_i v_jᵀ = Vᵀ (S V)`` with ``(S V)_i = Σ_{e of i} v_j``; u is centred.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, plan: EdgePlan) -> tuple[Tensor, Tensor]:
        """The sums."""
        f = v.shape[1]
        sums = plan.sums
        neighbors = sums.adjacency.neighbors(v)
        parts = [v * sums.degree, neighbors, v * sums.sent, sums.basis_by_centre, sums.basis_by_neighbor]
        right = torch.cat(parts, 1)
        ctx.plan = plan
        ctx.save_for_backward(v, right)
        return torch.mm(v.t(), right), right[:, : 2 * f].sum(0).view(2, f)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_products: Tensor, d_sums: Tensor) -> tuple[Tensor, None]:
        """Gradient of v."""
        v, right = ctx.saved_tensors
        known = ctx.plan.sums
        f = v.shape[1]
        d = d_products.clone()
        d12 = d[:, f : 2 * f].clone()
        for own in (slice(0, f), slice(2 * f, 3 * f)):  # v stands on both sides of these two
            d[:, own] += d_products[:, own].t()
        back = known.adjacency.centres(torch.addmm(d_sums[1], v, d12))
        return back.addmm_(right, d.t()).addcmul_(known.degree, d_sums[0]), None


def edge_statistics(v: Tensor, weight: Tensor, plan: EdgePlan) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over all edges of ``(v_i ⊕ v_j ⊕ u) W``, (2F,) each, without a product over edges.

    Args:
        v: node features, (R, F).
        weight: W, (2F + K, 2F).
        plan: of the batch.
    """
    n, f, k = float(plan.n_edges), v.shape[1], len(plan.sums.basis_mean)
    origin = v.detach().mean(0)  # any constant is exact; the mean keeps the squares small
    products, sums = Moments.apply(v - origin, plan)  # type: ignore[no-untyped-call]
    m1, m2 = sums[0] / n, sums[1] / n
    c11, c12, c22, c13, c23 = (products / n).split([f, f, f, k, k], 1)
    c11, c12, c22 = c11 - torch.outer(m1, m1), c12 - torch.outer(m1, m2), c22 - torch.outer(m2, m2)
    w1, w2, w3 = weight[:f], weight[f : 2 * f], weight[2 * f :]
    variance = (
        (w1 * (c11 @ w1 + 2.0 * (c12 @ w2 + c13 @ w3))).sum(0)
        + (w2 * (c22 @ w2 + 2.0 * (c23 @ w3))).sum(0)
        + (w3 * (plan.sums.basis_covariance @ w3)).sum(0)
    )
    return (m1 + origin) @ w1 + (m2 + origin) @ w2 + plan.sums.basis_mean @ w3, variance.clamp_min(0.0)


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
