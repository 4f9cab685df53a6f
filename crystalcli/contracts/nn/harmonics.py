"""Real spherical harmonics up to order 3 and their derivatives, of one small table for each order.

Order, axes and signs are those of e3nn (M. Geiger, T. Smidt, arXiv:2207.09453): y is the polar axis, m runs from −l to
l, and order 1 is the vector itself, ``Y_1 ∝ (x, y, z)``, so that it turns as vectors do. With ``Σ_m Y_lm² = 1``:

===  ====================================================================================================
l    Y_lm of a unit vector
===  ====================================================================================================
0    1
1    x, y, z
2    √3 xz, √3 xy, y² − ½(x² + z²), √3 yz, ½√3 (z² − x²)
3    √⅝ (3xz² − x³), √15 xyz, √⅜ x(4y² − x² − z²), y³ − 3/2 y(x² + z²), √⅜ z(4y² − x² − z²), ½√15 y(z² − x²),
     √⅝ (z³ − 3x²z)
===  ====================================================================================================

**One table an order gives values and derivatives.** Of any vector u these polynomials are the solid harmonics
``|u|^l Y_lm(û)``: homogeneous of degree l, with a Laplacian of zero. Each derivative of such a polynomial is one of
degree l − 1 whose Laplacian vanishes too, hence a sum of harmonics of the order below::

    ∂Y_lm/∂u_a = Σ_m' G_l[a, m', m] Y_(l−1)m'                                               (1)

The numbers G, Clebsch–Gordan coefficients up to a factor, are read off the table above (:data:`GRADIENTS`). Euler's
theorem for homogeneous polynomials turns (1) round, ``l Y_lm = Σ_a u_a ∂Y_lm/∂u_a``, and gives the values::

    Y_lm = 1/l Σ_a,m' G_l[a, m', m] u_a Y_(l−1)m'                                           (2)

Three sums over the same terms are all that first and second derivatives need, :func:`jvp`, :func:`vjp` and
:func:`transposed`; each is a handful of passes over planes of numbers. For ``S = Σ_lm,a g_lm t_a ∂Y_lm/∂u_a``, a first
derivative along t, (1) says ``S = Σ g_lm t_a G_l[a, m', m] Y_(l−1)m'``, so that ``∂S/∂g`` is the JVP along t, ``∂S/∂t``
the VJP of g, and ``∂S/∂u`` the VJP of ``Σ_a,m G_l[a, m', m] t_a g_lm``, the transposed sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

MAX_ORDER = 3
Scale = Literal["norm", "component", "integral"]

X, Y, Z = range(3)
_A, _B, _C, _D = 3**0.5, 5**0.5, 7.5**0.5, 0.5**0.5
GRADIENTS: dict[int, tuple[dict[tuple[int, int], float], ...]] = {
    1: ({(X, 0): 1.0}, {(Y, 0): 1.0}, {(Z, 0): 1.0}),
    2: (
        {(X, Z): _A, (Z, X): _A},
        {(X, Y): _A, (Y, X): _A},
        {(X, X): -1.0, (Y, Y): 2.0, (Z, Z): -1.0},
        {(Y, Z): _A, (Z, Y): _A},
        {(X, X): -_A, (Z, Z): _A},
    ),
    3: (
        {(X, 4): _C, (Z, 0): _C},
        {(X, 3): _B, (Y, 0): _B, (Z, 1): _B},
        {(X, 2): 6**0.5, (X, 4): _D, (Y, 1): 8**0.5, (Z, 0): -_D},
        {(X, 1): -_A, (Y, 2): 3.0, (Z, 3): -_A},
        {(X, 0): -_D, (Y, 3): 8**0.5, (Z, 2): 6**0.5, (Z, 4): -_D},
        {(X, 1): -_B, (Y, 4): _B, (Z, 3): _B},
        {(X, 0): -_C, (Z, 4): _C},
    ),
}
"""By order, for each m: (axis a, place of m' in the order below) → G_l[a, m', m] of equation (1)."""

TERMS = tuple(
    (order, order**2 + m, axis, (order - 1) ** 2 + below, value)
    for order, table in GRADIENTS.items()
    for m, entries in enumerate(table)
    for (axis, below), value in entries.items()
)
"""The same as (order, number of Y_lm, axis, number of Y_(l−1)m', G), numbers counted over all orders."""


def spherical_harmonics(units: Tensor, l_max: int, scale: Scale = "component") -> Tensor:
    """Real spherical harmonics of orders 0 … ``l_max``, (…, (l_max + 1)²), order after order, m from −l to l.

    Can be differentiated any number of times.

    Args:
        units: (…, 3), unit vectors. Of other vectors u it gives ``|u|^l Y_lm(û)``.
        l_max: 0 … 3.
        scale: ``component``: ``Σ_m Y_lm² = 2l + 1``; ``norm``: 1; ``integral``: ``(2l + 1)/4π``, ∫Y² = 1.

    Raises:
        ValueError: an order above 3.
    """
    if not 0 <= l_max <= MAX_ORDER:
        raise ValueError(f"spherical harmonics are there for orders 0 to {MAX_ORDER}, not {l_max}")
    found: Tensor = _Harmonics.apply(units, l_max)  # type: ignore[no-untyped-call]
    if scale == "norm":
        return found
    sizes = [(2 * order + 1) / (4.0 * torch.pi if scale == "integral" else 1.0) for order in range(l_max + 1)]
    factors = [size**0.5 for order, size in enumerate(sizes) for _ in range(2 * order + 1)]
    return found * torch.tensor(factors, dtype=units.dtype, device=units.device)


class _Harmonics(torch.autograd.Function):
    """See :func:`spherical_harmonics`, of scale ``norm``."""

    @staticmethod
    def forward(ctx: Any, units: Tensor, l_max: int) -> Tensor:
        """The values."""
        y = torch.stack(values(units.unbind(-1), l_max), -1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """The VJP, of operations that can be differentiated themselves."""
        (y,) = ctx.saved_tensors
        return torch.stack(vjp(y.unbind(-1), g.unbind(-1)), -1), None


def values(u: Sequence[Tensor], l_max: int = MAX_ORDER) -> list[Tensor]:
    """Harmonics Y_k of all orders with ``Σ_m Y_lm² = 1`` from the planes x, y, z of unit vectors: equation (2)."""
    y = [torch.ones_like(u[0])]
    for order in range(1, l_max + 1):
        y += _sums((k - order**2, u[a], y[b], g / order) for of, k, a, b, g in TERMS if of == order)
    return y


def jvp(y: Sequence[Tensor], t: Sequence[Tensor]) -> list[Tensor]:
    """``Σ_a t_a ∂Y_k/∂u_a`` for k = 1, 2, …: how all harmonics but the constant change along t (planes x, y, z)."""
    return _sums((k - 1, t[a], y[b], g) for _, k, a, b, g in TERMS if k < len(y))


def vjp(y: Sequence[Tensor], of_each: Sequence[Tensor]) -> list[Tensor]:
    """``Σ_k g_k ∂Y_k/∂u``, planes x, y, z, for a g of each harmonic; that of the constant is not used."""
    if len(of_each) == 1:
        return [torch.zeros_like(of_each[0])] * 3
    return _sums((a, of_each[k], y[b], g) for _, k, a, b, g in TERMS if k < len(of_each))


def transposed(t: Sequence[Tensor], of_each: Sequence[Tensor]) -> list[Tensor]:
    """``Σ_a,m G_l[a, m', m] t_a g_lm``, one for each harmonic of the orders below the highest of ``of_each``."""
    return _sums((b, t[a], of_each[k], g) for _, k, a, b, g in TERMS if k < len(of_each))


def _sums(terms: Iterable[tuple[int, Tensor, Tensor, float]]) -> list[Tensor]:
    """``Σ g a b`` of the terms (place, a, b, g), by place."""
    found: dict[int, Tensor] = {}
    for place, a, b, g in terms:
        if place in found:
            found[place].addcmul_(a, b, value=g)
        else:
            found[place] = torch.mul(a, b).mul_(g)
    return [found[place] for place in sorted(found)]
