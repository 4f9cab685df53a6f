"""Baselines fitted in closed form: the mean, a linear term per element, ridge on pair-distance histograms.

Each stands beside every trained model in its report, and each can be the baseline of a model, which then learns
the residual. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts.modules import Baseline
from crystalcli.engine.baselines.baseline_models import (
    MAX_FEATURES,
    ElementsBaseline,
    LinearBaseline,
    MeanBaseline,
    PairsBaseline,
)
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import InputError, UsageError, did_you_mean

Floats = NDArray[np.float64]

CONSTANT = 1e-12
"""Columns that vary less than this are left out."""

Index = NDArray[np.int64]
MODELS: dict[str, type[LinearBaseline]] = {c.name: c for c in (MeanBaseline, ElementsBaseline, PairsBaseline)}
NAMES = tuple(MODELS)
"""Names of the baselines, simplest first."""
PENALTIES = {
    "mean": (0.0,),
    "elements": (1e-6, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0),
    "pairs": (1e-3, 1e-5, 1e-4, 1e-2, 1e-1),
}
"""λ to choose from, on standardised features."""
REACHES = (6.0, 5.0, 4.0)
"""Ends of the histograms to choose from, Å: with few structures the shorter one is better."""
MAX_NUMBERS = 250_000_000
"""Largest table of features held in memory, 2 GB."""
BATCH_ATOMS = 20_000


@dataclass(frozen=True)
class Ridge:
    """``y = intercept + weight · x`` with the predictions of each row by the fit to all other rows.

    Args:
        weight: (D,). intercept: number.
        penalty: λ. left_out: (n,).
    """

    weight: Floats
    intercept: float
    penalty: float
    left_out: Floats


def solve_ridge(features: Floats, values: Floats, penalties: Sequence[float]) -> Ridge:
    """Minimise ``Σ (y − b − w·x)² + λ Σ (s·w)²`` for the λ with the smallest mean absolute leave-one-out error.

    s are the standard deviations of the features, so λ acts on standardised features and is not scaled by n; the
    intercept is free. With XᵀX = V S Vᵀ and Z = X V the hat matrix has the diagonal
    ``h_i = 1/n + Σ_k Z_ik²/(S_k + λ)``, and leaving row i out changes its error e_i into ``e_i/(1 − h_i)``.

    Args:
        features: (n, D) float64; changed in place to save memory.
        values: (n,) float64.
        penalties: λ to choose from.
    """
    n, dim = features.shape
    mean, y0 = features.mean(axis=0), float(values.mean())
    features -= mean
    y = values - y0
    spread = np.sqrt(np.einsum("nd,nd->d", features, features) / n)
    varies = spread > CONSTANT * (1.0 + np.abs(mean))
    features[:, varies] /= spread[varies]
    if not varies.any():
        return Ridge(np.zeros(dim), y0, penalties[0], y0 + _left_out(y, np.zeros(n), np.full(n, 1.0 / n)))
    x = features if varies.all() else features[:, varies]
    # only functions of XᵀX as a whole come of it, V f(S) Vᵀ: the same whatever axes a space of equal values has
    squares, axes = np.linalg.eigh(x.T @ x)
    z = x @ axes
    projected = z.T @ y
    best: Ridge | None = None
    smallest = np.inf
    for penalty in penalties:
        inverse = 1.0 / (np.clip(squares, 0.0, None) + penalty)
        hat = 1.0 / n + (z**2) @ inverse
        left_out = _left_out(y, z @ (inverse * projected), hat)
        error = float(np.abs(y - left_out).mean())
        if best is None or error < smallest:
            weight = np.zeros(dim)
            weight[varies] = (axes @ (inverse * projected)) / spread[varies]
            best, smallest = Ridge(weight, y0 - float(weight @ mean), penalty, y0 + left_out), error
    assert best is not None
    return best


def _left_out(y: Floats, fitted: Floats, hat: Floats) -> Floats:
    """Leave-one-out predictions; a row that alone decides its own value keeps the mean of the others."""
    rest = np.clip(1.0 - hat, 0.0, None)
    alone = rest < 1e-9
    return np.where(alone, 0.0, y - (y - fitted) / np.where(alone, 1.0, rest))


@dataclass(frozen=True)
class Fit:
    """A fitted baseline and its leave-one-out predictions.

    Args:
        baseline: the model.
        left_out: for each training structure, (n,) in the target's unit, what a fit without that structure predicts;
            the plain value where the label is missing. Errors against it are as large as on new structures, so a
            network that is to learn the residual must be trained on these.
    """

    baseline: LinearBaseline
    left_out: Floats


def fit(name: str, dataset: GraphDataset, train_index: Index, target: str) -> Baseline:
    """Fit baseline ``name`` to ``target`` on structures ``train_index``; missing labels do not count.

    Raises:
        UsageError: no such baseline, no labels, not a number per structure, or too many features (says how many).
    """
    return fit_leaving_out(name, dataset, train_index, target).baseline


def closed_form(
    name: str, dataset: GraphDataset, train_index: Index, target: str, other_index: Index
) -> tuple[Baseline, Floats]:
    """A fitted baseline and the values of the baseline for training.

    Returns:
        The baseline, and (len(dataset),) values: leave-one-out predictions for ``train_index``, predictions for
        ``other_index``, NaN elsewhere.
    """
    fitted = fit_leaving_out(name, dataset, train_index, target)
    values = np.full(len(dataset), np.nan)
    values[other_index] = evaluate(fitted.baseline, dataset, other_index)
    values[train_index] = fitted.left_out
    return fitted.baseline, values


def fit_leaving_out(name: str, dataset: GraphDataset, train_index: Index, target: str) -> Fit:
    """As :func:`fit`, with leave-one-out predictions; λ and reach are those with the least leave-one-out error."""
    column = dataset.columns[target]
    quantity = column.quantity
    if quantity.level != "structure" or quantity.classes or quantity.shape:
        raise UsageError(f"baseline '{name}' fits one number per structure; '{target}' is not one")
    labelled = column.mask[train_index]
    index = train_index[labelled]
    if len(index) == 0:
        raise UsageError(f"no training structure has a label '{target}'")
    sizes = dataset.atom_counts()[index] if quantity.extensive else np.ones(len(index))
    model = blank(name, _shape(name, dataset, index) | {"extensive": quantity.extensive})
    model, found = _best(model, _features(model, dataset, index), column.values[index] / sizes)
    model.weight.copy_(torch.as_tensor(found.weight))
    model.intercept.fill_(found.intercept)
    left_out = np.empty(len(train_index))
    left_out[labelled] = found.left_out * sizes
    left_out[~labelled] = evaluate(model, dataset, train_index[~labelled])
    return Fit(model, left_out)


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


def evaluate(baseline: Baseline, dataset: GraphDataset, index: Index) -> Floats:
    """Values of ``baseline`` for structures ``index``, (len(index),) float64 in the target's unit."""
    return evaluate_counting(baseline, dataset, index)[0]


