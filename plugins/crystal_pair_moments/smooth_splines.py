"""Splines whose weights an optimiser can learn one at a time, and what says of them that they wiggle."""

from __future__ import annotations

import torch
from torch import Tensor

from crystalcli.contracts.nn.envelopes import polynomial
from crystalcli.contracts.nn.splines import spline_terms

NOMINAL_CUTOFF = 5.0
"""Å, at which the matrices of :func:`smooth_weights` are taken."""
JITTER = 0.05
"""Å, how far thermal motion changes a distance."""
DENSITY = 0.1
"""Atoms per Å³ of a usual crystal."""
STIFFNESS = 3e-8
"""λ, Å⁵: small where a jitter is seen, large between shells. Among powers of ten, pair potentials fitted to alumina by
least squares reached other polymorphs best near it."""
SHRINKAGE = 1e-7
"""Least variance, of the largest one."""


def smooth_weights(intervals: int) -> tuple[Tensor, Tensor]:
    """A map of spline weights, and how much of the mapped weights is a matter of smoothness; (K, K) float64 both.

    Energies of a crystal hang on a fine radial basis through a badly conditioned matrix: smooth functions count, their
    wiggles do not, and an optimiser that looks at one weight at a time takes thousands of steps. And at distances that
    training does not have, between the shells of a cold crystal, no data say anything at all. Two matrices tell both:
    ``G = σ² 4πρ ∫ φ'φ'ᵀ max(r, 1 Å)² dr`` with φ = f_c B, the covariance of the sums when every distance jitters by
    itself, and ``C = λ ∫ B''B''ᵀ exp((r − 2 Å)/½ Å) dr``, the curvature, which is natural where atoms repel and
    unlikely further out. The map L makes ``Lᵀ(G + C)L = 1``, so that a step changes everything evenly; ``K = LᵀCL``
    has eigenvalues between 0 and 1, near 1 for wiggles that no jitter of distances is likely to see. A penalty
    ``θᵀKθ`` on the mapped weights bridges the gaps by smooth curves (P. H. C. Eilers, B. D. Marx, Stat. Sci. 11, 89
    (1996), doi:10.1214/ss/1038425655). Any such map gives the same functions; this one needs no data.

    Of the many L that do it this is ``R⁻ᵀ`` with the Cholesky factor ``G + C = RRᵀ``, which is unique. Axes of an
    eigendecomposition would make K diagonal, but K has many eigenvalues near 0 and near 1, and which axes of their
    spaces come out hangs on the processor and the number of threads.
    """
    x = torch.linspace(0.0, 1.0, 4001, dtype=torch.float64)[1:-1].requires_grad_(True)
    first, values, slopes, bends = spline_terms(x.detach(), intervals)
    with torch.enable_grad():
        envelope = polynomial(x)
        (steepness,) = torch.autograd.grad(envelope.sum(), x)
    r, step = (x.detach() * NOMINAL_CUTOFF).unsqueeze(1), NOMINAL_CUTOFF / 4000

    def dense(four: Tensor) -> Tensor:
        rows = torch.zeros(len(x), intervals + 3, dtype=torch.float64)
        return rows.scatter_(1, (first + torch.arange(4).unsqueeze(1)).t(), four.t())

    change = dense((slopes * envelope.detach() + values * steepness) / NOMINAL_CUTOFF) * r.clamp_min(1.0)
    covariance = change.t() @ change * (step * 4.0 * torch.pi * DENSITY * JITTER**2)
    bend = dense(bends / NOMINAL_CUTOFF**2) * torch.exp(r - 2.0)
    curvature = bend.t() @ bend * (step * STIFFNESS)
    largest = torch.linalg.eigvalsh(covariance)[-1]
    one = torch.eye(intervals + 3, dtype=torch.float64)
    factor = torch.linalg.cholesky(covariance + curvature + SHRINKAGE * largest * one)
    even = torch.linalg.solve_triangular(factor, one, upper=False).t()
    return even, even.t() @ curvature @ even
