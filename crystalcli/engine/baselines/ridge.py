"""Ridge regression in closed form with its leave-one-out predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONSTANT = 1e-12
"""Columns that vary less than this are left out."""


@dataclass(frozen=True)
class Ridge:
    """``y = intercept + weight · x`` with the predictions of each row by the fit to all other rows.

    Args:
        weight: (D,). intercept: number.
        penalty: λ. left_out: (n,).
    """

    weight: Floats
    intercept: float
    penalty: float
    left_out: Floats


def solve(features: Floats, values: Floats, penalties: Sequence[float]) -> Ridge:
    """Minimise ``Σ (y − b − w·x)² + λ Σ (s·w)²`` for the λ with the smallest mean absolute leave-one-out error.

    s are the standard deviations of the features, so λ acts on standardised features and is not scaled by n; the
    intercept is free. With XᵀX = V S Vᵀ and Z = X V the hat matrix has the diagonal
    ``h_i = 1/n + Σ_k Z_ik²/(S_k + λ)``, and leaving row i out changes its error e_i into ``e_i/(1 − h_i)``.

    Args:
        features: (n, D) float64; changed in place to save memory.
        values: (n,) float64.
        penalties: λ to choose from.
    """
    n, dim = features.shape
    mean, y0 = features.mean(axis=0), float(values.mean())
    features -= mean
    y = values - y0
    spread = np.sqrt(np.einsum("nd,nd->d", features, features) / n)
    varies = spread > CONSTANT * (1.0 + np.abs(mean))
    features[:, varies] /= spread[varies]
    if not varies.any():
        return Ridge(np.zeros(dim), y0, penalties[0], y0 + _left_out(y, np.zeros(n), np.full(n, 1.0 / n)))
    x = features if varies.all() else features[:, varies]
    # only functions of XᵀX as a whole come of it, V f(S) Vᵀ: the same whatever axes a space of equal values has
    squares, axes = np.linalg.eigh(x.T @ x)
    z = x @ axes
    projected = z.T @ y
    best: Ridge | None = None
    smallest = np.inf
    for penalty in penalties:
        inverse = 1.0 / (np.clip(squares, 0.0, None) + penalty)
        hat = 1.0 / n + (z**2) @ inverse
        left_out = _left_out(y, z @ (inverse * projected), hat)
        error = float(np.abs(y - left_out).mean())
        if best is None or error < smallest:
            weight = np.zeros(dim)
            weight[varies] = (axes @ (inverse * projected)) / spread[varies]
            best, smallest = Ridge(weight, y0 - float(weight @ mean), penalty, y0 + left_out), error
    assert best is not None
    return best


def _left_out(y: Floats, fitted: Floats, hat: Floats) -> Floats:
    """Leave-one-out predictions; a row that alone decides its own value keeps the mean of the others."""
    rest = np.clip(1.0 - hat, 0.0, None)
    alone = rest < 1e-9
    return np.where(alone, 0.0, y - (y - fitted) / np.where(alone, 1.0, rest))
