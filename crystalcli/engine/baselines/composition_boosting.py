"""Baseline ``boosting``: gradient boosted trees on compositions, which says what structure adds. Needs scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.options import option
from crystalcli.engine.baselines.guess import Guess
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import EnvironmentProblem

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class BoostingOptions:
    """Gradient boosting on compositions."""

    rounds: int = option(300, "trees", min=1, max=100_000)


def predict(options: BoostingOptions, data: GraphDataset, known: Index, values: Floats, asked: Index) -> Guess:
    """Fit to ``values`` of structures ``known`` and predict structures ``asked``.

    Raises:
        EnvironmentProblem: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        raise EnvironmentProblem("needs scikit-learn: pip install 'crystal-graphs[sklearn]'") from None
    shares = _compositions(data, np.concatenate([known, asked]))
    shares = shares[:, shares.any(axis=0)]
    model = HistGradientBoostingRegressor(loss="absolute_error", max_iter=options.rounds, random_state=0)
    model.fit(shares[: len(known)], values)
    return Guess(np.asarray(model.predict(shares[len(known) :]), dtype=np.float64))


def _compositions(data: GraphDataset, index: Index) -> Floats:
    """Fraction of every element, (n, 119)."""
    counts = data.atom_counts()[index]
    owner = np.repeat(np.arange(len(index)), counts)
    table = np.zeros((len(index), 119))
    np.add.at(table, (owner, data.atomic_numbers()[data.atoms_of(index)]), 1.0)
    return np.asarray(table / counts[:, None], dtype=np.float64)
