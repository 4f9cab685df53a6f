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
