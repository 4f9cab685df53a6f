"""Real spherical harmonics of orders 1, 2, 3 and their derivatives, as polynomials of a unit vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ORDERS = (1, 2, 3)
A, B, C, D, E = 3**0.5, 0.5 * 3**0.5, (5 / 8) ** 0.5, 15**0.5, (3 / 8) ** 0.5


def harmonics(u: Tensor) -> Tensor:
    """Harmonics with ``Σ_m Y_lm² = 1`` of unit vectors (3, N, M): (N, 15, M)."""
    x, y, z = u
    q, s = x * x - y * y, 5.0 * z * z - 1.0
    first = [x, y, z, A * x * y, A * y * z, A * z * x, B * q, 1.5 * z * z - 0.5]
    third = [D * x * y * z, E * y * s, 0.5 * z * (s - 2.0), E * x * s, 0.5 * D * z * q]
    return torch.stack([*first, C * y * (3.0 * x * x - y * y), *third, C * x * (x * x - 3.0 * y * y)], 1)


def tangent(u: Tensor, t: Tensor) -> Tensor:
    """Change of the harmonics of ``u`` along ``t`` (3, N, M): ``Σ_a ∂Y/∂u_a t_a``, (N, 15, M)."""
    x, y, z = u
    tx, ty, tz = t
    xy, yz, zx, q, s = x * y, y * z, z * x, x * x - y * y, 5.0 * z * z - 1.0
    second = [A * (y * tx + x * ty), A * (z * ty + y * tz), A * (z * tx + x * tz), A * (x * tx - y * ty), 3.0 * z * tz]
    third = [
        C * (6.0 * xy * tx + 3.0 * q * ty),
        D * (yz * tx + zx * ty + xy * tz),
        E * (s * ty + 10.0 * yz * tz),
        1.5 * s * tz,
        E * (s * tx + 10.0 * zx * tz),
        D * (zx * tx - yz * ty + 0.5 * q * tz),
        C * (3.0 * q * tx - 6.0 * xy * ty),
    ]
    return torch.stack([tx, ty, tz, *second, *third], 1)


def pullback(u: Tensor, of_each: Sequence[Tensor]) -> Tensor:
    """``Σ_k g_k ∂Y_k/∂u``, (3, N, M), for fifteen g of (N, M)."""
    x, y, z = u
    g1, g2, g3, xy2, yz2, zx2, q2, z2, y3, xyz3, yz3, z3, xz3, zq3, x3 = of_each
    xy, yz, zx, q, s = x * y, y * z, z * x, x * x - y * y, E * (5.0 * z * z - 1.0)
    p, r = (6.0 * C) * xy, (3.0 * C) * q
    along_x = g1 + A * (y * xy2 + z * zx2 + x * q2) + D * (yz * xyz3 + zx * zq3) + s * xz3 + p * y3 + r * x3
    along_y = g2 + A * (x * xy2 + z * yz2 - y * q2) + D * (zx * xyz3 - yz * zq3) + s * yz3 + r * y3 - p * x3
    along_z = g3 + A * (y * yz2 + x * zx2) + D * (xy * xyz3 + 0.5 * q * zq3) + (10.0 * E) * (yz * yz3 + zx * xz3)
    return torch.stack([along_x, along_y, along_z + 3.0 * z * z2 + (1.5 / E) * s * z3])


def bend(u: Tensor, t: Tensor, of_each: Sequence[Tensor]) -> Tensor:
    """``Σ_k g_k Σ_a ∂²Y_k/∂u∂u_a t_a``, (3, N, M): what :func:`pullback` changes by along ``t``."""
    x, y, z = u
    tx, ty, tz = t
    xy2, yz2, zx2, q2, z2, y3, xyz3, yz3, z3, xz3, zq3, x3 = of_each[3:]
    xy, yz, zx, q, zz = y * tx + x * ty, z * ty + y * tz, z * tx + x * tz, x * tx - y * ty, (10.0 * E) * (z * tz)
    c = 6.0 * C
    along_x = A * (ty * xy2 + tz * zx2 + tx * q2) + c * (xy * y3 + q * x3) + D * (yz * xyz3 + zx * zq3) + zz * xz3
    along_y = A * (tx * xy2 + tz * yz2 - ty * q2) + c * (q * y3 - xy * x3) + D * (zx * xyz3 - yz * zq3) + zz * yz3
    along_z = A * (ty * yz2 + tx * zx2) + D * (xy * xyz3 + q * zq3) + (10.0 * E) * (yz * yz3 + zx * xz3)
    return torch.stack([along_x, along_y, along_z + 3.0 * tz * z2 + (1.5 / E) * zz * z3])
