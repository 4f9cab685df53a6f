"""One batch shared by several processes: sums over all of them, inside a training step.

Each process holds some structures of the batch. What a step computes of all rows, such as the mean and variance of a
batch norm, is summed over the processes by :func:`statistics`; gradients flow back through the sum. Outside
:func:`sharing`, in validation and in one process alone, everything here is the identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_shared: list[Tensor] | None = None
"""Sums of the step under way; none outside."""


@contextmanager
def sharing() -> Iterator[None]:
    """Inside, the batch is shared with the other processes; all of them must do the same in the same order."""
    global _shared  # noqa: PLW0603 - a step is one at a time
    _shared = []
    try:
        yield
    finally:
        _shared = None


def is_shared() -> bool:
    """Whether the batch is shared with other processes."""
    return _shared is not None


def statistics(mean: Tensor, variance: Tensor, rows: int) -> tuple[Tensor, Tensor, int]:
    """Mean, biased variance (C,) and number of the rows of all processes, from those of each.

    With ``n = Σ n_r``: ``m = Σ n_r m_r / n`` and ``v = Σ n_r (v_r + (m_r − m)²) / n``. Without rows, zeros come in.
    """
    if _shared is None:
        return mean, variance, rows
    first = summed(torch.cat([mean * rows, mean.new_full((1,), float(rows))]))
    total = int(first[-1].item())
    n = max(total, 1)
    joint = first[:-1] / n
    return joint, summed(rows * (variance + (mean - joint).square())) / n, total


def summed(own: Tensor) -> Tensor:
    """Sum over the processes; its gradient is the sum of theirs."""
    assert _shared is not None
    found: Tensor = _Sum.apply(own)  # type: ignore[no-untyped-call]
    _shared.append(found)
    return found


def total(own: Tensor) -> Tensor:
    """Sum over the processes of numbers without a gradient."""
    if _shared is None:
        return own
    found = own.detach().clone()
    torch.distributed.all_reduce(found)
    return found


def anchor(loss: Tensor) -> Tensor:
    """``loss`` with a gradient of zero to every sum.

    A process whose loss does not depend on a sum (it has no rows) must take part in its backward sum all the same.
    """
    for found in _shared or ():
        if found.requires_grad:
            loss = loss + (found * 0.0).sum().to(loss.dtype)
    return loss


class _Sum(torch.autograd.Function):
    """All-reduce whose backward is one too, to any order."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:  # noqa: ARG004
        found = own.detach().clone()
        torch.distributed.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        found: Tensor = _Sum.apply(gradient.contiguous())  # type: ignore[no-untyped-call]
        return found
