"""Baselines that take their time and are fitted where they are asked for: ``NAME`` or ``NAME:OPTION=VALUE,…``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts import options as opt
from crystalcli.engine.baselines import composition_boosting, sine_krr
from crystalcli.engine.baselines.guess import Guess
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import UsageError, did_you_mean

Index = NDArray[np.int64]
Predict = Callable[[Any, GraphDataset, Index, NDArray[np.float64], Index], Guess]

EXTRAS: dict[str, tuple[type, Predict]] = {
    "krr": (sine_krr.KrrOptions, sine_krr.predict),
    "boosting": (composition_boosting.BoostingOptions, composition_boosting.predict),
}
"""By name: options, and the function that fits and predicts."""


@dataclass(frozen=True)
class Extra:
    """A baseline as asked for.

    Args:
        text: as typed. name: which. options: its settings.
    """

    text: str
    name: str
    options: Any

    @classmethod
    def parse(cls, text: str) -> Extra:
        """Read ``NAME[:OPTION=VALUE,…]``.

        Raises:
            UsageError: no such baseline, or no such option.
        """
        name, _, rest = text.partition(":")
        if name not in EXTRAS:
            raise UsageError(f"no baseline '{name}' to ask for; {did_you_mean(name, list(EXTRAS))}")
        kind = EXTRAS[name][0]
        whole = {s.name for s in opt.specs(kind) if s.type is int}
        given: dict[str, Any] = dict(word.partition("=")[::2] for word in rest.split(",") if word)
        given |= {k: int(v) for k, v in given.items() if k in whole and v.isdecimal()}
        return cls(text, name, opt.make(kind, given, owner=f"baseline {name}"))


def predict(extra: Extra, data: GraphDataset, target: str, train: Index, asked: Index) -> Guess:
    """Fit to the labels of structures ``train`` and predict structures ``asked``.

    Raises:
        UsageError: labels of another kind, none, or too many structures. InputError: a structure that it cannot
            describe. EnvironmentProblem: a package is missing.
    """
    column = data.columns[target]
    if column.quantity.level != "structure" or column.quantity.classes or column.quantity.shape:
        raise UsageError("for one number per structure only")
    known = train[column.mask[train]]
    if not len(known):
        raise UsageError(f"no training structure has a label '{target}'")
    values = column.values[known] / (data.atom_counts()[known] if column.quantity.extensive else 1.0)
    return EXTRAS[extra.name][1](extra.options, data, known, values, asked)


def parse_all(texts: Sequence[str]) -> tuple[Extra, ...]:
    """Read what was asked for, each once."""
    return tuple(Extra.parse(t) for t in dict.fromkeys(texts))
