"""Architecture ``pair-moments``: splines for pairs of elements and moments of the neighbors, smooth everywhere."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crystal_pair_moments.moments import Moments
from crystal_pair_moments.options import PairMomentsOptions
from crystal_pair_moments.pair_term import PairTerm
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.splines import spline_basis
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import UsageError


class PairMoments(nn.Module):
    """Embedding ``v_i ⊕ s_i ⊕ q_i`` of every atom: what element it is, sums over pairs, and moments, which see angles.

    ``v = W_Z z + W_s s + W_q q`` with z the element features; s are the channels of :class:`PairTerm`, q those of
    :class:`Moments`. s and q stand beside v once more, so that a head that is linear in them has an additive potential
    of pairs and angles. There are no messages: an atom knows its neighbors, and of theirs nothing.
    Needs distances within a smooth cutoff of the featurizer; its expanded distances are not used.

    Args:
        node_dim: of the element features.
        options: of the architecture.
        statistics: elements and mean number of neighbors of the training split.
    """

    def __init__(self, node_dim: int, options: PairMomentsOptions, statistics: Statistics) -> None:
        super().__init__()
        self.embedding_dim = options.width + options.pair_channels
        self.intervals, self.smoothing = options.moment_intervals, options.smoothing
        self.embed = nn.Linear(node_dim, options.width)
        self.pairs = PairTerm(
            statistics.elements or tuple(range(1, 119)), options.pair_channels, options.pair_intervals
        )
        self.join = nn.Linear(options.pair_channels, options.width, bias=False)
        self.moments = self.bend = None
        if options.moment_channels:
            scale = max(statistics.mean_neighbors, 1.0) ** -0.5
            self.moments = Moments(options.width, options.moment_channels, options.moment_intervals + 3, scale)
            self.bend = nn.Linear(self.moments.dim, options.width, bias=False)
            self.embedding_dim += self.moments.dim

    def penalty(self) -> Tensor:
        """What the loss counts against splines that wiggle where there are no data."""
        return self.smoothing * self.pairs.roughness()

    def forward(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed every atom, (N, F + P + 3C).

        Raises:
            UsageError: a featurizer that gives no distances.
        """
        distances, envelope = features.distances, features.envelope
        if distances is None or envelope is None:
            raise UsageError(
                "architecture 'pair-moments' needs distances within a smooth cutoff; use --featurizer radius"
            )
        channels = self.pairs(graph, distances, envelope)
        nodes = self.embed(features.nodes) + self.join(channels)
        said = [channels]
        if self.moments is not None and self.bend is not None:
            basis = spline_basis(distances.lengths / distances.cutoff, self.intervals)
            said.append(self.moments(graph, distances.vectors, nodes, basis, envelope))
            nodes = nodes + self.bend(said[-1])
        return Embedding(torch.cat([nodes, *said], 1))
