"""Tensors between parts, and the modules that parts build. This one imports torch: records must not import it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from crystalcli.contracts.irreps import SCALAR, EmbeddingShape, Irreps
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class DistinctRows:
    """Edge features without repetition: ``edges[e] == rows[index[e]]``. Symmetry copies of a distance share a row.

    Args:
        rows: (D, K), structure by structure.
        index: (E,) int64.
        counts: (S,) int64, rows of each structure.
    """

    rows: Tensor
    index: Tensor
    counts: Tensor


@dataclass(frozen=True)
class Distances:
    """Lengths of the edges of a graph that holds all of them within a cutoff.

    Args:
        lengths: (E,), Å; part of the computation that derives forces. cutoff: Å.
        vectors: (E, 3), Å, from centre to neighbor; part of it, too.
    """

    lengths: Tensor
    cutoff: float
    vectors: Tensor


class Features:
    """Features of a graph.

    Args:
        nodes: (N, D).
        edges: (E, K), a function that makes them when they are asked for, or none.
        envelope: (E,) smooth cutoff f_c(r) in 0 … 1 that every message must be multiplied with, or none. An
            architecture that honours it gives outputs that do not jump when an edge comes or goes.
        distinct: the edges without repetition, where the featurizer knows; ``edges`` is written out when asked for.
        kinds: (N,) int64, where the featurizer knows: atoms with one number have the same row in ``nodes``.
        distances: of all edges within a cutoff, where the featurizer has them.

    Attributes:
        plans: what architectures worked out from graph and features alone, by a name of their own; members of an
            ensemble share it.
    """

    def __init__(
        self,
        nodes: Tensor,
        edges: Tensor | Callable[[], Tensor] | None = None,
        envelope: Tensor | None = None,
        distinct: DistinctRows | None = None,
        kinds: Tensor | None = None,
        distances: Distances | None = None,
    ) -> None:
        self.nodes, self.envelope, self.distinct, self.kinds = nodes, envelope, distinct, kinds
        self.distances = distances
        self.plans: dict[str, Any] = {}
        self._edges = edges

    @property
    def edges(self) -> Tensor | None:
        """Edge features (E, K), or none."""
        if self._edges is None and self.distinct is not None:
            self._edges = self.distinct.rows.index_select(0, self.distinct.index)
        if callable(self._edges):
            self._edges = self._edges()
        return self._edges


@dataclass(frozen=True)
class Embedding:
    """What an architecture makes of a graph.

    Args:
        nodes: (N, F).
        edges: (E, G) scalars in the order of the graph's edges, or none.
        irreps: of the F numbers of a site, see :mod:`crystalcli.contracts.irreps`; none: all are scalars.
        again: embeds the same graph with its atoms elsewhere (edges and shifts stay), if the head's record asks for it.
    """

    nodes: Tensor
    edges: Tensor | None = None
    irreps: Irreps | None = None
    again: Callable[[CrystalGraph], Embedding] | None = None

    @property
    def scalars(self) -> Tensor:
        """The numbers of a site that no rotation and no mirror changes, (N, F₀)."""
        return self.only({SCALAR}).nodes

    def only(self, kinds: Collection[str]) -> Embedding:
        """What is left when all other kinds of irreps are left out."""
        if self.irreps is None or self.irreps.kinds <= frozenset(kinds):
            return self
        kept = torch.tensor(self.irreps.columns(kinds), device=self.nodes.device)
        return replace(self, nodes=self.nodes.index_select(1, kept), irreps=self.irreps.only(kinds))


@dataclass(frozen=True)
class Prediction:
    """Predicted values of one quantity.

    Args:
        value: (S, …) or (N, …) float64 in the quantity's unit and shape; for classes (S, C) probabilities.
        quantity: name, unit and level.
        sigma: standard deviation in the same unit, or none.
        logits: (S, C) unnormalised log-probabilities of a classification, else none.
        aleatoric, epistemic: what sigma is made of (noise of the data, spread of an ensemble), or none.
        half_widths: of intervals around the value by the chance that they hold the truth (``"0.9"``), where the model
            was calibrated so.
    """

    value: Tensor
    quantity: Quantity
    sigma: Tensor | None = None
    logits: Tensor | None = None
    aleatoric: Tensor | None = None
    epistemic: Tensor | None = None
    half_widths: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """Labels of one quantity for a batch: values (S, …) or (N, …) float64; mask (S,) or (N,), True where known."""

    value: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> Labels:
        """The same on ``device``."""
        return Labels(self.value.to(device), self.mask.to(device))


class FeaturesModule(Protocol):
    """Turns a graph into features; a ``torch.nn.Module`` that knows its widths."""

    node_dim: int
    edge_dim: int

    def __call__(self, graph: CrystalGraph) -> Features:
        """Features of a batch."""
        ...


class ArchitectureModule(Protocol):
    """Turns graph and features into an embedding of known width.

    Attributes:
        embedding_dim: F of the embedding's nodes (N, F).

    It may have an attribute ``edge_dim: int``, G of the embedding's edges (E, G); without it, or with 0, it gives none.
    It may have an attribute ``irreps: str`` (``"32x0e+16x1o"``) where not all F numbers are scalars; its embeddings
    carry the same. Some of them must be scalars. :func:`shape_of` reads these.

    It may have a method ``penalty() -> Tensor``, a scalar of its weights that training adds to the loss.
    """

    embedding_dim: int

    def __call__(self, graph: CrystalGraph, features: Features) -> Embedding:
        """Embed the atoms of a batch."""
        ...


def shape_of(architecture: ArchitectureModule) -> EmbeddingShape:
    """What embeddings of ``architecture`` look like.

    Raises:
        UsageError: irreps that are none, not as many numbers as it says, or without a scalar.
    """
    width, said = architecture.embedding_dim, getattr(architecture, "irreps", "")
    irreps = Irreps.parse(str(said)) if said else Irreps.scalars(width)
    if irreps.dim != width:
        raise UsageError(f"the architecture says irreps {irreps}, {irreps.dim} numbers, and a width of {width}")
    if SCALAR not in irreps.kinds:
        raise UsageError(f"the architecture gives no scalars (irreps {irreps}), which every model needs")
    return EmbeddingShape(irreps, int(getattr(architecture, "edge_dim", 0)))


class StackedMembers(Protocol):
    """The architectures of an ensemble's members put together, for evaluation without gradients."""

    def __call__(self, graph: CrystalGraph, features: Features) -> Sequence[Embedding] | None:
        """Embeddings of all members, equal to theirs to rounding; none where one after the other is better."""
        ...


