"""Distance to the convex hull as a linear program, one phase at a time."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog


def above_hull(fractions: np.ndarray, energies: np.ndarray, at: np.ndarray) -> float:
    """Energy of the best mixture of phases (n, d) with composition ``at``, by the simplex method."""
    n = len(energies)
    equal = np.vstack([fractions.T, np.ones(n)])
    found = linprog(energies, A_eq=equal, b_eq=np.append(at, 1.0), bounds=[(0, None)] * n, method="highs")
    assert found.status == 0
    return float(found.fun)


def fractions_of(amounts: Sequence[dict[str, float]], elements: Sequence[str]) -> np.ndarray:
    rows = np.array([[a.get(e, 0.0) for e in elements] for a in amounts])
    return rows / rows.sum(1, keepdims=True)
