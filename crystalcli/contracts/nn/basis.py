"""Radial bases and smooth cutoffs: distance → features, and 1 at distance 0, 0 from the cutoff on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystalcli.contracts.modules import DistinctRows
from crystalcli.nouns.graph import CrystalGraph

NEGLIGIBLE = -69.0
"""Exponents below ln(1e-30): their Gaussians are zero, which keeps denormal numbers out of the gradients."""
SAME_DISTANCE = 1e-6
"""Distances of one crystal that round to the same multiple of this, in Å, share a row; float32 resolves no more."""


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


class GaussianBasis(nn.Module):
    """Gaussian expansion ``u_k(r) = exp(−(r − μ_k)²/σ²)``, σ = step, without the factor ½.

    Xie & Grossman, PRL 120, 145301 (2018), doi:10.1103/PhysRevLett.120.145301, supplement and released code.

    Args:
        start, stop: first and last centre, Å.
        step: distance of the centres and width σ, Å.
    """

    centers: Tensor

    def __init__(self, start: float, stop: float, step: float) -> None:
        super().__init__()
        n = round((stop - start) / step) + 1
        self.register_buffer("centers", torch.linspace(start, stop, n, dtype=torch.float64))
        self.step = step

    @property
    def dim(self) -> int:
        """Number of functions K."""
        return int(self.centers.shape[0])

    def forward(self, distance: Tensor) -> Tensor:
        """Expand (E,) distances in Å into (E, K) features."""
        exponent = -(((distance.unsqueeze(-1) - self.centers.to(distance.dtype)) / self.step) ** 2)
        return nn.functional.threshold(exponent, NEGLIGIBLE, -torch.inf).exp()


class BesselBasis(nn.Module):
    """``B_n(r) = (2/R) sin(ω_n r)/r`` with ``ω_n = nπ/R``, n = 1 … count: each is zero at the cutoff R.

    J. Gasteiger et al., ICLR 2020, Eq. 7 (arXiv:2003.03123), with the factor 2/R of S. Batzner et al., Nat. Commun. 13,
    2453 (2022), doi:10.1038/s41467-022-29939-5, in place of √(2/R); both multiply with an envelope, and so must who
    uses this: the slope at R is not zero. Twice differentiable for r > 0; at r = 0 it has its limit, (2/R) ω_n.

    Args:
        cutoff: R, Å.
        count: how many.
        trainable: whether the ω_n are learned.
    """

    frequencies: Tensor

    def __init__(self, cutoff: float, count: int = 8, *, trainable: bool = True) -> None:
        super().__init__()
        frequencies = torch.arange(1, count + 1) * (torch.pi / cutoff)
        if trainable:
            self.frequencies = nn.Parameter(frequencies)
        else:
            self.register_buffer("frequencies", frequencies)
        self.cutoff = cutoff

    @property
    def dim(self) -> int:
        """Number of functions K."""
        return int(self.frequencies.shape[0])

    def forward(self, distance: Tensor) -> Tensor:
        """Expand (E,) distances in Å into (E, K) features, 1/Å²."""
        frequencies = self.frequencies.to(distance.dtype)
        return (2.0 / self.cutoff) * frequencies * torch.sinc(distance.unsqueeze(-1) * frequencies / torch.pi)


def distinct_rows(graph: CrystalGraph, distance: Tensor, basis: GaussianBasis) -> DistinctRows | None:
    """Expand each distance of a crystal once; none in float64, on a GPU, or where gradients of distances are wanted."""
    if distance.dtype != torch.float32 or distance.device.type != "cpu" or distance.requires_grad:
        return None
    structure = graph.structure_index.index_select(0, graph.edge_index[0])
    key = (structure << 40) + (distance.double() / SAME_DISTANCE).round().long()
    found, index = torch.unique(key, return_inverse=True)
    rows = basis(((found & ((1 << 40) - 1)).double() * SAME_DISTANCE).float())
    return DistinctRows(rows, index, torch.bincount(found >> 40, minlength=graph.n_structures))
