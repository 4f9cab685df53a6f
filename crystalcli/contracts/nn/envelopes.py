"""Smooth cutoffs: 1 at distance 0, 0 from the cutoff on; functions of x = r/R."""

from __future__ import annotations

import torch
from torch import Tensor


def polynomial(x: Tensor, p: int = 6) -> Tensor:
    """``1 − (p+1)(p+2)/2·x^p + p(p+2)·x^{p+1} − p(p+1)/2·x^{p+2}``; value, slope and curvature vanish at 1.

    J. Gasteiger et al., ICLR 2020, Eq. 8 (arXiv:2003.03123).
    """
    value = 1.0 - x**p * ((p + 1) * (p + 2) / 2 - x * (p * (p + 2) - x * (p * (p + 1) / 2)))
    return torch.where(x < 1.0, value, torch.zeros_like(value))


def cosine(x: Tensor) -> Tensor:
    """``½ (1 + cos πx)``; value and slope vanish at 1, the curvature does not.

    J. Behler, M. Parrinello, PRL 98, 146401 (2007), doi:10.1103/PhysRevLett.98.146401.
    """
    return torch.where(x < 1.0, 0.5 * (1.0 + torch.cos(torch.pi * x)), torch.zeros_like(x))


def xplor(x: Tensor, onset: float = 0.9) -> Tensor:
    """``(1 − x²)² (1 + 2x² − 3o²)/(1 − o²)³`` between the onset o and 1; value and slope are continuous at both ends.

    The switching function of X-PLOR (A. T. Brünger, X-PLOR Version 3.1, 1992; B. R. Brooks et al., J. Comput. Chem. 4,
    187 (1983), doi:10.1002/jcc.540040211): what it multiplies is left as it is up to o R. Curvatures jump at both ends.
    """
    square, begin = x * x, onset * onset
    value = (1.0 - square) ** 2 * (1.0 + 2.0 * square - 3.0 * begin) / (1.0 - begin) ** 3
    return torch.where(x < onset, torch.ones_like(x), torch.where(x < 1.0, value, torch.zeros_like(x)))
