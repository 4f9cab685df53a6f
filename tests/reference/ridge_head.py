"""Naive twin of the head ``ridge``: loops over crystals and elements, numpy's least squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def ridge(x: Floats, y: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights and intercept of ``⟨(y − b − w·x)²⟩ + λ Σ (s·w)²``, as least squares of stacked rows."""
    n, dim = x.shape
    spread = x.std(axis=0)
    weighted = np.sqrt(n * penalty) * np.diag(spread)
    rows = np.block([[x, np.ones((n, 1))], [weighted, np.zeros((dim, 1))]])
    found = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(dim)]), rcond=None)[0]
    return found[:-1], float(found[-1])


def design(
    crystals: Sequence[tuple[Floats, NDArray[np.int64]]], layers: Any, pool: str, elements: Sequence[int]
) -> Floats:
    """Features of every crystal, (S, E·P), from (nodes, atomic numbers) of each; all of them give the statistics."""
    pooled = [_rows(nodes, numbers, pool) for nodes, numbers in crystals]
    statistics = {}
    for z in elements:
        mine = np.array([r for rows in pooled for r, kind in rows if kind == z])
        spread = mine.std(axis=0)
        statistics[z] = mine.mean(axis=0), np.where(spread > 1e-6 * (1 + np.abs(mine.mean(axis=0))), spread, 1.0)
    out = []
    for rows, (nodes, _) in zip(pooled, crystals, strict=True):
        total = dict.fromkeys(elements, 0.0)
        for row, z in rows:
            u = (row - statistics[z][0]) / statistics[z][1]
            phi = np.concatenate([[1.0], u, layers(u)])
            total[z] = total[z] + phi / (len(nodes) if pool in ("average", "sum") else 1)
        width = max(np.size(v) for v in total.values())
        out.append(np.concatenate([np.broadcast_to(total[z], width) for z in elements]))
    return np.array(out)


def _rows(nodes: Floats, numbers: NDArray[np.int64], pool: str) -> list[tuple[Floats, int]]:
    if pool in ("average", "sum"):
        return [(v, int(z)) for v, z in zip(nodes, numbers, strict=True)]
    return [(nodes[numbers == z].max(axis=0), int(z)) for z in np.unique(numbers)]
