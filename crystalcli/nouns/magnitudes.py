"""How large labels may be, and statistics of labels of any size: squares of float64 end at 1e±154."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST, SMALLEST = 1e100, 1e-100
"""Labels whose largest is beyond cannot be learned: their squares, or those of their errors, are no numbers. Nothing in
nature asks for more in any unit; what is beyond is a placeholder, or a slip."""


def largest(values: Floats) -> float:
    """The largest absolute value of those that are finite, 0 without any."""
    size = np.abs(values)
    return float(size.max(initial=0.0, where=np.isfinite(size)))


def beyond(values: Floats) -> str:
    """What is wrong with the size of ``values``, for people; empty if nothing is."""
    most = largest(values)
    if SMALLEST <= most <= LARGEST or most == 0.0:
        return ""
    known = values[np.isfinite(values)]
    return (
        f"{known.min():.6g} … {known.max():.6g}, is beyond what can be squared ({SMALLEST:g} … {LARGEST:g}); "
        "give it in another unit, or leave out placeholders"
    )


def reduced(values: Floats) -> tuple[Floats, float]:
    """``values`` with a largest absolute value of 1 to 2, and the power of two that they were divided by, exactly."""
    most = largest(values)
    exponent = math.frexp(most)[1] - 1 if most else 0
    return np.ldexp(values, -exponent), math.ldexp(1.0, exponent)


def mean_and_deviation(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation of finite numbers of any size, at least one."""
    small, unit = reduced(values)
    return float(small.mean()) * unit, float(small.std()) * unit
