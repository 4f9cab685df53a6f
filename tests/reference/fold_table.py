"""Naive twin of a benchmark's table: plain Python over the tables of predictions, one row after the other."""

from __future__ import annotations

import csv
import math
from pathlib import Path


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def errors(rows: list[dict[str, str]], true: str, predicted: str) -> list[float]:
    """Predicted minus true of every row that has both."""
    return [float(r[predicted]) - float(r[true]) for r in rows if r[true] and r[predicted]]


def mae(found: list[float]) -> float:
    """Mean absolute error."""
    total = 0.0
    for e in found:
        total += abs(e)
    return total / len(found)


def rmse(found: list[float]) -> float:
    """Root of the mean squared error."""
    total = 0.0
    for e in found:
        total += e * e
    return math.sqrt(total / len(found))


def mean_and_deviation(numbers: list[float]) -> tuple[float, float]:
    """Mean and sample standard deviation, over n − 1."""
    mean = sum(numbers) / len(numbers)
    squares = 0.0
    for v in numbers:
        squares += (v - mean) ** 2
    return mean, math.sqrt(squares / (len(numbers) - 1))


def table(
    path: Path, true: str, predicted: str, fold: str = "fold"
) -> tuple[dict[str, float], tuple[float, float], float, float]:
    """MAE of every fold, their mean and deviation, and MAE and RMSE of all rows as one set."""
    rows = read(path)
    folds: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        folds.setdefault(row[fold], []).append(row)
    each = {name: mae(errors(mine, true, predicted)) for name, mine in folds.items()}
    every = errors(rows, true, predicted)
    return each, mean_and_deviation(list(each.values())), mae(every), rmse(every)
