"""Errors of predicted places: over atoms and over structures, of slab and adsorbate, and how many come near enough."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

ADSORBATE = 2
"""Tag of an adsorbate's atoms; 1 is the surface, 0 what lies below, as Open Catalyst has it."""
WITHIN = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Å; of each the share of structures whose mean distance is no larger."""
ADWT = np.arange(10, 501) / 1000
"""Å, 0.01, 0.011, … 0.5: the thresholds of ADwT, L. Chanussot et al., ACS Catal. 11, 6059 (2021)."""


def distances(predicted: Floats, near: Floats) -> Floats:
    """Å, (N,): from (N, 3) predicted positions to the labels nearest to them."""
    found: Floats = np.linalg.norm(predicted - near, axis=1)
    return found


def adsorbates(tags: Floats | None) -> Mask | None:
    """Which atoms are an adsorbate's, (N,), by their tags (N,).

    None without tags, where no atom has tag 2, or where some have a larger one: those number layers (ASE's builders).
    """
    if tags is None or not np.isin(tags, (0, 1, ADSORBATE)).all() or not (tags == ADSORBATE).any():
        return None
    found: Mask = tags == ADSORBATE
    return found


def of_structures(distance: Floats, mask: Mask, counts: NDArray[np.int64]) -> Floats:
    """Mean distance of the labelled atoms of every structure, (S,); NaN where a structure has none.

    Args:
        distance: (N,) Å.
        mask: (N,) which atoms have a label.
        counts: (S,) atoms of every structure.
    """
    owner = np.repeat(np.arange(len(counts)), counts)[mask]
    labelled = np.bincount(owner, minlength=len(counts))
    with np.errstate(invalid="ignore"):
        found: Floats = np.bincount(owner, distance[mask], len(counts)) / labelled
    return found


def more_errors(distance: Floats, mask: Mask, counts: NDArray[np.int64], adsorbate: Mask | None) -> dict[str, float]:
    """What the mean over all atoms does not tell.

    Args:
        distance: (N,) Å, of all atoms, structure by structure.
        mask: (N,) which have a label; one at least.
        counts: (S,) atoms of every structure.
        adsorbate: (N,) which atoms are an adsorbate's; none where nothing tells.

    Returns:
        ``macro_mae``: mean over structures of their mean distance, Å. ``slab_mae``, ``adsorbate_mae``: mean over
        these atoms, Å; absent where there are none. ``within_T``: share of structures whose mean distance is at most
        T Å. ``adwt``: mean of these shares over :data:`ADWT`.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    mean = np.sort(of_structures(distance, mask, counts)[np.unique(owner[mask])])
    found = {"macro_mae": float(mean.mean())}
    parts = {} if adsorbate is None else {"slab_mae": mask & ~adsorbate, "adsorbate_mae": mask & adsorbate}
    found |= {name: float(distance[mine].mean()) for name, mine in parts.items() if mine.any()}

    def shares(thresholds: Any) -> Floats:
        made: Floats = np.searchsorted(mean, thresholds, side="right") / len(mean)
        return made

    found |= {f"within_{t:g}": float(share) for t, share in zip(WITHIN, shares(WITHIN), strict=True)}
    return {**found, "adwt": float(shares(ADWT).mean())}


def by_element(
    numbers: NDArray[np.int64], before: Floats, after: Floats, mask: Mask, seen: frozenset[int]
) -> dict[str, dict[str, Any]]:
    """Labels and mean distance of every element at the start and as predicted, in the order of the table.

    Args:
        numbers: (N,) atomic numbers.
        before: (N,) Å.
        after: (N,) Å.
        mask: (N,) which atoms have a label.
        seen: elements of the training part.
    """
    found = {}
    for z in np.unique(numbers[mask]).tolist():
        mine = mask & (numbers == z)
        found[chemical_symbols[z]] = {
            "n": int(mine.sum()),
            "before": float(before[mine].mean()),
            "mae": float(after[mine].mean()),
            "in_training": int(z in seen),
        }
    return found
