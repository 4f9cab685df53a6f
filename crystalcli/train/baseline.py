"""The baselines of a training: baselines in closed form that the network corrects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.engine.baselines import baselines
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Split
from crystalcli.engine.evaluate.evaluation import BaselineValues
from crystalcli.train.choice import head
from crystalcli.train.options import TrainOptions
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

AUTO = ("mean", "elements", "pairs")
"""What ``auto`` chooses from, the simplest first. The mean is what a network without baseline begins with."""

Terms = tuple[dict[str, Any], dict[str, NDArray[np.float64]]]


@dataclass(frozen=True)
class BaselineFit:
    """baselines fitted to the training part of a split, for all trainings on it.

    Args:
        word: what was asked for.
        baselines: by target. values: of them for all structures.
        said: what was said of them.
    """

    word: str = ""
    baselines: Mapping[str, Any] = field(default_factory=dict)
    values: BaselineValues = field(default_factory=dict)
    said: tuple[str, ...] = ()


def fitted(
    request: Request, data: GraphDataset, targets: Sequence[Quantity], split: Split, known: BaselineFit | None
) -> BaselineFit:
    """The baselines that are asked for; ``known`` are those of another training on the split.

    Raises:
        UsageError: a head that has none, or a baseline that cannot be fitted.
    """
    o: TrainOptions = request.options
    chosen = head(request)
    is_differentiable = "energy" in chosen.provides
    if is_differentiable and o.residual_of not in ("none", "auto"):
        raise UsageError(f"head '{chosen.name}' has its own references; it cannot be the residual of a baseline")
    word = "none" if is_differentiable else o.residual_of
    if known is not None and known.word == word:
        return known
    said: list[str] = []
    found = fitted_baselines(word, data, split, [q.name for q in targets], Reporter(said.append))
    return BaselineFit(word, *found, tuple(said))


def fitted_baselines(word: str, data: GraphDataset, split: Split, names: Sequence[str], reporter: Reporter) -> Terms:
    """Baselines fitted to the training part and their values for all structures, by target; empty for ``none``.

    Classes have no baseline.

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
    for name, baseline_values in values.items():
        column = data.columns[name]
        here = split.train[column.mask[split.train]]
        true = column.values[here]
        errors.append(np.abs(baseline_values[here] - true).mean() / (true.std() or 1.0))
    return float(np.mean(errors))


def _fitted(word: str, data: GraphDataset, split: Split, names: Sequence[str]) -> Terms:
    if word == "none":
        return {}, {}
    rest = np.concatenate([split.val, split.test])
    # what the network learns must be as large as on new structures: leave-one-out values for the training part
    both = {name: baselines.closed_form(word, data, split.train, name, rest) for name in names}
    return {n: b for n, (b, _) in both.items()}, {n: z for n, (_, z) in both.items()}
