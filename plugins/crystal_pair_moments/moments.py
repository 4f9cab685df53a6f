"""Angles without triples: squares of moments tell how the neighbors of an atom are spread over directions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crystalcli.contracts.nn import harmonics
from crystalcli.nouns.graph import CrystalGraph

ORDERS = (1, 2, 3)


def moment_sums(weights: Tensor, units: Tensor) -> Tensor:
    """``A[i, k, c] = Σ_m Y_k(u_im) w_imc``, (N, 15, C); can be differentiated twice by weights and units.

    A step of training on forces differentiates the sums twice. Left to autograd that is several hundred passes over
    all edges, half of the time of a step. With weights w, harmonics Y of the directions u, and their derivatives as
    in :mod:`crystalcli.contracts.nn.harmonics`:

    - the sums are ``A = Y w``;
    - their gradients, for G = ∂E/∂A, ``dw = Yᵀ G`` and ``du = vjp(G wᵀ)``;
    - the gradients of these, for cotangents t of dw and τ of du (``T = jvp(τ)``), ``dG = Y t + T w``, ``dw = Tᵀ G`` and
      ``du = vjp(G tᵀ) + vjp(transposed(τ, G wᵀ))``.

    Args:
        weights: (N, M, C), zero where an atom has fewer than M neighbors.
        units: (3, N, M), unit vectors.
    """
    result: Tensor = MomentSums.apply(weights, units)  # type: ignore[no-untyped-call]
    return result


class MomentSums(torch.autograd.Function):
    """See :func:`moment_sums`."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, units: Tensor) -> Tensor:
        """The sums."""
        y = torch.stack(harmonics.values(units.unbind(0)), 1)
        ctx.save_for_backward(weights, units)
        ctx.y = y
        return y[:, 1:] @ weights

    @staticmethod
    def backward(ctx: Any, d_sums: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of weights and units."""
        weights, units = ctx.saved_tensors
        found: tuple[Tensor, Tensor] = MomentGradient.apply(d_sums, weights, units, ctx.y)  # type: ignore[no-untyped-call]
        return found


class MomentGradient(torch.autograd.Function):
    """The gradients of :class:`MomentSums`."""

    @staticmethod
    def forward(ctx: Any, d_sums: Tensor, weights: Tensor, units: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of weights and units."""
        ctx.save_for_backward(d_sums, weights, units)
        ctx.y = y
        return y[:, 1:].mT @ d_sums, torch.stack(harmonics.vjp(y.unbind(1), _of_each(d_sums, weights)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, t_weights: Tensor, t_units: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of G, weights and units for cotangents of the two gradients."""
        d_sums, weights, _ = ctx.saved_tensors
        y, t = ctx.y.unbind(1), t_units.unbind(0)
        along = torch.stack(harmonics.jvp(y, t), 1)
        d_units = torch.stack(harmonics.vjp(y, _of_each(d_sums, t_weights)))
        d_units += torch.stack(harmonics.vjp(y, harmonics.transposed(t, _of_each(d_sums, weights))))
        return ctx.y[:, 1:] @ t_weights + along @ weights, along.mT @ d_sums, d_units, None


def _of_each(d_sums: Tensor, weights: Tensor) -> list[Tensor]:
    """``G wᵀ``, (N, M) for each harmonic; zero for the constant, which has no part in the sums."""
    found = (d_sums @ weights.mT).unbind(1)
    return [torch.zeros_like(found[0]), *found]


class Moments(nn.Module):
    """``q_i^{lc} = Σ_m |n̄^(−1/2) Σ_e f_c R_c(r_e) a_c(v_j) Y_lm(r̂_e)|²``, l = 1, 2, 3; R_c: splines.

    With harmonics of ``Σ_m Y_lm² = 1`` this is ``Σ_{e,e'} w_e w_e' P_l(cos θ_ee')/n̄``: every angle between two
    neighbors counts, at the cost of a sum over edges. Deviation: not in the paper, whose messages know distances
    only; the partial densities of M. I. Baskes, Phys. Rev. B 46, 2727 (1992), doi:10.1103/PhysRevB.46.2727, Eq. 8.

    Args:
        width: of the node features. channels: C. dim: of the radial basis. scale: n̄^(−1/2).
    """

    def __init__(self, width: int, channels: int, dim: int, scale: float) -> None:
        super().__init__()
        self.scale, self.channels = scale, channels
        self.dim = len(ORDERS) * channels
        self.send = nn.Linear(width, channels)
        self.radial = nn.Parameter(0.6 * torch.randn(dim, channels))
        nn.init.constant_(self.send.bias, 1.0)

    def forward(self, graph: CrystalGraph, vectors: Tensor, nodes: Tensor, basis: Tensor, envelope: Tensor) -> Tensor:
        """(N, 3C) of edge vectors (E, 3), nodes (N, F), radial basis (E, K) and envelope (E,)."""
        sent = self.send(nodes).index_select(0, graph.edge_index[1])
        weights = self.scale * envelope.unsqueeze(1) * (basis @ self.radial) * sent
        units = vectors / torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        slots = padded_rows(graph.row_pointers, graph.n_edges)
        sums = moment_sums(of_atoms(weights, slots), of_atoms(units, slots).permute(2, 0, 1).contiguous())
        return torch.cat([p.sum(1) for p in torch.split(sums.square(), [2 * k + 1 for k in ORDERS], 1)], 1)


def of_atoms(x: Tensor, slots: Tensor) -> Tensor:
    """Rows of edges (E, D) as those of atoms, (N, M, D); zero where an atom has fewer than M."""
    rows: Tensor = torch.cat([x, x.new_zeros(1, x.shape[1])]).index_select(0, slots.flatten())
    return rows.view(*slots.shape, x.shape[1])


def padded_rows(pointers: Tensor, n_edges: int) -> Tensor:
    """Edges of every atom as rows of one length, (N, M); ``n_edges`` stands where an atom has fewer."""
    degree = pointers.diff()
    place = torch.arange(int(degree.max()) if len(degree) else 0, device=pointers.device)
    slots = pointers[:-1].unsqueeze(1) + place
    return torch.where(place < degree.unsqueeze(1), slots, torch.full_like(slots, n_edges))
