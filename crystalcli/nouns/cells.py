"""Small numbers of one cell, in plain arithmetic: for three vectors NumPy is slower."""

from __future__ import annotations

import math

import ase
import numpy as np
from numpy.typing import NDArray

FLAT = 1e-9
"""Volume over the product of the lengths, below which three vectors make no cell."""


def volume(cell: NDArray[np.float64]) -> float:
    """Volume of the cell with these rows, (3, 3) Å → Å³; negative if it is left-handed."""
    (a, b, c), (d, e, f), (g, h, i) = cell.tolist()
    return float(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def lengths(cell: NDArray[np.float64]) -> list[float]:
    """Lengths of the three rows, (3, 3) Å → Å."""
    return [math.sqrt(x * x + y * y + z * z) for x, y, z in cell.tolist()]


def is_flat(cell: NDArray[np.float64]) -> bool:
    """Whether two of the rows are parallel, or all in one plane, or one is zero or not a number."""
    return not abs(volume(cell)) > FLAT * math.prod(lengths(cell))


def completed(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows with the zero ones replaced by unit vectors across the others; flat if the others are parallel."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(ase.cell.Cell(cell).complete().array, dtype=np.float64)


def inverse(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of the matrix with these rows, (3, 3) Å → Å⁻¹: its columns are the cross products over the volume.

    Raises:
        ZeroDivisionError: the cell is flat.
    """
    (a, b, c), (d, e, f), (g, h, i) = cell.tolist()
    x, y, z = e * i - f * h, f * g - d * i, d * h - e * g
    v = a * x + b * y + c * z
    return np.array(
        (
            (x / v, (c * h - b * i) / v, (b * f - c * e) / v),
            (y / v, (a * i - c * g) / v, (c * d - a * f) / v),
            (z / v, (b * g - a * h) / v, (a * e - b * d) / v),
        )
    )
