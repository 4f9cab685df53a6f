"""Naive twins: error measures as one writes them on paper, a number at a time."""

import math
from typing import Any


def errors(predicted: list[float], true: list[float]) -> dict[str, float | None]:
    n = len(true)
    differences = [p - t for p, t in zip(predicted, true, strict=True)]
    mean = math.fsum(true) / n
    total = math.fsum((t - mean) ** 2 for t in true)
    return {
        "mae": math.fsum(abs(d) for d in differences) / n,
        "rmse": math.sqrt(math.fsum(d * d for d in differences) / n),
        "bias": math.fsum(differences) / n,
        "max_error": max(abs(d) for d in differences),
        "r2": None if n < 2 or total == 0 else 1 - math.fsum(d * d for d in differences) / total,
    }


def class_errors(probabilities: list[list[float]], true: list[int]) -> dict[str, Any]:
    chosen = [max(range(len(row)), key=lambda c: (row[c], -c)) for row in probabilities]
    scores = []
    for c in sorted(set(true) | set(chosen)):
        hits = sum(1 for a, b in zip(chosen, true, strict=True) if a == b == c)
        precision = hits / chosen.count(c) if chosen.count(c) else 0.0
        recall = hits / true.count(c) if true.count(c) else 0.0
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    return {
        "accuracy": sum(a == b for a, b in zip(chosen, true, strict=True)) / len(true),
        "log_loss": -math.fsum(math.log(row[t]) for row, t in zip(probabilities, true, strict=True)) / len(true),
        "f1": sum(scores) / len(scores),
        "roc_auc": _area(probabilities, true),
        "confusion": [
            [sum(t == a and p == b for t, p in zip(true, chosen, strict=True)) for b in range(len(probabilities[0]))]
            for a in range(len(probabilities[0]))
        ],
    }


def _area(probabilities: list[list[float]], true: list[int]) -> float | None:
    areas = []
    for c in sorted(set(true)):
        mine = [row[c] for row, t in zip(probabilities, true, strict=True) if t == c]
        others = [row[c] for row, t in zip(probabilities, true, strict=True) if t != c]
        if not others:
            return None
        areas.append(sum((a > b) + 0.5 * (a == b) for a in mine for b in others) / (len(mine) * len(others)))
    return sum(areas) / len(areas)
