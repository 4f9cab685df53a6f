"""Where a training stands: the order of an epoch, what a checkpoint keeps beside the weights, a validation in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.records import Statistics
from crystalcli.engine.evaluate import metrics
from crystalcli.train.optimizers import Plateau
from crystalcli.vocabulary.display import steady
from crystalcli.vocabulary.quantities import Quantity

RUNS = 64
"""Runs of neighbors in the file that are mixed at a time."""

Errors = Mapping[str, metrics.Errors | metrics.ClassErrors]
"""By target."""


def epoch_order(train: NDArray[np.int64], rng: np.random.Generator, window: int = 0) -> NDArray[np.int64]:
    """All of ``train``, shuffled.

    With a window the file is cut into short runs of neighbors, the runs are shuffled, and structures are shuffled among
    each 64 consecutive runs, which hold ``window`` structures together: at any time only that much of a cache is in
    use, and it is read run by run. That is for caches larger than memory; where they fit, everything is shuffled.

    Args:
        train: (n,) positions in the data set.
        rng: decides the order.
        window: structures mixed at a time; 0: all.
    """
    if not window or window >= len(train):
        return rng.permutation(train)
    length = max(1, window // RUNS)
    runs = np.array_split(np.sort(train), -(-len(train) // length))
    order = rng.permutation(len(runs))
    mixed = [
        rng.permutation(np.concatenate([runs[k] for k in order[i : i + RUNS]])) for i in range(0, len(order), RUNS)
    ]
    return np.concatenate(mixed)


@dataclass
class Progress:
    """Where a run stands; plain numbers, kept in every checkpoint.

    Args:
        epoch: epochs that are complete. batch: batches done in the one after. step: optimiser steps in all.
        loss_sum, loss_n: sum of batch loss × structures, structures, of the epoch under way.
        best, best_epoch: best validation score and its epoch (counted from 1). waited: epochs since.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_n: int = 0
    best: float = float("inf")
    best_epoch: int = 0
    waited: int = 0
    plateau: Plateau = field(default_factory=Plateau)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary; scores that are still infinite become null."""
        data = asdict(self)
        for table in (data, data["plateau"]):
            table["best"] = table["best"] if np.isfinite(table["best"]) else None
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Progress:
        """Inverse of :meth:`to_json`."""
        never = float("inf")
        top, plateau = ({**t, "best": never if t["best"] is None else t["best"]} for t in (data, data["plateau"]))
        return cls(**{**top, "plateau": Plateau(**plateau)})


def validation_score(errors: Errors, statistics: Statistics) -> float:
    """Mean over targets of MAE in training standard deviations, or of the log loss of classes."""
    scale = statistics.target_scale
    return float(
        np.mean(
            [
                e.mae / (e.factor * scale.get(t, 1.0)) if isinstance(e, metrics.Errors) else e.log_loss
                for t, e in errors.items()
            ]
        )
    )


def errors_line(errors: Errors, targets: Sequence[Quantity]) -> str:
    """MAE or accuracy of every target."""
    unit = {q.name: q.per_atom() for q in targets}
    return "  ".join(
        f"val {'' if len(errors) == 1 else t + ' '}"
        + (
            f"{e.word} {steady(e.mae, replace(unit[t], unit=e.unit or unit[t].unit))}"
            if isinstance(e, metrics.Errors)
            else f"accuracy {e.accuracy:.4f}"
        )
        for t, e in errors.items()
    )


def epoch_line(row: Mapping[str, Any], errors: Errors, targets: Sequence[Quantity], epochs: int, *, best: bool) -> str:
    """What became of an epoch, of which ``row`` holds the numbers."""
    parts = [errors_line(errors, targets)] if errors else []
    numbers = [f"train loss {row['train_loss']:.4g}", *parts, f"lr {row['lr']:.2g}", f"{row['seconds']:.1f} s"]
    return f"epoch {row['epoch']}/{epochs}  {'  '.join(numbers)}" + ("  best" if best else "")
