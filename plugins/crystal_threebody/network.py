"""Architecture ``threebody``: embeddings, convolutions, and one computation for atoms that symmetry makes equal."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from crystal_threebody.options import ThreeBodyOptions
from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.convolution import PairLinear
from crystalcli.contracts.nn.harmonics import spherical_harmonics
from crystalcli.contracts.nn.norms import normalization
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, DistinctAtoms, distinct_atoms, edge_vectors, with_edges

N_ELEMENTS = 119
SHORTEST = 1e-6
"""Å; a shorter edge has no direction."""


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


class ThreeBodyNetwork(nn.Module):
    """Graph and features → embeddings of atoms.

    Atoms start as a linear map of the featurizer's numbers plus a learned row of their element, which begins at zero:
    an element that training has not seen is what the featurizer says of it. Where graphs have the field ``orbit`` only
    one atom of each orbit is computed, with its edges, and stands for the others: all here are invariants.
    """

    element_tables: ClassVar = {"rows.weight": ElementTable(0, by_number=True)}

    def __init__(self, options: ThreeBodyOptions, node_dim: int, edge_dim: int, statistics: Statistics) -> None:
        super().__init__()
        f, g = options.width, options.edge_width
        self.embedding_dim = f
        self.l_max = options.l_max if options.angle_channels else 0
        self.nodes = nn.Linear(node_dim, f)
        self.rows = nn.Embedding(N_ELEMENTS, f)
        nn.init.zeros_(self.rows.weight)
        self.edges = nn.Sequential(nn.Linear(edge_dim, g), nn.SiLU(), nn.Linear(g, g))
        scale = max(statistics.mean_neighbors, 1.0) ** -0.5
        last = options.n_conv - 1
        self.convolutions = nn.ModuleList(
            ThreeBodyConvolution(options, scale, last=k == last) for k in range(options.n_conv)
        )
        self.norm = nn.LayerNorm(f)

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, F)."""
        distinct = distinct_atoms(graph)
        rows, numbers = features.nodes, graph.atomic_numbers
        if distinct is not None:
            rows, numbers = rows.index_select(0, distinct.atoms), numbers.index_select(0, distinct.atoms)
        nodes = self.nodes(rows) + self.rows(numbers)
        edges, ends, harmonics, envelope = self._edges(graph, features, distinct)
        for convolution in self.convolutions:
            nodes, edges = convolution(nodes, edges, ends, harmonics, envelope)
        nodes = self.norm(nodes)
        return Embedding(nodes if distinct is None else nodes.index_select(0, distinct.place))

    def _edges(
        self, graph: CrystalGraph, features: Features, distinct: DistinctAtoms | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor | None, Tensor | None]:
        """First features (E, G), ends, harmonics and envelope of the edges that count."""
        envelope, same_rows = features.envelope, features.distinct
        kept = None if distinct is None else distinct.edges
        if kept is not None:
            graph = with_edges(graph, kept)
            envelope = None if envelope is None else envelope.index_select(0, kept)
        if same_rows is not None:
            index = same_rows.index if kept is None else same_rows.index.index_select(0, kept)
            edges = self.edges(same_rows.rows).index_select(0, index)
        else:
            assert features.edges is not None  # the record requires edge features
            edges = self.edges(features.edges if kept is None else features.edges.index_select(0, kept))
        harmonics = None
        if self.l_max:
            away = edge_vectors(graph)
            units = away / torch.linalg.vector_norm(away, dim=1, keepdim=True).clamp_min(SHORTEST)
            harmonics = spherical_harmonics(units, self.l_max)[:, 1:].to(edges.dtype)
        centre, neighbor = graph.edge_index
        if distinct is not None:
            centre, neighbor = distinct.place.index_select(0, centre), distinct.place.index_select(0, neighbor)
        return edges, (centre, neighbor), harmonics, envelope
