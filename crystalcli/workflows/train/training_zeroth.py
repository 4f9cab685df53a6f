"""The zeroth terms of a training: baselines in closed form that the network corrects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.workflow import Reporter
from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.datasets.splits import Split
from crystalcli.mechanisms.simple_models import baselines
from crystalcli.vocabulary.errors import UsageError

AUTO = ("mean", "elements", "pairs")
"""What ``auto`` chooses from, the simplest first. The mean is what a network without zeroth term begins with."""

Terms = tuple[dict[str, Any], dict[str, NDArray[np.float64]]]


def zeroth_terms(word: str, data: GraphDataset, split: Split, names: Sequence[str], reporter: Reporter) -> Terms:
    """Baselines fitted to the training part and their values for all structures, by target; empty for ``none``.

    Classes have no zeroth term.

    Raises:
        UsageError: the baseline that was asked for by name cannot be fitted, or there are only classes.
    """
    wished, names = names, [n for n in names if not data.columns[n].quantity.classes]
    if not names:
        if word not in ("auto", "none"):
            raise UsageError(f"classes have no baseline to correct ('{wished[0]}'); use --residual-of none")
        return {}, {}
    if word != "auto":
        return _fitted(word, data, split, names)
    found: dict[str, Terms] = {}
    errors: dict[str, float] = {}
    for candidate in AUTO:
        try:
            found[candidate] = _fitted(candidate, data, split, names)
        except UsageError as problem:
            reporter.say(f"residual of: not {candidate} ({problem})")
            continue
        errors[candidate] = _left_out_error(data, split, found[candidate][1])
    best = min(errors, key=errors.__getitem__, default="mean")
    if best == "mean":
        reporter.say("residual of: none (no baseline has a smaller leave-one-out error than the mean)")
        return {}, {}
    less = f"{errors['mean'] / errors[best]:.3g} times smaller than the mean's" if errors[best] else "0: it is exact"
    reporter.say(f"residual of: {best} (leave-one-out error {less})")
    return found[best]


def _left_out_error(data: GraphDataset, split: Split, values: dict[str, NDArray[np.float64]]) -> float:
    """Mean over targets of the mean absolute leave-one-out error in standard deviations."""
    errors = []
    for name, zeroth in values.items():
        column = data.columns[name]
        here = split.train[column.mask[split.train]]
        true = column.values[here]
        errors.append(np.abs(zeroth[here] - true).mean() / (true.std() or 1.0))
    return float(np.mean(errors))


def _fitted(word: str, data: GraphDataset, split: Split, names: Sequence[str]) -> Terms:
    if word == "none":
        return {}, {}
    rest = np.concatenate([split.val, split.test])
    # what the network learns must be as large as on new structures: leave-one-out values for the training part
    both = {name: baselines.zeroth_term(word, data, split.train, name, rest) for name in names}
    return {n: b for n, (b, _) in both.items()}, {n: z for n, (_, z) in both.items()}
