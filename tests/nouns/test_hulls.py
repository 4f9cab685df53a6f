"""Lower hulls: corners of a drawing, and against mixtures by linear programming."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from crystalcli.nouns.hulls import lower_hull


def test_corners() -> None:
    points = [(0.0, 0.0), (0.25, -0.1), (0.5, -0.3), (0.5, -0.1), (0.6, -0.1), (0.75, -0.2), (1.0, 0.0), (0.625, -0.25)]
    corners = [(0.0, 0.0), (0.5, -0.3), (0.75, -0.2), (1.0, 0.0)]
    assert lower_hull(points) == lower_hull(reversed(points)) == corners
    assert lower_hull([]) == []


def test_the_hull_is_that_of_mixtures() -> None:
    """No mixture of points lies below the hull, and each corner is cheaper than every mixture of the others."""
    rng = np.random.default_rng(8)
    for _ in range(20):
        x = np.sort(rng.uniform(0, 1, 9))
        points = [(float(a), float(b)) for a, b in zip(x, rng.normal(0, 0.2, 9), strict=True)]
        hull = lower_hull(points)
        for k, (a, e) in enumerate(points):
            others = [p for n, p in enumerate(points) if n != k]
            table = [[p[0] for p in others], [1.0] * len(others)]
            best = linprog([p[1] for p in others], A_eq=table, b_eq=[a, 1.0], bounds=(0, 1))
            assert ((a, e) in hull) == (not best.success or e < best.fun - 1e-12)
