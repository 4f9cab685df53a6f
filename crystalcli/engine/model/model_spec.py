"""What a model is, in plain values: everything needed to build it again apart from its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from crystalcli.contracts.modules import Baseline
from crystalcli.contracts.records import Statistics
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
        statistics: of the training split; of the residual where a target has a baseline.
        baselines: baseline by target, name and options of :mod:`crystalcli.engine.baselines.baselines`.
    """

    graph: PartChoice
    embedding: PartChoice
    architecture: PartChoice
    head: PartChoice
    targets: tuple[Quantity, ...]
    statistics: Statistics
    baselines: Mapping[str, PartChoice] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelSpec:
        """Build from the dictionary of :meth:`to_json`."""
        parts = {k: PartChoice(**data[k]) for k in ("graph", "embedding", "architecture", "head")}
        lists = {k: tuple(data["statistics"].get(k, ())) for k in ("elements", "residual", "references")}
        shortest = tuple((int(a), int(b), float(d)) for a, b, d in data["statistics"].get("shortest", ()))
        statistics = Statistics(**{**data["statistics"], **lists, "shortest": shortest})
        return cls(
            **parts,
            targets=tuple(Quantity.from_json(q) for q in data["targets"]),
            statistics=statistics,
            baselines={t: PartChoice(**choice) for t, choice in data["baselines"].items()},
        )

    def with_statistics(self, statistics: Statistics) -> ModelSpec:
        """The same model with other statistics."""
        return replace(self, statistics=statistics)

    def with_baselines(self, fitted: Mapping[str, Baseline]) -> ModelSpec:
        """The same model on top of ``fitted`` baselines, one by target; give them to :class:`CrystalModel` too."""
        return replace(self, baselines={t: PartChoice(b.name, b.options()) for t, b in fitted.items()})
