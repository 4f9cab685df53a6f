"""Clebsch–Gordan coefficients of real harmonics, from the table that ``make_clebsch_gordan.py`` makes."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import torch
from torch import Tensor


def coefficients(l1: int, l2: int, l3: int) -> Tensor:
    """C (2l1 + 1, 2l2 + 1, 2l3 + 1) float64, ``Σ C² = 1``; signs and axes of e3nn's ``wigner_3j``.

    Raises:
        KeyError: orders that the table does not have, or that make no triangle.
    """
    found: Tensor = _table()[l1, l2, l3].clone()
    return found


@cache
def coupling(l1: int, l2: int, l3: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``√(2l₃ + 1) C`` as a matrix (2l₃ + 1, (2l₂ + 1)(2l₁ + 1)), rounded once to ``dtype``; not to be changed."""
    table = coefficients(l1, l2, l3) * (2 * l3 + 1) ** 0.5
    found: Tensor = table.permute(2, 1, 0).flatten(1).to(device, dtype)
    return found


@cache
def _table() -> dict[tuple[int, int, int], Tensor]:
    found: dict[tuple[int, int, int], Tensor] = {}
    for line in files("crystal_nequip").joinpath("clebsch_gordan.txt").read_text(encoding="utf-8").splitlines():
        *numbers, square = line.split()
        l1, l2, l3, k1, k2, k3 = map(int, numbers)
        above, _, below = square[1:].partition("/")
        shape = (2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1)
        one = found.setdefault((l1, l2, l3), torch.zeros(shape, dtype=torch.float64))
        one[k1, k2, k3] = (-1.0 if square[0] == "-" else 1.0) * (int(above) / int(below or 1)) ** 0.5
    return found
