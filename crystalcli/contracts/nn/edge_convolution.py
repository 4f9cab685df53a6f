"""A gated convolution that updates atoms and edges, and may carry vectors by which atoms know directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystalcli.contracts.nn.convolution import ACTIVATIONS, Activation, PairLinear
from crystalcli.contracts.nn.norms import Norm, normalization
from crystalcli.nouns.graph import CrystalGraph, sum_over_neighbors


class EdgeConvolution(nn.Module):
    """``v_i ← s(v_i + c Σ_j s(z W_sv) ⊙ σ(z W_fv))``, ``u_e ← s(u_e + s(z W_su) ⊙ σ(z W_fu))``, from the same z.

    ``z_e = v_i ⊕ v_j ⊕ u_e``: J. Yoon, Z. W. Ulissi, Phys. Rev. Lett. 125, 173001 (2020), eqs. 1 to 4. With vectors,
    ``V_i ← V_i + c Σ_j (z W_V) d̂_e`` (C of them), and z holds ``V_i·d̂_e ⊕ V_j·d̂_e``, too: invariants that tell one
    side of an atom from the other, as in K. T. Schütt et al., ICML 2021, arXiv:2102.03150.

    Args:
        node_dim: F. edge_dim: G.
        vectors: C.
        push: whether the vectors are updated; the last of several convolutions need not.
        norm: of the pre-activations: ``batch``, ``layer`` or ``none``.
        activation: s.
        scale: c, of order 1/√n̄ without norms.
    """

    def __init__(
        self,
        node_dim: int,
        edge_dim: int,
        *,
        vectors: int = 0,
        push: bool = True,
        norm: Norm = "none",
        activation: Activation = "softplus",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.sizes = [node_dim, node_dim, edge_dim, edge_dim]
        self.vectors, self.scale = vectors, scale
        self.linear = PairLinear(node_dim, edge_dim + 2 * vectors, sum(self.sizes))
        self.norm = normalization(norm, sum(self.sizes))
        self.pushes = nn.Linear(edge_dim, vectors, bias=False) if vectors and push else None
        self.activation = ACTIVATIONS[activation]()

    def forward(
        self,
        graph: CrystalGraph,
        nodes: Tensor,
        edges: Tensor,
        directions: Tensor,
        vectors: Tensor | None = None,
        envelope: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Update atoms (N, F), edges (E, G) and vectors (N, C, 3).

        Args:
            graph: the batch.
            nodes: (N, F).
            edges: (E, G).
            directions: (E, 3) unit vectors.
            vectors: (N, C, 3), none before the first convolution.
            envelope: (E,) smooth cutoff of the messages, or none.
        """
        centre, neighbor = graph.edge_index[0], graph.edge_index[1]
        own = edges
        if self.vectors:
            if vectors is None:
                vectors = nodes.new_zeros(len(nodes), self.vectors, 3)
            along = [(vectors.index_select(0, k) * directions[:, None]).sum(2) for k in (centre, neighbor)]
            own = torch.cat([edges, *along], 1)
        z = self.norm(self.linear(nodes, own, centre, neighbor))
        node, node_gate, edge, edge_gate = z.split(self.sizes, 1)
        message = self.activation(node) * torch.sigmoid(node_gate)
        passed = message if envelope is None else message * envelope[:, None]
        edge_message = self.activation(edge) * torch.sigmoid(edge_gate)
        new_nodes: Tensor = self.activation(nodes + self.scale * sum_over_neighbors(graph, passed))
        new_edges: Tensor = self.activation(edges + edge_message)
        if self.pushes is not None and vectors is not None:
            push = self.pushes(edge_message)[:, :, None] * directions[:, None]
            push = push if envelope is None else push * envelope[:, None, None]
            summed = sum_over_neighbors(graph, push.flatten(1)).view(-1, self.vectors, 3)
            vectors = vectors + self.scale * summed
        return new_nodes, new_edges, vectors