class HeadModule(Protocol):
    """Turns an embedding into predictions, and predictions and labels into a loss.

    A head may have an attribute ``extensive: bool``: whether its structure values add up over the atoms (a total) or
    not. With it, a target of the other kind is refused before training when crystals differ in size.

    It may have a method ``errors(predictions, labels, graph) -> dict[str, Counted]`` that says how errors of its
    targets are counted (see :class:`crystalcli.contracts.counting.Counted`) by validation, reports, calibration and
    predictions beside labels: angles across 360°, vectors by their length, another unit. Targets that it leaves out
    are counted by component, positions by the distance to the nearest image. The graph may be without edges there.

    It may have a method ``only(targets) -> dict[str, Tensor]``: the state of the same head built for some of its
    targets, in their order, of which it says the same. Without it none of several targets can be shown alone.

    One whose record provides ``"surface"`` has a method ``surface(graph, embedding) -> SurfaceEnergy``: it predicts
    parameters of an energy at the given graph (springs, say), and that energy near it.

    One whose last layer follows from training structures in closed form has a method
    ``closed_form(structures) -> ClosedForm``. Training asks for it before the first epoch and before every evaluation,
    of averaged weights by themselves, and may then have no epochs at all, unless the head has ``needs_epochs = True``:
    what is solved is a constant, say. It is saved, in buffers.
    """

    def __call__(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict every target of a batch."""
        ...

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """Scalar loss of a batch in normalised units; missing labels do not count. ``kind``: l1, mse or huber."""
        ...


class ClosedForm(Protocol):
    """The last layer of a head, solved from embeddings and labels of the training structures.

    Attributes:
        walks: how many structures, evenly chosen, are shown in each walk over the training part; 0: all of them.
    """

    walks: Sequence[int]

    def take(self, walk: int, graph: CrystalGraph, embedding: Embedding, labels: Mapping[str, Labels]) -> None:
        """Look at a batch; labels are what the head is to predict, without the baselines. In the order of the data."""
        ...

    def end(self, walk: int) -> None:
        """Set what follows from a walk; after the last one the head is solved."""
        ...


SurfaceEnergy = Callable[[CrystalGraph], Tensor]
"""Graph → (S,) energies, eV, that can be differentiated twice with respect to positions and cell.

The graph is the one that the surface was made for, with the same atoms, edges and shifts; only positions (N, 3) Å,
which are never wrapped, and cell (S, 3, 3) Å are others. Nothing else may change between calls.
"""


class Baseline(nn.Module):
    """A model in closed form, the baseline of another: graph → (S,) values in the target's unit, float64.

    Weights are buffers, so that they are saved with the model; they have no gradient.
    """

    name: str = "baseline"

    def options(self) -> dict[str, Any]:
        """Plain values from which an empty baseline of the same shape can be built."""
        return {}

    def forward(self, graph: CrystalGraph) -> Tensor:
        """Return (S,) float64 values."""
        raise NotImplementedError
