"""How far predictions are from the truth: one frozen record per kind of target, float64 throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import UsageError


@dataclass(frozen=True)
class Errors:
    """Errors of predicted numbers, in the unit of the target.

    Args:
        n: number of labels that count.
        mae: mean absolute error.
        rmse: root of the mean squared error.
        r2: 1 − Σ(error²)/Σ((truth − mean truth)²); None where the truth is constant or there is one label only.
        bias: mean of predicted minus true; of distances, the length of the mean difference.
        max_error: largest absolute error.
        components: of a vector whose length is the error; 1 where every component is an error of its own.
        factor, unit: what the target's unit was multiplied with, and what came out, where that is another unit.
    """

    n: int
    mae: float
    rmse: float
    r2: float | None
    bias: float
    max_error: float
    components: int = 1
    factor: float = 1.0
    unit: str = ""

    @property
    def word(self) -> str:
        """What the mean error is called."""
        return "mean distance" if self.components > 1 else "MAE"

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary; without what is as it always is."""
        usual = {"components": 1, "factor": 1.0, "unit": ""}
        return {k: v for k, v in asdict(self).items() if k not in usual or v != usual[k]}


@dataclass(frozen=True)
class ClassErrors:
    """Errors of predicted class probabilities.

    Args:
        n: number of labels that count.
        accuracy: share of right answers.
        log_loss: mean negative log-likelihood.
        f1: mean over the classes that occur.
        roc_auc: chance that a structure of a class gets a higher probability of it than one of another class; mean
            over the classes that occur (both give the same for two classes); None where only one occurs.
        confusion: numbers of structures, one row for each true class, one column for each predicted class.
    """

    n: int
    accuracy: float
    log_loss: float
    f1: float
    roc_auc: float | None
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return {**asdict(self), "confusion": [list(row) for row in self.confusion]}


def from_json(row: Mapping[str, Any]) -> Errors | ClassErrors:
    """Inverse of ``to_json``; what else the row holds is left."""
    kind = Errors if "mae" in row else ClassErrors
    return kind(**{f.name: row[f.name] for f in fields(kind) if f.name in row})


def regression(predicted: NDArray[np.float64], true: NDArray[np.float64]) -> Errors:
    """Compare (n,) predicted with (n,) true numbers.

    Raises:
        UsageError: nothing to compare.
    """
    if len(true) == 0:
        raise UsageError("no labels to compare with")
    error = np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
    spread = float(np.sum((true - np.mean(true)) ** 2))
    return Errors(
        n=len(error),
        mae=float(np.mean(np.abs(error))),
        rmse=float(np.sqrt(np.mean(error**2))),
        r2=None if len(error) < 2 or spread == 0.0 else 1.0 - float(np.sum(error**2)) / spread,
        bias=float(np.mean(error)),
        max_error=float(np.max(np.abs(error))),
    )


def counted(difference: NDArray[np.float64], *, by_norm: bool, factor: float = 1.0, unit: str = "") -> Errors:
    """Errors of (n, …) differences as :class:`crystalcli.contracts.counting.Counted` says; without R².

    Raises:
        UsageError: nothing to compare.
    """
    if len(difference) == 0:
        raise UsageError("no labels to compare with")
    rows = factor * difference.reshape(len(difference), -1)
    sizes = np.linalg.norm(rows, axis=1) if by_norm else np.abs(rows.ravel())
    return Errors(
        n=len(sizes),
        mae=float(sizes.mean()),
        rmse=float(np.sqrt(np.mean(sizes**2))),
        r2=None,
        bias=float(np.linalg.norm(rows.mean(0)) if by_norm else rows.mean()),
        max_error=float(sizes.max()),
        components=rows.shape[1] if by_norm else 1,
        factor=factor,
        unit=unit,
    )


def classification(probabilities: NDArray[np.float64], true: NDArray[np.float64]) -> ClassErrors:
    """Compare (n, C) probabilities with (n,) class numbers.

    Raises:
        UsageError: nothing to compare.
    """
    if len(true) == 0:
        raise UsageError("no labels to compare with")
    classes = true.astype(np.int64)
    chosen = probabilities.argmax(axis=1)
    right = probabilities[np.arange(len(classes)), classes]
    table = np.zeros((probabilities.shape[1],) * 2)
    np.add.at(table, (classes, chosen), 1)
    hits, wanted, given = np.diag(table), table.sum(1), table.sum(0)
    occurring = (wanted + given) > 0
    f1 = 2 * hits[occurring] / (wanted + given)[occurring]
    return ClassErrors(
        n=len(classes),
        accuracy=float(np.mean(chosen == classes)),
        log_loss=float(-np.mean(np.log(np.maximum(right, 1e-300)))),
        f1=float(np.mean(f1)),
        roc_auc=_roc_auc(probabilities, classes),
        confusion=tuple(tuple(int(n) for n in row) for row in table),
    )


def _roc_auc(probabilities: NDArray[np.float64], classes: NDArray[np.int64]) -> float | None:
    """One class against the rest by the rank sum of Mann and Whitney; ties count half."""
    found = []
    for k in np.unique(classes):
        mine, values = classes == k, probabilities[:, k]
        n, rest = int(mine.sum()), int((~mine).sum())
        if rest == 0:
            return None
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
        found.append((ranks[mine].sum() - n * (n + 1) / 2) / (n * rest))
    return float(np.mean(found))
