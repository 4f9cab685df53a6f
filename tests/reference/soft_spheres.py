"""Soft spheres as their energy is written, every atom with every other."""

from __future__ import annotations

import numpy as np


def soft_spheres(places: np.ndarray, length: float, sigma: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Forces (N, 3), energy Σ_{i<j} ½ (1 − r/σ)², and the least r/σ, of (N, 3) places and (N, N) widths in a cube."""
    push, energy, nearest = np.zeros_like(places), 0.0, np.inf
    for i in range(len(places)):
        for j in range(len(places)):
            if i == j:
                continue
            d = places[i] - places[j]
            d = d - np.rint(d / length) * length
            r = float(np.linalg.norm(d))
            nearest = min(nearest, r / sigma[i, j])
            if r < sigma[i, j]:
                energy += 0.25 * (1.0 - r / sigma[i, j]) ** 2
                push[i] += (1.0 - r / sigma[i, j]) / sigma[i, j] * d / r
    return push, energy, nearest
