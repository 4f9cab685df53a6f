"""The gated convolution of CGCNN on a sorted edge list, and the statistics over all edges that its batch norm needs."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crystalcli.contracts.modules import Features
from crystalcli.contracts.nn.edge_plan import EdgePlan
from crystalcli.contracts.nn.gate_sum import gate_sum
from crystalcli.contracts.nn.norms import BatchNorm, Norm, normalization
from crystalcli.nouns.graph import CrystalGraph, sum_over_neighbors


class Moments(torch.autograd.Function):
    """Σ over edges of products that involve node features, from products over atoms only.

    Returns ``[Σ v_i v_iᵀ | Σ v_i v_jᵀ | Σ v_j v_jᵀ | Σ v_i uᵀ | Σ v_j uᵀ]``, (F, 3F + 2K), and [Σ v_i, Σ v_j], (2, F):
    ``Σ_e v_i v_jᵀ = Vᵀ (S V)`` with ``(S V)_i = Σ_{e of i} v_j``; u is centred.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, plan: EdgePlan) -> tuple[Tensor, Tensor]:
        """The sums."""
        f = v.shape[1]
        sums = plan.sums
        neighbors = sums.adjacency.neighbors(v)
        parts = [v * sums.degree, neighbors, v * sums.sent, sums.basis_by_centre, sums.basis_by_neighbor]
        right = torch.cat(parts, 1)
        ctx.plan = plan
        ctx.save_for_backward(v, right)
        return torch.mm(v.t(), right), right[:, : 2 * f].sum(0).view(2, f)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_products: Tensor, d_sums: Tensor) -> tuple[Tensor, None]:
        """Gradient of v."""
        v, right = ctx.saved_tensors
        known = ctx.plan.sums
        f = v.shape[1]
        d = d_products.clone()
        d12 = d[:, f : 2 * f].clone()
        for own in (slice(0, f), slice(2 * f, 3 * f)):  # v stands on both sides of these two
            d[:, own] += d_products[:, own].t()
        back = known.adjacency.centres(torch.addmm(d_sums[1], v, d12))
        return back.addmm_(right, d.t()).addcmul_(known.degree, d_sums[0]), None


def edge_statistics(v: Tensor, weight: Tensor, plan: EdgePlan) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over all edges of ``(v_i ⊕ v_j ⊕ u) W``, (2F,) each, without a product over edges.

    Args:
        v: node features, (R, F).
        weight: W, (2F + K, 2F).
        plan: of the batch.
    """
    n, f, k = float(plan.n_edges), v.shape[1], len(plan.sums.basis_mean)
    origin = v.detach().mean(0)  # any constant is exact; the mean keeps the squares small
    products, sums = Moments.apply(v - origin, plan)  # type: ignore[no-untyped-call]
    m1, m2 = sums[0] / n, sums[1] / n
    c11, c12, c22, c13, c23 = (products / n).split([f, f, f, k, k], 1)
    c11, c12, c22 = c11 - torch.outer(m1, m1), c12 - torch.outer(m1, m2), c22 - torch.outer(m2, m2)
    w1, w2, w3 = weight[:f], weight[f : 2 * f], weight[2 * f :]
    variance = (
        (w1 * (c11 @ w1 + 2.0 * (c12 @ w2 + c13 @ w3))).sum(0)
        + (w2 * (c22 @ w2 + 2.0 * (c23 @ w3))).sum(0)
        + (w3 * (plan.sums.basis_covariance @ w3)).sum(0)
    )
    return (m1 + origin) @ w1 + (m2 + origin) @ w2 + plan.sums.basis_mean @ w3, variance.clamp_min(0.0)


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
