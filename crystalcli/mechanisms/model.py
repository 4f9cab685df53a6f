"""A model: featurizer → architecture → head, with an optional closed-form baseline as zeroth term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from torch import nn

from crystalcli.contracts import options as opt
from crystalcli.contracts.modules import Baseline, Labels, Prediction
from crystalcli.contracts.records import Architecture, Featurizer, Head, Statistics
from crystalcli.mechanisms.plugin_manager import registry
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class PartChoice:
    """A part by name with its options as plain values."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """Everything needed to build a model again, apart from its weights; plain values only.

    Args:
        graph: featurizer with the options that fix the edges; must equal the cache's recipe.
        embedding: featurizer's name with its embed options.
        architecture, head: parts with their options.
        targets: what the model predicts.
        statistics: of the training split.
        baseline: name of the zeroth term, or ``none``.
    """

    graph: PartChoice
    embedding: PartChoice
    architecture: PartChoice
    head: PartChoice
    targets: tuple[Quantity, ...]
    statistics: Statistics
    baseline: str = "none"

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelSpec:
        """Build from the dictionary of :meth:`to_json`."""
        parts = {k: PartChoice(**data[k]) for k in ("graph", "embedding", "architecture", "head")}
        statistics = Statistics(**{**data["statistics"], "elements": tuple(data["statistics"]["elements"])})
        return cls(
            **parts,
            targets=tuple(Quantity(**q) for q in data["targets"]),
            statistics=statistics,
            baseline=data["baseline"],
        )

    def with_statistics(self, statistics: Statistics) -> ModelSpec:
        """The same model with other statistics."""
        return replace(self, statistics=statistics)


class CrystalModel(nn.Module):
    """Graph → ``{quantity: Prediction}``.

    Raises:
        UsageError: a part that is not installed, or parts that do not fit together.
    """

    def __init__(self, spec: ModelSpec, baseline: Baseline | None = None) -> None:
        super().__init__()
        self.spec = spec
        reg = registry()
        featurizer = cast(Featurizer, reg.get("featurizer", spec.graph.name))
        architecture = cast(Architecture, reg.get("architecture", spec.architecture.name))
        head = cast(Head, reg.get("head", spec.head.name))
        graph_options = opt.make(featurizer.options, spec.graph.options, owner=f"featurizer {featurizer.name}")
        embed_options = opt.make(
            featurizer.embed_options, spec.embedding.options, owner=f"featurizer {featurizer.name}"
        )
        self.features = featurizer.embed(embed_options, graph_options, spec.statistics)
        self.architecture = architecture.build(
            opt.make(architecture.options, spec.architecture.options, owner=f"architecture {architecture.name}"),
            self.features.node_dim,
            self.features.edge_dim,
            spec.statistics,
        )
        self.head = head.build(
            opt.make(head.options, spec.head.options, owner=f"head {head.name}"),
            self.architecture.embedding_dim,
            spec.targets,
            spec.statistics,
        )
        self.baseline = baseline

    def forward(self, graph: CrystalGraph) -> dict[str, Prediction]:
        """Predict every target of the model."""
        embedding = self.architecture(graph, self.features(graph))
        predictions = self.head(graph, embedding)
        if self.baseline is None:
            return predictions
        zeroth = self.baseline(graph)
        (name,) = predictions
        return {name: replace(predictions[name], value=predictions[name].value + zeroth)}

    def loss(self, graph: CrystalGraph, labels: Mapping[str, Labels], kind: str) -> Any:
        """Predictions of a batch and their loss."""
        predictions = self(graph)
        return predictions, self.head.loss(predictions, labels, graph, kind)
