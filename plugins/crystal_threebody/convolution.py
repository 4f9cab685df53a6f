"""A convolution in which edges are updated, too, and see the other edges of their atom."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystal_threebody.options import ThreeBodyOptions
from crystalcli.contracts.nn.norms import normalization
from crystalcli.contracts.nn.pair_linear import PairLinear


class ThreeBodyConvolution(nn.Module):
    """Update atoms v (F numbers) and edges u (G numbers) from both and from the angles between edges.

    With L the layer norm of atoms, N that of messages, f_c the smooth cutoff if there is one and n̄ the mean number of
    neighbors::

        A_i,clm = n̄^-½ Σ_e f_c(e) (W_A u_e)_c Y_lm(d̂_e)                                   (1)
        s_e,cl  = Σ_m A_i,clm Y_lm(d̂_e) = n̄^-½ Σ_e' f_c(e') (W_A u_e')_c (2l + 1) P_l(cos θ_ee')   (2)
        m_e^v ⊕ m_e^u = silu(N(W (L(v_i) ⊕ L(v_j) ⊕ u_e) + W_s s_e))                        (3)
        v_i ← v_i + W_v silu(n̄^-½ Σ_e f_c(e) m_e^v),    u_e ← u_e + m_e^u                  (4)

    Sums run over the edges of atom i. (2) is a sum over pairs of edges, hence over angles, at the cost of two passes
    over single edges, by the addition theorem of spherical harmonics. Edge updates as in J. Yoon, Z. W. Ulissi, Phys.
    Rev. Lett. 125, 173001 (2020), eqs. 1 to 4; atoms and edges without angles as in R. Ruff et al., Digital Discovery
    3, 594 (2024).

    Args:
        options: of the architecture.
        scale: n̄^-½.
        last: edges are not updated any more.
    """

    by_order: Tensor

    def __init__(self, options: ThreeBodyOptions, scale: float, *, last: bool) -> None:
        super().__init__()
        f, g, c, l_max = options.width, options.edge_width, options.angle_channels, options.l_max
        self.sizes = [f] if last else [f, g]
        out = sum(self.sizes)
        self.scale, self.channels = scale, c
        self.norm_nodes = nn.LayerNorm(f)
        self.linear = PairLinear(f, g, out)
        if c:
            self.moments = nn.Linear(g, c, bias=False)
            self.angles = nn.Linear(c * l_max, out, bias=False)
            orders = torch.tensor([order for order in range(1, l_max + 1) for _ in range(2 * order + 1)])
            self.register_buffer("by_order", nn.functional.one_hot(orders - 1, l_max).float(), persistent=False)
        self.norm = normalization(options.norm, out)
        self.mix = nn.Linear(f, f)

    def forward(
        self,
        nodes: Tensor,
        edges: Tensor,
        ends: tuple[Tensor, Tensor],
        harmonics: Tensor | None = None,
        envelope: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Updated atoms (N, F) and edges (E, G).

        Args:
            nodes: (N, F).
            edges: (E, G).
            ends: centre and neighbor of every edge, (E,) and (E,).
            harmonics: Y_lm of its direction for l = 1 … l_max, component-normalised, (E, (l_max + 1)² − 1).
            envelope: (E,) smooth cutoff, or none.
        """
        z = self.linear(self.norm_nodes(nodes), edges, *ends)
        if harmonics is not None:
            z = z + self.angles(self._seen(edges, ends[0], len(nodes), harmonics, envelope))
        value, *of_edges = torch.split(nn.functional.silu(self.norm(z)), self.sizes, 1)
        if envelope is not None:
            value = value * envelope[:, None]
        summed = nodes.new_zeros(nodes.shape).index_add(0, ends[0], value) * self.scale
        updated = nodes + self.mix(nn.functional.silu(summed))
        return updated, edges + of_edges[0] if of_edges else edges

    def _seen(self, edges: Tensor, centre: Tensor, n: int, harmonics: Tensor, envelope: Tensor | None) -> Tensor:
        """S of (2), (E, C · l_max)."""
        weights = self.moments(edges) * self.scale
        if envelope is not None:
            weights = weights * envelope[:, None]
        each = (weights[:, :, None] * harmonics[:, None]).flatten(1)
        moments = each.new_zeros(n, each.shape[1]).index_add(0, centre, each)
        own = moments.index_select(0, centre).view(-1, self.channels, harmonics.shape[1]) * harmonics[:, None]
        seen: Tensor = own @ self.by_order.to(own.dtype)
        return seen.flatten(1)
