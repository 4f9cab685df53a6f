"""Which candidates are relaxed to the end and trained on: drawn at random, or those that teach or promise most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crystalcli.screen.rule import Candidate, Decision

Floats = NDArray[np.float64]
WAYS = ("random", "uncertainty", "on-hull", "diversity")


def drawn(ids: Sequence[str], count: int, seed: int) -> list[str]:
    """``count`` of ``ids`` at random, whatever their order, sorted; a smaller draw is part of a larger one."""
    order = np.random.default_rng([seed, 60]).permutation(len(ids))
    every = sorted(ids)
    return sorted(every[k] for k in order[:count])


def most_uncertain(candidates: Sequence[Candidate], count: int) -> list[str]:
    """Those on which the members disagree most; ties by id."""
    ranked = sorted((c for c in candidates if np.isfinite(c.energy)), key=lambda c: (-c.epistemic, c.id))
    return [c.id for c in ranked[:count]]


def most_promising(candidates: Sequence[Candidate], decisions: Sequence[Decision], count: int) -> list[str]:
    """Those that most members see on the hull, then those nearest to it; ties by id."""
    judged = [(c, d) for c, d in zip(candidates, decisions, strict=True) if np.isfinite(c.energy)]
    ranked = sorted(judged, key=lambda j: (-(j[1].on_hull or 0.0), j[1].above, j[0].id))
    return [c.id for c, _ in ranked[:count]]


def most_different(ids: Sequence[str], features: Floats, chosen: Floats, count: int) -> list[str]:
    """Farthest-point selection: each next one is farthest from all that are chosen.

    Args:
        ids: of the candidates.
        features: (n, f) of each.
        chosen: (m, f) of those chosen before, m ≥ 1.
        count: how many.
    """
    scale = np.concatenate([features, chosen]).std(0)
    scale[scale == 0.0] = 1.0
    x, known = features / scale, chosen / scale
    nearest = np.min([np.linalg.norm(x - k, axis=1) for k in known], axis=0)
    found: list[str] = []
    for _ in range(min(count, len(ids))):
        k = int(nearest.argmax())
        found.append(ids[k])
        nearest = np.minimum(nearest, np.linalg.norm(x - x[k], axis=1))
        nearest[k] = -1.0
    return found
