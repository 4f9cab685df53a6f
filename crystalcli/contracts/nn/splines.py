"""Radial functions as cubic B-splines: four of them are not zero at a distance, however fine the basis is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def spline_terms(x: Tensor, intervals: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The cubic B-splines that are not zero at x = r/R, on equal knots; C. de Boor, A Practical Guide to Splines.

    Args:
        x: (E,).
        intervals: between knots; there are ``intervals + 3`` functions.

    Returns:
        number of the first of four, (E,); their values, first and second derivatives to x, (4, E) each.
    """
    scaled = x.clamp(0.0, 1.0) * intervals
    first = scaled.floor().clamp_(max=intervals - 1)
    t = scaled - first
    u, t2 = 1.0 - t, t * t
    values = torch.stack([u * u * u, 4.0 - 6.0 * t2 + 3.0 * t2 * t, 1.0 + 3.0 * (t + t2 - t2 * t), t2 * t]) / 6.0
    slopes = torch.stack([-u * u, 3.0 * t2 - 4.0 * t, 1.0 + 2.0 * t - 3.0 * t2, t2]) * (0.5 * intervals)
    bends = torch.stack([u, 3.0 * t - 2.0, 1.0 - 3.0 * t, t]) * float(intervals**2)
    return first.long(), values, slopes, bends


def radial_sums(x: Tensor, factor: Tensor, slot: Tensor, n_slots: int, intervals: int) -> Tensor:
    """``H[slot_e, k] += f_e B_k(x_e)``, (n_slots, K), K = intervals + 3; can be differentiated twice by x and f.

    Args:
        x: r/R, (E,).
        factor: f, (E,).
        slot: row of each edge, (E,) int64.
        n_slots: rows.
        intervals: of the splines.
    """
    result: Tensor = RadialSums.apply(x, factor, slot, n_slots, intervals)  # type: ignore[no-untyped-call]
    return result


def spline_basis(x: Tensor, intervals: int) -> Tensor:
    """All B-splines at x = r/R, (E,), as rows (E, K), K = intervals + 3; can be differentiated twice."""
    return radial_sums(x, torch.ones_like(x), torch.arange(len(x), device=x.device), len(x), intervals)


class RadialSums(torch.autograd.Function):
    """See :func:`radial_sums`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor, slot: Tensor, n_slots: int, intervals: int) -> Tensor:
        """The sums."""
        dim = intervals + 3
        first, *terms = spline_terms(x, intervals)
        place = (slot * dim + first) + torch.arange(4, device=x.device).unsqueeze(1)
        ctx.save_for_backward(factor, x)
        ctx.place, ctx.terms = place, terms
        out = x.new_zeros(n_slots * dim)
        return out.index_add_(0, place.view(-1), (terms[0] * factor).view(-1)).view(n_slots, dim)

    @staticmethod
    def backward(ctx: Any, d_sums: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x and f."""
        factor, x = ctx.saved_tensors
        d_x, d_factor = RadialGradient.apply(d_sums, x, factor, ctx.place, ctx.terms)  # type: ignore[no-untyped-call]
        return d_x, d_factor, None, None, None


class RadialGradient(torch.autograd.Function):
    """``dx = f Σ_k g_k B'_k``, ``df = Σ_k g_k B_k`` with g the gradient of the sums at the four places of an edge."""

    @staticmethod
    def forward(
        ctx: Any,
        d_sums: Tensor,
        x: Tensor,  # noqa: ARG004 (its gradient comes back)
        factor: Tensor,
        place: Tensor,
        terms: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Gradients of x and f."""
        g = d_sums.reshape(-1).index_select(0, place.view(-1)).view_as(place)
        values, slopes, _ = terms
        along = (g * slopes).sum(0)
        ctx.save_for_backward(factor, g, along)
        ctx.place, ctx.terms, ctx.shape = place, terms, d_sums.shape
        return along * factor, (g * values).sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, t_x: Tensor, t_factor: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the gradient of the sums, of x and f."""
        factor, g, along = ctx.saved_tensors
        values, slopes, bends = ctx.terms
        weighted = t_x * factor
        back = torch.addcmul(values * t_factor, slopes, weighted)
        d_sums = back.new_zeros(ctx.shape.numel()).index_add_(0, ctx.place.view(-1), back.view(-1)).view(ctx.shape)
        d_x = weighted * (g * bends).sum(0) + t_factor * along if ctx.needs_input_grad[1] else None
        return d_sums, d_x, t_x * along, None, None
