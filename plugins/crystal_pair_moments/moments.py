"""Angles without triples: squares of moments tell how the neighbors of an atom are spread over directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystal_pair_moments.moment_sums import moment_sums
from crystalcli.nouns.graph import CrystalGraph

ORDERS = (1, 2, 3)


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
