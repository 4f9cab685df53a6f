"""One table over the folds: what is compared, the baselines, what others published; mean, spread, all rows together.

A row has the errors of every fold, or why there are none. The mean over folds and its sample standard deviation (over
n − 1) are of whole rows only: a mean over the folds that went well would flatter. ``all`` are the errors of the
structures of all folds as one set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crystalcli.benchmark.folds import Fold
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.evaluate import metrics
from crystalcli.train.series import spread
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

Errors = Mapping[str, Any]
MODEL, BASELINE, PUBLISHED = "model", "baseline", "published"
SKIPPED = "skipped"
"""In place of errors: why there are none."""
MEANS = ("mae", "accuracy", "log_loss", "bias")
"""Errors that are means over labels: that of all rows is their mean, weighted by the number of labels."""


@dataclass(frozen=True)
class Row:
    """Of one target.

    Args:
        label: what it is. kind: a model, a baseline, or published predictions.
        folds: errors in every fold.
    """

    label: str
    kind: str
    folds: Sequence[Errors]

    def to_json(self) -> dict[str, Any]:
        """With mean, spread and what all folds together have."""
        whole = all(SKIPPED not in one for one in self.folds)
        return {
            "kind": self.kind,
            "folds": [dict(one) for one in self.folds],
            "mean": spread(self.folds) if whole else None,
            "all": together(self.folds) if whole else None,
        }


def together(folds: Sequence[Errors]) -> dict[str, Any]:
    """Errors of all folds as one set: exact for MAE, RMSE, accuracy, log loss, bias and the largest error."""
    n = [one["n"] for one in folds]
    found: dict[str, Any] = {"n": sum(n)}
    for key in MEANS:
        if all(key in one for one in folds):
            found[key] = math.fsum(k * one[key] for k, one in zip(n, folds, strict=True)) / sum(n)
    if all("rmse" in one for one in folds):
        found["rmse"] = math.sqrt(math.fsum(k * one["rmse"] ** 2 for k, one in zip(n, folds, strict=True)) / sum(n))
    if all("max_error" in one for one in folds):
        found["max_error"] = max(one["max_error"] for one in folds)
    return found


def rows(target: str, reports: Mapping[str, Sequence[Mapping[str, Any]]], others: Sequence[Row]) -> list[Row]:
    """All rows of a target.

    Args:
        target: its name.
        reports: of the training of every fold, by what was trained.
        others: published predictions.
    """
    models = [Row(label, MODEL, [_of_model(target, r) for r in of]) for label, of in reports.items()]
    return [*models, *_baselines(target, reports), *others]


def _of_model(target: str, report: Mapping[str, Any]) -> Errors:
    if SKIPPED in report:
        return report
    of: Mapping[str, Any] = report["ensemble"] if "ensemble" in report else report["test"]
    errors: Errors | None = of[target]["model"]
    return {SKIPPED: f"the fold has no label '{target}'"} if errors is None else errors


def _baselines(target: str, reports: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Row]:
    """Those of the first training that is whole; the structures are the same for all."""
    for of in reports.values():
        if all(SKIPPED not in r for r in of):
            found = [r["test"][target]["baselines"] for r in of]
            none = {SKIPPED: f"the fold has no label '{target}'"}
            names = sorted({n for one in found for n in one}, key=lambda n: (n != "mean", n))
            return [Row(n, BASELINE, [one.get(n, none) for one in found]) for n in names]
    return []


def published(data: GraphDataset, name: str, target: Quantity, folds: Sequence[Fold]) -> Row:
    """Predictions in the label ``name``, scored on the test part of every fold; a total per atom, as a model's.

    Raises:
        UsageError: no such label, or one that cannot be a prediction of the target.
    """
    if name not in data.columns:
        raise UsageError(
            f"the caches have no label '{name}' with published predictions; they have {', '.join(data.columns)}"
        )
    theirs, ours = data.columns[name], data.columns[target.name]
    if name == target.name:
        raise UsageError(f"--published {name} is the target itself")
    q = theirs.quantity
    if target.level != "structure" or target.shape or target.classes or q.level != "structure" or q.shape:
        raise UsageError("--published is for one number per structure only")
    if q.unit and q.unit != ours.quantity.unit:
        raise UsageError(
            f"--published {name} is in {q.unit}, '{target.name}' in {ours.quantity.unit or 'no known unit'}"
        )
    found: list[Errors] = []
    for fold in folds:
        known = fold.split.test[theirs.mask[fold.split.test] & ours.mask[fold.split.test]]
        if len(known) < len(fold.split.test):
            n = len(fold.split.test) - len(known)
            found.append({SKIPPED: f"{n} of {len(fold.split.test)} structures of fold {fold.name} have no '{name}'"})
            continue
        sizes = data.atom_counts()[known] if ours.quantity.extensive else np.ones(len(known))
        found.append(metrics.regression(theirs.values[known] / sizes, ours.values[known] / sizes).to_json())
    return Row(name, PUBLISHED, found)