def evaluate_counting(baseline: Baseline, dataset: GraphDataset, index: Index) -> tuple[Floats, int]:
    """As :func:`evaluate`, with the number of structures that have features which the fit never met."""
    values, extrapolated = [np.zeros(0)], 0
    with torch.no_grad():
        for part in parts(dataset, index):
            graph = dataset.batch(part, (), torch.float64).graph
            assert isinstance(baseline, LinearBaseline)
            features = baseline.describe(graph)
            values.append(baseline.value(graph, features).numpy())
            extrapolated += int(baseline.extrapolated(features).sum())
    return np.concatenate(values), extrapolated


def _best(model: LinearBaseline, features: Floats, values: Floats) -> tuple[LinearBaseline, Ridge]:
    """The fit, and for histograms the reach, with the smallest leave-one-out error."""
    penalties = PENALTIES[model.name]
    if not isinstance(model, PairsBaseline):
        return model, solve_ridge(features, values, penalties)
    best: tuple[LinearBaseline, Ridge] | None = None
    smallest = np.inf
    for reach in REACHES:
        shorter = blank(model.name, model.options() | {"stop": reach})
        assert isinstance(shorter, PairsBaseline)
        columns = features.reshape(len(features), -1, model.bins)[:, :, : shorter.bins].reshape(len(features), -1)
        found = solve_ridge(columns.copy(), values, penalties)
        error = float(np.abs(found.left_out - values).mean())
        if best is None or error < smallest:
            best, smallest = (shorter, found), error
    assert best is not None
    return best


def _shape(name: str, dataset: GraphDataset, index: Index) -> dict[str, Any]:
    if name != "pairs":
        return {}
    seen = dataset.elements(index)
    pairs = [[int(a), int(b)] for a, b in combinations_with_replacement(seen, 2)]
    size = len(pairs) * PairsBaseline([]).bins
    why = f"baseline 'pairs' would need {size:,} features of {len(seen)} elements for {len(index):,} structures"
    if size > MAX_FEATURES or size * len(index) > MAX_NUMBERS:
        raise UsageError(f"{why}, too many; use 'elements'")
    return {"pairs": pairs}


def _features(model: LinearBaseline, dataset: GraphDataset, index: Index) -> Floats:
    table, done = np.empty((len(index), model.weight.shape[0])), 0
    for part in parts(dataset, index):
        table[done : done + len(part)] = model.describe(dataset.batch(part, (), torch.float64).graph).numpy()
        done += len(part)
    return table


def parts(dataset: GraphDataset, index: Index) -> Iterator[Index]:
    """Pieces of ``index`` of about the same number of atoms, in order."""
    atoms = np.cumsum(dataset.atom_counts()[index])
    cuts = np.searchsorted(atoms, np.arange(BATCH_ATOMS, atoms[-1] if len(atoms) else 0, BATCH_ATOMS))
    yield from (p for p in np.split(index, np.unique(cuts)) if len(p))
