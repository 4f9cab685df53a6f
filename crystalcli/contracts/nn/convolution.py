"""The gated convolution of CGCNN on a sorted edge list."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from crystalcli.contracts.modules import Features
from crystalcli.contracts.nn.edge_plan import EdgePlan
from crystalcli.contracts.nn.gate_sum import gate_sum
from crystalcli.contracts.nn.norms import BatchNorm, Norm, edge_statistics, normalization
from crystalcli.nouns.graph import CrystalGraph, sum_over_neighbors

Activation = Literal["softplus", "relu", "silu", "tanh", "leaky_relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
}


class PairLinear(nn.Linear):
    """``z_e = W (v_i ⊕ v_j ⊕ u_e) + b`` of every edge, its parts of atoms once per atom.

    Args:
        node_dim: F, numbers of an atom.
        edge_dim: G, numbers of an edge.
        out: numbers of z.
    """

    def __init__(self, node_dim: int, edge_dim: int, out: int) -> None:
        super().__init__(2 * node_dim + edge_dim, out)
        self.node_dim = node_dim

    def forward(self, nodes: Tensor, edges: Tensor, centre: Tensor, neighbor: Tensor) -> Tensor:  # type: ignore[override]
        """Z (E, out) of nodes (N, F), edges (E, G) and their two ends (E,), (E,)."""
        f, w = self.node_dim, self.weight
        here = nn.functional.linear(nodes, w[:, :f], self.bias)
        there = nn.functional.linear(nodes, w[:, f : 2 * f])
        z = nn.functional.linear(edges, w[:, 2 * f :])
        return z + here.index_select(0, centre) + there.index_select(0, neighbor)


class GatedConvolution(nn.Module):
    """``v_i ← outer(v_i + BN2(scale·Σ_e f_c(e) σ(p_e) ⊙ g(q_e)))``, ``[p, q]_e = BN1(W (v_i ⊕ v_j ⊕ u_e) + b)``.

    Xie & Grossman, PRL 120, 145301 (2018), Eq. 5, with the batch norms of the released code.
    With a plan of the edges (float32 on the CPU) the same sums are taken in blocks, several times faster.
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
        self.linear = PairLinear(node_dim, edge_dim, 2 * node_dim)
        with torch.no_grad():
            self.linear.weight[:, 2 * node_dim :] *= edge_gain
        self.norm_edges = normalization(norm, 2 * node_dim)
        self.norm_nodes = normalization(norm, node_dim)
        self.activation = ACTIVATIONS[activation]()
        self.outer = nn.Softplus() if outer else nn.Identity()
        self.scale = scale

    @property
    def has_fast_path(self) -> bool:
        """Whether a plan of the edges can be used: softplus, and batch norm or none."""
        return isinstance(self.activation, nn.Softplus) and not isinstance(self.norm_edges, nn.LayerNorm)

    def forward(
        self,
        graph: CrystalGraph,
        nodes: Tensor,
        features: Features,
        plan: EdgePlan | None = None,
        kinds: Tensor | None = None,
    ) -> Tensor:
        """Update (N, F) nodes from edge features and their envelope, or along the plan of the same edges.

        Where the rows of the plan are kinds of atoms, ``kinds`` are the nodes of each, (R, F).
        """
        if plan is not None and self.has_fast_path and nodes.dtype == torch.float32:
            summed = self._planned(nodes if kinds is None else kinds, plan)
        else:
            summed = self._summed(graph, nodes, features)
        result: Tensor = self.outer(nodes + self.norm_nodes(self.scale * summed))
        return result

    def _summed(self, graph: CrystalGraph, nodes: Tensor, features: Features) -> Tensor:
        """Summed messages of every atom, (N, F)."""
        assert features.edges is not None  # the record of an architecture with convolutions requires edge features
        z = self.linear(nodes, features.edges, graph.edge_index[0], graph.edge_index[1])
        p, q = self.norm_edges(z).chunk(2, dim=-1)
        messages = torch.sigmoid(p) * self.activation(q)
        if features.envelope is not None:
            messages = messages * features.envelope.unsqueeze(-1)
        return sum_over_neighbors(graph, messages)

    def _planned(self, nodes: Tensor, plan: EdgePlan) -> Tensor:
        """The same with BN1 folded into the weights, since its statistics follow from products over atoms."""
        f = self.node_dim
        w: Tensor = self.linear.weight.t()
        shift: Tensor = self.linear.bias
        if isinstance(self.norm_edges, BatchNorm):
            norm = self.norm_edges
            if norm.uses_batch(plan.n_edges):
                mean, variance = edge_statistics(nodes, w, plan)
                mean, variance = norm.of_batch(mean + shift, variance, plan.n_edges)
            else:
                mean, variance = norm.statistics()
            gain = norm.weight * torch.rsqrt(variance + norm.eps)
            shift = norm.bias + (shift - mean) * gain
            w = w * gain
        sign = torch.cat([shift.new_ones(f), shift.new_full((f,), -1.0)])  # the core enters negated
        w, shift = w * sign, shift * sign
        w1, w2, w3 = w[:f], w[f : 2 * f], w[2 * f :]
        zero = shift.new_zeros(f)
        ab = torch.addmm(
            torch.cat([shift[:f], zero, shift[f:], zero]),
            nodes,
            torch.cat([w1[:, :f], w2[:, :f], w1[:, f:], w2[:, f:]], 1),
        )
        if plan.spread is not None:
            ab = ab.index_select(0, plan.spread)
        return gate_sum(ab, w3.contiguous(), plan)
