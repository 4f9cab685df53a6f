"""The gated convolution of CGCNN on a sorted edge list."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from crystalcli.contracts.nn.norms import Norm, normalization
from crystalcli.nouns.graph import CrystalGraph, sum_over_neighbors

Activation = Literal["softplus", "relu", "silu", "tanh", "leaky_relu"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
}


class GatedConvolution(nn.Module):
    """``v_i ← outer(v_i + BN2(scale·Σ_e f_c(e) σ(p_e) ⊙ g(q_e)))``, ``[p, q]_e = BN1(W (v_i ⊕ v_j ⊕ u_e) + b)``.

    Xie & Grossman, PRL 120, 145301 (2018), Eq. 5, with the batch norms of the released code.
    The linear map is split into ``W₁v_i + W₂v_j + W₃u_e``, so that its node parts are computed once per atom.
    Without norms, the scale 1/√n̄ keeps the sum of many messages of order one.

    Args:
        node_dim: F. edge_dim: K.
        norm: BN1 and BN2: ``batch``, ``layer`` or ``none``.
        activation: g.
        outer: whether the outer activation, softplus, is applied.
        scale: factor of the summed messages.
        edge_gain: factor of the initial W₃.
    """

    def __init__(
        self,
        node_dim: int,
        edge_dim: int,
        *,
        norm: Norm = "batch",
        activation: Activation = "softplus",
        outer: bool = True,
        scale: float = 1.0,
        edge_gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.node_dim = node_dim
        self.linear = nn.Linear(2 * node_dim + edge_dim, 2 * node_dim)
        with torch.no_grad():
            self.linear.weight[:, 2 * node_dim :] *= edge_gain
        self.norm_edges = normalization(norm, 2 * node_dim)
        self.norm_nodes = normalization(norm, node_dim)
        self.activation = ACTIVATIONS[activation]()
        self.outer = nn.Softplus() if outer else nn.Identity()
        self.scale = scale

    def forward(self, graph: CrystalGraph, nodes: Tensor, edges: Tensor, envelope: Tensor | None = None) -> Tensor:
        """Update (N, F) nodes from (E, K) edge features and the (E,) envelope, if any."""
        f = self.node_dim
        w = self.linear.weight
        centre = nn.functional.linear(nodes, w[:, :f], self.linear.bias)
        neighbor = nn.functional.linear(nodes, w[:, f : 2 * f])
        z = nn.functional.linear(edges, w[:, 2 * f :])
        z = z + centre.index_select(0, graph.edge_index[0]) + neighbor.index_select(0, graph.edge_index[1])
        p, q = self.norm_edges(z).chunk(2, dim=-1)
        messages = torch.sigmoid(p) * self.activation(q)
        if envelope is not None:
            messages = messages * envelope.unsqueeze(-1)
        update = self.scale * sum_over_neighbors(graph, messages)
        result: Tensor = self.outer(nodes + self.norm_nodes(update))
        return result
