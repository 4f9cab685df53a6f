"""Radial bases: distance → features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystalcli.contracts.modules import DistinctRows
from crystalcli.nouns.graph import CrystalGraph

NEGLIGIBLE = -69.0
"""Exponents below ln(1e-30): their Gaussians are zero, which keeps denormal numbers out of the gradients."""


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


SAME_DISTANCE = 1e-6
"""Distances of one crystal that round to the same multiple of this, in Å, share a row; float32 resolves no more."""


def distinct_rows(graph: CrystalGraph, distance: Tensor, basis: GaussianBasis) -> DistinctRows | None:
    """Expand each distance of a crystal once; none in float64, on a GPU, or where gradients of distances are wanted."""
    if distance.dtype != torch.float32 or distance.device.type != "cpu" or distance.requires_grad:
        return None
    structure = graph.structure_index.index_select(0, graph.edge_index[0])
    key = (structure << 40) + (distance.double() / SAME_DISTANCE).round().long()
    found, index = torch.unique(key, return_inverse=True)
    rows = basis(((found & ((1 << 40) - 1)).double() * SAME_DISTANCE).float())
    return DistinctRows(rows, index, torch.bincount(found >> 40, minlength=graph.n_structures))
