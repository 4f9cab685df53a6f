"""A linear map of two atoms and the edge between them."""

from __future__ import annotations

from torch import Tensor, nn


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
