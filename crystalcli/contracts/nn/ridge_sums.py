"""Ridge regression from running sums: memory does not grow with the structures, and the answer is one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FOLDS = 5
"""Parts that are left out in turn to choose the penalty."""
PENALTIES = tuple(10.0**-k for k in range(10))
"""λ in units of the number of rows and of features of unit spread; smaller ones would fit the rounding of float32."""
CONSTANT = 1e-9
"""Features that vary by less than this part of their size are left out."""


@dataclass(frozen=True)
class Solution:
    """``y = intercept + x · weight``; weight (D,) and intercept () float64, and the λ that was chosen."""

    weight: Tensor
    intercept: Tensor
    penalty: float


class RidgeSums:
    """Sums of ``(1, x, y)`` times itself, in float64 on the CPU, apart for each of five parts of the rows.

    Minimises ``⟨(y − b − w·x)²⟩ + λ Σ (s·w)²`` with s the standard deviations of the features; b is free. λ is that of
    :data:`PENALTIES` with the smallest squared error over the parts, each predicted from the other four. Rows are to
    come in an order in which neighbors are alike, as frames of a trajectory are: parts are runs of them. The
    solution is by Cholesky factors, which are unique.

    Args:
        dim: D.
        rows: how many will come at most.
    """

    def __init__(self, dim: int, rows: int) -> None:
        self.dim, self.rows, self.seen = dim, rows, 0
        self.origin: Tensor | None = None
        self.sums = torch.zeros(FOLDS, dim + 2, dim + 2, dtype=torch.float64)

    def add(self, features: Tensor, values: Tensor, known: Tensor) -> None:
        """Take in features (n, D), values (n,) and which of them are known, (n,) bool."""
        x = features.detach().double().cpu()
        known = known.cpu()
        y = torch.where(known, values.detach().double().cpu(), 0.0)
        if self.origin is None and bool(known.any()):
            # sums are taken about the first rows: what varies by a thousandth of its mean keeps its digits
            self.origin = torch.cat([x[known].mean(0), y[known].mean().unsqueeze(0)])
        fold = (torch.arange(self.seen, self.seen + len(x)) * FOLDS).div(max(self.rows, 1), rounding_mode="floor")
        self.seen += len(x)
        if self.origin is None:
            return
        whole = torch.cat([torch.ones(len(x), 1, dtype=torch.float64), x - self.origin[:-1]], 1)
        whole = torch.cat([whole, (y - self.origin[-1]).unsqueeze(1)], 1)
        for k in range(FOLDS):
            mine = whole[(fold.clamp_max(FOLDS - 1) == k) & known]
            if len(mine):
                self.sums[k] += mine.t() @ mine

    def solve(self) -> Solution:
        """The solution; all weights zero for fewer than two known rows."""
        total = self.sums.sum(0)
        n = float(total[0, 0])
        weight = torch.zeros(self.dim, dtype=torch.float64)
        if n < 2 or self.origin is None:
            mean = total.new_zeros(()) if self.origin is None else self.origin[-1]
            return Solution(weight, mean, PENALTIES[0])
        centred, means = _about_means(total)
        spread = (centred.diagonal()[:-1].clamp_min(0.0) / n).sqrt()
        varies = spread > CONSTANT * (1.0 + (means[:-1] + self.origin[:-1]).abs())
        if not bool(varies.any()):
            return Solution(weight, self.origin[-1] + means[-1], PENALTIES[0])
        kept = torch.cat([varies, varies.new_ones(1)]).nonzero().squeeze(1)
        scale = torch.cat([1.0 / spread[varies], spread.new_ones(1)])
        penalty = self._chosen(total, kept, scale)
        found = _weights(_scaled(centred, kept, scale), n * penalty)
        weight[varies] = found / spread[varies]
        intercept = self.origin[-1] + means[-1] - weight @ (self.origin[:-1] + means[:-1])
        return Solution(weight, intercept, penalty)

    def _chosen(self, total: Tensor, kept: Tensor, scale: Tensor) -> float:
        """The λ whose predictions of each part from the others are best; the largest of equals."""
        errors = [0.0] * len(PENALTIES)
        for part in self.sums:
            rest = total - part
            if part[0, 0] < 1 or rest[0, 0] < 2:
                continue
            centred, means = _about_means(rest)
            gram = _scaled(centred, kept, scale)
            left_out = _scaled(_about(part, means), kept, scale)
            for k, penalty in enumerate(PENALTIES):
                w = _weights(gram, float(rest[0, 0]) * penalty)
                residual = torch.cat([-w, w.new_ones(1)])
                errors[k] += float(residual @ left_out @ residual)
        return PENALTIES[min(range(len(errors)), key=errors.__getitem__)]


def _about(sums: Tensor, means: Tensor) -> Tensor:
    """Products of (x, y) about ``means``, (D+1, D+1), from sums of (1, x, y)."""
    first = sums[0, 1:]
    cross = torch.outer(first, means)
    return sums[1:, 1:] - cross - cross.t() + sums[0, 0] * torch.outer(means, means)


def _about_means(sums: Tensor) -> tuple[Tensor, Tensor]:
    means = sums[0, 1:] / sums[0, 0]
    return _about(sums, means), means


def _scaled(products: Tensor, kept: Tensor, scale: Tensor) -> Tensor:
    return products.index_select(0, kept).index_select(1, kept) * torch.outer(scale, scale)


def _weights(products: Tensor, penalty: float) -> Tensor:
    """Of features of unit spread."""
    gram, right = products[:-1, :-1], products[:-1, -1:]
    factor = torch.linalg.cholesky(gram + penalty * torch.eye(len(gram), dtype=gram.dtype))
    return torch.cholesky_solve(right, factor).squeeze(1)
