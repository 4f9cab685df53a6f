"""Sums of weights times harmonics over the neighbors of an atom, with both derivatives written out.

A step of training on forces differentiates them twice. Left to autograd that is several hundred passes over all edges,
half of the time of a step. With weights w, harmonics Y of the directions u, and their derivatives as in
:mod:`crystalcli.contracts.nn.harmonics`:

- the sums are ``A = Y w``;
- their gradients, for G = ∂E/∂A, ``dw = Yᵀ G`` and ``du = vjp(G wᵀ)``;
- the gradients of these, for cotangents t of dw and τ of du (``T = jvp(τ)``), ``dG = Y t + T w``, ``dw = Tᵀ G`` and
  ``du = vjp(G tᵀ) + vjp(transposed(τ, G wᵀ))``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalcli.contracts.nn import harmonics


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
        y = torch.stack(harmonics.values(units.unbind(0)), 1)
        ctx.save_for_backward(weights, units)
        ctx.y = y
        return y[:, 1:] @ weights

    @staticmethod
    def backward(ctx: Any, d_sums: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of weights and units."""
        weights, units = ctx.saved_tensors
        found: tuple[Tensor, Tensor] = MomentGradient.apply(d_sums, weights, units, ctx.y)  # type: ignore[no-untyped-call]
        return found


class MomentGradient(torch.autograd.Function):
    """The gradients of :class:`MomentSums`."""

    @staticmethod
    def forward(ctx: Any, d_sums: Tensor, weights: Tensor, units: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of weights and units."""
        ctx.save_for_backward(d_sums, weights, units)
        ctx.y = y
        return y[:, 1:].mT @ d_sums, torch.stack(harmonics.vjp(y.unbind(1), _of_each(d_sums, weights)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, t_weights: Tensor, t_units: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of G, weights and units for cotangents of the two gradients."""
        d_sums, weights, _ = ctx.saved_tensors
        y, t = ctx.y.unbind(1), t_units.unbind(0)
        along = torch.stack(harmonics.jvp(y, t), 1)
        d_units = torch.stack(harmonics.vjp(y, _of_each(d_sums, t_weights)))
        d_units += torch.stack(harmonics.vjp(y, harmonics.transposed(t, _of_each(d_sums, weights))))
        return ctx.y[:, 1:] @ t_weights + along @ weights, along.mT @ d_sums, d_units, None


def _of_each(d_sums: Tensor, weights: Tensor) -> list[Tensor]:
    """``G wᵀ``, (N, M) for each harmonic; zero for the constant, which has no part in the sums."""
    found = (d_sums @ weights.mT).unbind(1)
    return [torch.zeros_like(found[0]), *found]
