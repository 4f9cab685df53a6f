"""What a validation found, as one number and as a line for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from crystalcli.contracts.records import Statistics
from crystalcli.engine.evaluate import metrics
from crystalcli.engine.run.display import steady
from crystalcli.vocabulary.quantities import Quantity

Errors = Mapping[str, metrics.Errors | metrics.ClassErrors]
"""By target."""


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
