"""Sums of weights times harmonics over the neighbors of an atom, with derivatives written out.

A step of training on forces differentiates them twice. Left to autograd that is several hundred passes over all edges,
half of the time of a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystal_pair_moments.harmonics import bend, harmonics, pullback, tangent


def moment_sums(weights: Tensor, units: Tensor) -> Tensor:
    """``A[i, k, c] = Σ_m Y_k(u_im) w_imc``, (N, 15, C); can be differentiated twice by weights and units.

    Args:
        weights: (N, M, C), zero where an atom has fewer than M neighbors.
        units: (3, N, M), unit vectors.
    """
    result: Tensor = MomentSums.apply(weights, units)  # type: ignore[no-untyped-call]
    return result


class MomentSums(torch.autograd.Function):
    """See :func:`moment_sums`."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, units: Tensor) -> Tensor:
        """The sums."""
        y = harmonics(units)
        ctx.save_for_backward(weights, units)
        ctx.y = y
        return y @ weights

    @staticmethod
    def backward(ctx: Any, d_sums: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of weights and units."""
        weights, units = ctx.saved_tensors
        found: tuple[Tensor, Tensor] = MomentGradient.apply(d_sums, weights, units, ctx.y)  # type: ignore[no-untyped-call]
        return found


class MomentGradient(torch.autograd.Function):
    """``dw = Yᵀ G``, ``du = Jᵀ G wᵀ`` with G the gradient of the sums and J the derivatives of the harmonics."""

    @staticmethod
    def forward(ctx: Any, d_sums: Tensor, weights: Tensor, units: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of weights and units."""
        ctx.save_for_backward(d_sums, weights, units)
        ctx.y = y
        return y.mT @ d_sums, pullback(units, (d_sums @ weights.mT).unbind(1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, t_weights: Tensor, t_units: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of G, weights and units for cotangents of the two gradients."""
        d_sums, weights, units = ctx.saved_tensors
        along = tangent(units, t_units)
        d_units = pullback(units, (d_sums @ t_weights.mT).unbind(1))
        d_units += bend(units, t_units, (d_sums @ weights.mT).unbind(1))
        return ctx.y @ t_weights + along @ weights, along.mT @ d_sums, d_units, None
