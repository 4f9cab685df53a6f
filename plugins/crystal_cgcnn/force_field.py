"""Architecture ``lcgcn-ff``: gated convolutions on a radius graph, smooth everywhere, for training on forces."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystal_cgcnn.options import LcgcnFfOptions
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.edge_plan import EdgePlan, plan_of_edges
from crystalcli.contracts.nn.gate_sum import gate_sum
from crystalcli.contracts.nn.splines import spline_basis
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, sum_over_neighbors
from crystalcli.vocabulary.errors import UsageError


class GatedMessage(nn.Module):
    """``v_i + n̄^(−1/2) Σ_e f_c σ(p_e) ⊙ softplus(q_e)``, ``[p, q]_e = W₁v_i + W₂v_j + c(r_e) + b``; c are splines.

    S. Sanyal et al., convolution with g = softplus, times the envelope f_c. No norm, no outer activation.
    Deviation: cubic splines of the distance in place of Gaussians and W₃: finer, and with the slope that forces need.
    """

    def __init__(self, width: int, intervals: int, scale: float) -> None:
        super().__init__()
        self.width, self.scale = width, scale
        self.ends = nn.Linear(width, 4 * width)
        self.radial = nn.Parameter(0.6 * torch.randn(intervals + 3, 2 * width))

    def forward(
        self, graph: CrystalGraph, nodes: Tensor, basis: Tensor, envelope: Tensor, plan: EdgePlan | None
    ) -> Tensor:
        """Update (N, F) nodes; basis (E, K). With a plan of the edges the same sums are taken in blocks."""
        ends, radial = self.ends(nodes), basis @ self.radial
        if plan is None:
            return nodes + self.scale * self._summed(graph, ends, radial, envelope)
        return nodes + self.scale * gate_sum(ends, radial, plan, envelope)

    def _summed(self, graph: CrystalGraph, ends: Tensor, radial: Tensor, envelope: Tensor) -> Tensor:
        """Summed messages of every atom, (N, F); the core comes negated, which its weights learn."""
        (centre, neighbor), f = graph.edge_index, self.width
        of_centre, of_neighbor = (
            ends.view(-1, 2, 2, f).index_select(0, centre),
            ends.view(-1, 2, 2, f).index_select(0, neighbor),
        )
        p, r = (of_centre[:, :, 0] + of_neighbor[:, :, 1] + radial.view(-1, 2, f)).unbind(1)
        messages = torch.sigmoid(p) * nn.functional.softplus(-r) * envelope.unsqueeze(1)
        return sum_over_neighbors(graph, messages)


class ForceField(nn.Module):
    """Embedding of the atoms by T gated convolutions over all neighbors within a smooth cutoff.

    Needs distances within a smooth cutoff of the featurizer; its expanded distances are not used.

    Args:
        node_dim: of the element features.
        options: of the architecture.
        statistics: mean number of neighbors n̄ of the training split.
    """

    def __init__(self, node_dim: int, options: LcgcnFfOptions, statistics: Statistics) -> None:
        super().__init__()
        self.embedding_dim, self.intervals = options.width, options.intervals
        self.embed = nn.Linear(node_dim, options.width)
        scale = max(statistics.mean_neighbors, 1.0) ** -0.5
        self.messages = nn.ModuleList(
            GatedMessage(options.width, options.intervals, scale) for _ in range(options.n_conv)
        )

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, F).

        Raises:
            UsageError: a featurizer that gives no distances.
        """
        distances, envelope = features.distances, features.envelope
        if distances is None or envelope is None:
            raise UsageError("architecture 'lcgcn-ff' needs distances within a smooth cutoff; use --featurizer radius")
        basis = spline_basis(distances.lengths / distances.cutoff, self.intervals)
        plan = plan_of_edges(graph)
        nodes = self.embed(features.nodes)
        for message in self.messages:
            nodes = message(graph, nodes, basis, envelope, plan)
        return Embedding(nodes)
