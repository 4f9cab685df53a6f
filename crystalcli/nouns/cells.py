"""Small numbers of one cell, in plain arithmetic: for three vectors NumPy is slower."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def volume(cell: NDArray[np.float64]) -> float:
    """Volume of the cell with these rows, (3, 3) Å → Å³; negative if it is left-handed."""
    (a, b, c), (d, e, f), (g, h, i) = cell.tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
