"""What fixes a screening, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from crystalcli.contracts.workflow import Request
from crystalcli.vocabulary.pictures import DEFAULT
from crystalcli.workflows.train.train_options import TrainOptions


@dataclass(frozen=True)
class ScreeningPlan:
    """Everything that fixes one step of a screening.

    Args:
        output: run folder.
        candidates: structure files or graph caches. With a model all their structures are candidates (a label is then
            only compared with); without, they are one cache whose labelled part trains and whose rest is screened.
        model: trained model, ensemble or run folder; empty trains an ensemble.
        references: files or caches with phases whose formation energies are known.
        reference_label: what the references call it; default the model's target.
        target: label to learn; empty takes the only one there is.
        threshold: as typed, see :class:`crystalcli.vocabulary.thresholds.Threshold`.
        robust: quantile of σ_e above which a candidate does not shape the hull.
        ensemble: members to train.
        training: how; none with a model.
        batch_size: structures predicted together.
        latest: let the link ``latest`` lead to the run folder.
        pictures: their formats, see :mod:`crystalcli.vocabulary.pictures`.
        config: table for the folder's config.toml.
    """

    output: str
    candidates: tuple[str, ...] = ("graphs.h5",)
    model: str = ""
    references: tuple[str, ...] = ()
    reference_label: str = ""
    target: str = ""
    threshold: str = "2sigma"
    robust: float = 1.0
    ensemble: int = 5
    training: Request | None = None
    batch_size: int = 64
    device: str = "auto"
    threads: int = 0
    latest: bool = False
    pictures: str = DEFAULT
    overwrite: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        training = None if self.training is None else self.training.to_json()
        return {**asdict(replace(self, training=None)), "training": training}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScreeningPlan:
        """Build from the dictionary of :meth:`to_json`."""
        lists = {k: tuple(data[k]) for k in ("candidates", "references")}
        training = data["training"] and Request.from_json(TrainOptions, data["training"], Path())
        return cls(**{**data, **lists, "training": training})


FREE = frozenset({"output", "latest", "pictures", "device", "threads", "overwrite", "config"})
"""What may differ between a run and its continuation."""


def same_work(one: ScreeningPlan, other: ScreeningPlan) -> list[str]:
    """What differs between two plans, empty if one may go on with the other."""

    def work(plan: ScreeningPlan) -> dict[str, Any]:
        data = plan.to_json()
        if data["training"] is not None:
            options = {k: v for k, v in data["training"]["options"].items() if k not in FREE}
            data["training"] = {**data["training"], "options": options}
        found: dict[str, Any] = json.loads(json.dumps({k: v for k, v in data.items() if k not in FREE}))
        return found

    a, b = work(one), work(other)
    return sorted(k for k in a if a[k] != b[k])
