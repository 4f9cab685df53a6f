"""Splines of the distance for every pair of elements, summed over the neighbors of an atom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.modules import Distances
from crystalcli.contracts.nn import joint
from crystalcli.contracts.nn.basis import polynomial
from crystalcli.contracts.nn.splines import radial_sums, spline_terms
from crystalcli.nouns.graph import CrystalGraph

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

N_NUMBERS = 120
"""Rows of a table indexed by atomic number."""
PAIR_SIZE = 0.1
"""Size of the pair channels, so that at the start they do not drown the rest."""


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


class PairTerm(nn.Module):
    """``s_i = Σ_e f_c(r_e) w[Z_i, Z_j](r_e)`` less its mean over atoms of the first batch; w: P splines per pair.

    Sums of such terms are what a ridge on histograms of distances learns. They are summed
    over edges before any channel is made, so that their cost does not depend on P. The means, one number for
    each neighboring element and spline, only shift the zero of the channels; without them a change of w would shift all
    energies. Atoms of elements without weights have no pair term. Without a :meth:`roughness` in the loss the splines
    stay as they began at distances that training does not have.

    Args:
        elements: atomic numbers with weights.
        channels: P. intervals: of the splines between 0 and the cutoff.
    """

    index: Tensor
    even: Tensor
    rough: Tensor
    size: Tensor
    mean: Tensor
    shift: Tensor
    seen: Tensor
    element_tables: ClassVar = {
        "weight": ElementTable(0, 1),
        "mean": ElementTable(0, 1),
        "shift": ElementTable(0),
        "seen": ElementTable(0),
    }

    def __init__(self, elements: tuple[int, ...], channels: int, intervals: int) -> None:
        super().__init__()
        self.intervals, self.channels = intervals, channels
        n, k = len(elements), intervals + 3
        index = torch.full((N_NUMBERS,), -1)
        index[list(elements)] = torch.arange(n)
        # whole numbers that the elements of the training split, kept in the model, fix
        self.register_buffer("index", index, persistent=False)
        even, rough = smooth_weights(intervals)
        # kept in the model: the weights mean something together with this map only
        self.register_buffer("even", even.float())
        self.register_buffer("rough", rough.float())
        # kept, too: with more elements, or fewer, the channels of those that stay keep their size
        self.register_buffer("size", torch.tensor(n**0.5 * PAIR_SIZE))
        self.register_buffer("mean", torch.zeros(n, n, k))
        self.register_buffer("shift", torch.zeros(n, channels))
        self.register_buffer("seen", torch.zeros(n, dtype=torch.bool))
        self.weight = nn.Parameter(torch.empty(n, n, k, channels))
        with torch.no_grad():  # smooth where there may be no data to change it
            self.weight.normal_(std=0.3).sub_(self.rough @ self.weight)

    def roughness(self) -> Tensor:
        """``Σ θᵀKθ`` over all splines, for one channel in the mean; see :func:`smooth_weights`."""
        return (self.weight * (self.rough @ self.weight)).sum() / self.channels

    def forget_elements(self, places: Sequence[int]) -> None:
        """Before the rows at ``places`` go: what the means over neighbors of these elements take from others stays."""
        with torch.no_grad():
            for e in range(len(self.seen)):
                self.shift[e] -= self.size * (self.mean[e, places].view(1, -1) @ self._map(e, places)).squeeze(0)
            self.mean[:, places] = 0.0

    def _map(self, e: int, places: Sequence[int] | slice = slice(None)) -> Tensor:
        """From the sums around an atom of element ``e`` to its channels, but for their size, (n K, P)."""
        return (self.even @ self.weight[e, places]).view(-1, self.channels)

    def forward(self, graph: CrystalGraph, distances: Distances, envelope: Tensor) -> Tensor:
        """The channels of every atom, (N, P)."""
        n = len(self.seen)
        kind = self.index.index_select(0, graph.atomic_numbers)
        centre, neighbor = graph.edge_index
        x, kind_j = distances.lengths / distances.cutoff, kind.index_select(0, neighbor)
        if bool((kind < 0).any()):
            known = (kind_j >= 0).nonzero().squeeze(1)
            x, envelope, kind_j, centre = (t.index_select(0, known) for t in (x, envelope, kind_j, centre))
        sums = radial_sums(x, envelope, centre * n + kind_j, graph.n_atoms * n, self.intervals).view(graph.n_atoms, -1)
        out = sums.new_zeros(graph.n_atoms, self.channels)
        if self.training and joint.is_shared() and not bool(self.seen.all()):
            self._meet(kind, sums.detach())
        for e in torch.unique(kind[kind >= 0]).tolist():
            atoms = (kind == e).nonzero().squeeze(1)
            mine = sums.index_select(0, atoms)
            if self.training and not bool(self.seen[e]):
                self.mean[e], self.seen[e] = mine.detach().mean(0).view_as(self.mean[e]), True
            channels = torch.mm(mine - self.mean[e].view(-1), self.size * self._map(e)) + self.shift[e]
            out = out.index_add(0, atoms, channels)
        return out

    def _meet(self, kind: Tensor, sums: Tensor) -> None:
        """Take the means of elements that are new to all processes from the atoms of all."""
        known = (kind >= 0).nonzero().squeeze(1)
        own = sums.new_zeros(len(self.seen), sums.shape[1] + 1)
        own.index_add_(0, kind[known], torch.cat([sums[known], sums.new_ones(len(known), 1)], 1))
        every = joint.total(own)
        new = (~self.seen & (every[:, -1] > 0)).nonzero().squeeze(1)
        self.mean[new] = (every[new, :-1] / every[new, -1:]).view_as(self.mean[new])
        self.seen[new] = True
