"""Errors of site values: every site the same, every crystal the same, by element, and of the sum over a crystal."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.vocabulary.quantities import Quantity

Floats = NDArray[np.float64]

MOMENT_UNITS = ("µB", "μB", "muB", "mu_B", "Bohr magneton")
MAGNETIC = 0.1
"""µB; most atoms have smaller moments, and an error over all of them says little."""


def more_errors(
    quantity: Quantity, predicted: Floats, true: Floats, mask: NDArray[np.bool_], counts: NDArray[np.int64]
) -> dict[str, float]:
    """What the mean over sites does not tell.

    Args:
        quantity: what is compared.
        predicted: (n,) values of all sites, crystal by crystal.
        true: (n,) labels.
        mask: (n,) which have a label.
        counts: (S,) sites of every crystal.

    Returns:
        ``macro_mae``: mean over crystals of the mean absolute error over their labelled sites. ``sum_mae``: mean
        absolute error of the sum over all sites, over the crystals whose sites are all labelled (for charges: how far
        cells are from neutral); absent if there are none. ``magnetic_mae``: of moments above 0.1 µB.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    error = np.where(mask, predicted - np.where(mask, true, 0.0), 0.0)
    labelled = np.bincount(owner[mask], minlength=len(counts))
    some = labelled > 0
    found = {"macro_mae": float((np.bincount(owner, np.abs(error), len(counts))[some] / labelled[some]).mean())}
    whole = (labelled == counts) & some
    if whole.any():
        found["sum_mae"] = float(np.abs(np.bincount(owner, error, len(counts))[whole]).mean())
    if quantity.unit in MOMENT_UNITS:
        large = mask & (np.abs(np.where(mask, true, 0.0)) > MAGNETIC)
        if large.any():
            found["magnetic_mae"] = float(np.abs(error[large]).mean())
    return found


def by_element(
    numbers: NDArray[np.int64],
    predicted: Floats,
    true: Floats,
    mask: NDArray[np.bool_],
    seen: frozenset[int],
) -> dict[str, dict[str, Any]]:
    """Labels, error and bias of every element, and whether training has seen it; in the order of the table."""
    found = {}
    for z in np.unique(numbers[mask]).tolist():
        mine = mask & (numbers == z)
        error = predicted[mine] - true[mine]
        found[chemical_symbols[z]] = {
            "n": int(mine.sum()),
            "mae": float(np.abs(error).mean()),
            "bias": float(error.mean()),
            "mean": float(true[mine].mean()),
            "deviation": float(true[mine].std()),
            "in_training": int(z in seen),
        }
    return found
