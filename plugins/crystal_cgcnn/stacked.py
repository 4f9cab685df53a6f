"""The convolutions of several members of an ensemble as one: their features side by side, one walk over the edges.

The sums over edges are the same for every column, so M members of width F are one network of width M·F whose dense
maps are block-diagonal. That saves the overhead of M walks where graphs are small; with many edges the wider planes no
longer fit the cache, and one member after the other is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from crystal_cgcnn.architecture import ConvolutionStack
from crystalcli.contracts.modules import Embedding, Features
from crystalcli.contracts.nn.convolution import GatedConvolution
from crystalcli.contracts.nn.edge_plan import EdgePlan, plan_for
from crystalcli.contracts.nn.gate_sum import gate_sum
from crystalcli.contracts.nn.norms import BatchNorm
from crystalcli.nouns.graph import CrystalGraph

MOST_EDGES = 2000
"""With more edges members are evaluated one after the other."""


@dataclass(frozen=True)
class _Layer:
    """One convolution of all members, norms of evaluation folded in.

    Args:
        nodes: (M, F, 4F) maps to the addends of filter as centre and as neighbor, then of the negated core, with their
            bias (M, 1, 4F).
        edges: (K, 2·M·F). gain, shift: of the sums, with the second norm and the scale, (M, 1, F).
        outer: whether softplus follows.
    """

    nodes: Tensor
    bias: Tensor
    edges: Tensor
    gain: Tensor
    shift: Tensor
    outer: bool

    @classmethod
    def of(cls, members: Sequence[GatedConvolution]) -> _Layer:
        f = members[0].node_dim
        found = [_folded(m) for m in members]
        weights, bias = torch.stack([w for w, _ in found]), torch.stack([b for _, b in found])
        w1, w2, w3 = weights[:, :f], weights[:, f : 2 * f], weights[:, 2 * f :]
        zero = bias.new_zeros(len(members), f)
        norms = [_affine(m.norm_nodes, f, m.linear.bias) for m in members]
        return cls(
            nodes=torch.cat([w1[..., :f], w2[..., :f], w1[..., f:], w2[..., f:]], 2),
            bias=torch.cat([bias[:, :f], zero, bias[:, f:], zero], 1).unsqueeze(1),
            edges=w3.view(len(members), -1, 2, f).permute(1, 2, 0, 3).reshape(w3.shape[1], -1),
            gain=torch.stack([g * m.scale for (g, _), m in zip(norms, members, strict=True)]).unsqueeze(1),
            shift=torch.stack([s for _, s in norms]).unsqueeze(1),
            outer=isinstance(members[0].outer, nn.Softplus),
        )

    def __call__(self, nodes: Tensor, rows: Tensor, plan: EdgePlan) -> Tensor:
        """(M, N, F) nodes from those of the atoms and those of the plan's rows, (M, R, F)."""
        m, n, f = nodes.shape
        addends = torch.baddbmm(self.bias, rows, self.nodes).view(m, -1, 4, f)
        addends = addends.permute(1, 2, 0, 3).reshape(-1, 4 * m * f)
        if plan.spread is not None:
            addends = addends.index_select(0, plan.spread)
        summed = gate_sum(addends, self.edges, plan)
        moved = torch.addcmul(nodes + self.shift, summed.view(n, m, f).transpose(0, 1), self.gain)
        return nn.functional.softplus(moved) if self.outer else moved


class StackedConvolutions:
    """Members' :class:`ConvolutionStack` together, for evaluation in float32 on the CPU without gradients.

    Args:
        members: of the same options, each with a fast path.
    """

    def __init__(self, members: Sequence[ConvolutionStack]) -> None:
        self.members = list(members)
        self.watched: list[Tensor] = []
        self.version: list[tuple[int, int]] = []

    @classmethod
    def of(cls, members: Sequence[ConvolutionStack]) -> StackedConvolutions | None:
        """None where the members have no fast path."""
        return cls(members) if all(m.fast for m in members) else None

    def __call__(self, graph: CrystalGraph, features: Features) -> list[Embedding] | None:
        """Embeddings of all members, or none where one after the other is better."""
        first = self.members[0].embed.weight
        if graph.n_edges > MOST_EDGES or first.dtype != torch.float32 or first.device.type != "cpu":
            return None
        plan = plan_for(graph, features)
        if plan is None:
            return None
        self._follow()
        nodes = self._embed(features.nodes)
        for k, layer in enumerate(self.layers):
            if k == 0 and plan.first is not None:
                nodes = layer(nodes, nodes.index_select(1, plan.first.example), plan.first.plan)
            else:
                nodes = layer(nodes, nodes, plan)
        return [Embedding(n) for n in nodes.unbind(0)]

    def _embed(self, nodes: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, nodes.expand(len(self.members), -1, -1), self.weight)

    def _follow(self) -> None:
        """Put the weights together, again if they were changed or moved since."""
        if self.watched and [(t.data_ptr(), t._version) for t in self.watched] == self.version:
            return
        self.watched = [t for m in self.members for t in chain(m.parameters(), m.buffers())]
        self.version = [(t.data_ptr(), t._version) for t in self.watched]
        embeds = [m.embed for m in self.members]
        self.weight = torch.stack([e.weight.t() for e in embeds])
        self.bias = torch.stack([e.bias for e in embeds]).unsqueeze(1)
        depths = zip(*(m.convolutions for m in self.members), strict=True)
        self.layers = [_Layer.of(cast("tuple[GatedConvolution, ...]", d)) for d in depths]


def _folded(convolution: GatedConvolution) -> tuple[Tensor, Tensor]:
    """Transposed weights and bias with the first norm folded in, the core negated."""
    f, linear = convolution.node_dim, convolution.linear
    gain, shift = _affine(convolution.norm_edges, 2 * f, linear.bias)
    sign = torch.cat([gain.new_ones(f), gain.new_full((f,), -1.0)])
    return linear.weight.t() * (gain * sign), (linear.bias * gain + shift) * sign


def _affine(norm: nn.Module, dim: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and shift of a norm in evaluation."""
    if not isinstance(norm, BatchNorm):
        return like.new_ones(dim), like.new_zeros(dim)
    mean, variance = norm.statistics()
    gain = norm.weight * torch.rsqrt(variance + norm.eps)
    return gain, norm.bias - mean * gain
