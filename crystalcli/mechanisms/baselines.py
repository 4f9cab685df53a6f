"""Baselines fitted in closed form: the mean, a linear term per element, ridge on pair-distance histograms.

Each stands beside every trained model in its report, and each can be the zeroth term of a model, which then learns
the residual. Fitting streams over batches and sums normal equations in float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts.modules import Baseline
from crystalcli.mechanisms.baseline_models import ElementsBaseline, LinearBaseline, MeanBaseline, PairsBaseline
from crystalcli.mechanisms.dataset import GraphDataset
from crystalcli.vocabulary.errors import InputError, UsageError, did_you_mean

Floats = NDArray[np.float64]

MODELS: dict[str, type[LinearBaseline]] = {c.name: c for c in (MeanBaseline, ElementsBaseline, PairsBaseline)}
NAMES = tuple(MODELS)
"""Names of the baselines, simplest first."""

RIDGE = {"mean": 0.0, "elements": 1e-6, "pairs": 1e-3}
"""λ of each, on standardised features: the penalty is ``λ Σ w²`` beside the sum of squared errors."""

MAX_FEATURES = 5000
BATCH_ATOMS = 20_000


def fit(name: str, dataset: GraphDataset, train_index: NDArray[np.int64], target: str) -> Baseline:
    """Fit baseline ``name`` to ``target`` on structures ``train_index``; missing labels do not count.

    Raises:
        UsageError: no such baseline, no labels, not a number per structure, or too many features (says how many).
    """
    column = dataset.columns[target]
    quantity = column.quantity
    if quantity.level != "structure" or quantity.classes:
        raise UsageError(f"baseline '{name}' fits one number per structure; '{target}' is not one")
    index = train_index[column.mask[train_index]]
    if len(index) == 0:
        raise UsageError(f"no training structure has a label '{target}'")
    model = blank(name, _shape(name, dataset, index) | {"extensive": quantity.extensive})
    values = column.values[index]
    if quantity.extensive:
        values = values / dataset.atom_counts()[index]
    weight, intercept = ridge(_features(model, dataset, index), values, RIDGE[name])
    model.weight.copy_(torch.as_tensor(weight))
    model.intercept.fill_(intercept)
    return model


def blank(name: str, options: Mapping[str, Any]) -> LinearBaseline:
    """Empty baseline of the shape that ``options`` describe, to be loaded or fitted.

    Raises:
        UsageError: there is no such baseline. InputError: options of another shape.
    """
    if name not in MODELS:
        raise UsageError(f"no baseline '{name}'; {did_you_mean(name, NAMES)}")
    try:
        return MODELS[name](**options)
    except (TypeError, ValueError, IndexError) as problem:
        raise InputError(f"bad options of baseline '{name}': {problem}") from problem


def evaluate(baseline: Baseline, dataset: GraphDataset, index: NDArray[np.int64]) -> Floats:
    """Values of ``baseline`` for structures ``index``, (len(index),) float64 in the target's unit."""
    with torch.no_grad():
        pieces = [baseline(dataset.batch(part, (), torch.float64).graph).numpy() for part in _parts(dataset, index)]
    return np.concatenate(pieces) if pieces else np.zeros(0)


def ridge(batches: Iterator[Floats], values: Floats, penalty: float) -> tuple[Floats, float]:
    """Solve ``min Σ (y − b − w·x)² + λ Σ (s·w)²``, s the standard deviations of the features.

    Args:
        batches: (B, D) features, batch by batch, in the order of ``values``.
        values: (n,) labels.
        penalty: λ.

    Returns:
        w (D,) and b.
    """
    origin: Floats | None = None
    done = 0
    for x in batches:
        if origin is None:  # sums are taken about a typical point: the features vary little about a large mean
            origin, y0 = x.mean(axis=0), float(values.mean())
            sum_x, sum_xx, sum_xy = np.zeros(x.shape[1]), np.zeros((x.shape[1],) * 2), np.zeros(x.shape[1])
        shifted, y = x - origin, values[done : done + len(x)] - y0
        sum_x, sum_xx, sum_xy = sum_x + shifted.sum(axis=0), sum_xx + shifted.T @ shifted, sum_xy + shifted.T @ y
        done += len(x)
    assert origin is not None
    mean = sum_x / done
    covariance = sum_xx - done * np.outer(mean, mean)
    spread = np.sqrt(np.clip(np.diag(covariance) / done, 0.0, None))
    varies = spread > 1e-12 * (1.0 + np.abs(origin))
    weight = np.zeros_like(mean)
    if varies.any():
        s = spread[varies]
        gram = covariance[np.ix_(varies, varies)] / np.outer(s, s)
        weight[varies] = np.linalg.solve(gram + penalty * np.eye(len(s)), sum_xy[varies] / s) / s
    return weight, y0 - float(weight @ (mean + origin))


def _shape(name: str, dataset: GraphDataset, index: NDArray[np.int64]) -> dict[str, Any]:
    if name != "pairs":
        return {}
    seen = np.unique(np.concatenate([np.unique(_numbers(dataset, part)) for part in _parts(dataset, index)]))
    pairs = [[int(a), int(b)] for a, b in combinations_with_replacement(seen, 2)]
    bins = PairsBaseline([]).bins
    if len(pairs) * bins > MAX_FEATURES:
        raise UsageError(
            f"baseline 'pairs' would need {len(pairs) * bins:,} features for {len(seen)} elements, more than"
            f" {MAX_FEATURES:,}; use 'elements'"
        )
    return {"pairs": pairs}


def _numbers(dataset: GraphDataset, index: NDArray[np.int64]) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = dataset.batch(index).graph.atomic_numbers.numpy()
    return numbers


def _features(model: LinearBaseline, dataset: GraphDataset, index: NDArray[np.int64]) -> Iterator[Floats]:
    for part in _parts(dataset, index):
        yield model.describe(dataset.batch(part, (), torch.float64).graph).numpy()


def _parts(dataset: GraphDataset, index: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pieces of ``index`` of about the same number of atoms."""
    atoms = np.cumsum(dataset.atom_counts()[index])
    cuts = np.searchsorted(atoms, np.arange(BATCH_ATOMS, atoms[-1] if len(atoms) else 0, BATCH_ATOMS))
    yield from (p for p in np.split(index, np.unique(cuts)) if len(p))
