"""Sorting what a file says beside the structure into labels (numbers), tags (texts) and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crystalcli.vocabulary.quantities import Quantity

MAX_TAG = 200
"""Longer texts are not kept as tags."""
ASE_QUANTITIES: dict[str, Quantity] = {
    "energy": Quantity("energy", "eV", extensive=True),
    "free_energy": Quantity("free_energy", "eV", extensive=True),
    "forces": Quantity("forces", "eV/Å", "site"),
    "charges": Quantity("charges", "e", "site"),
    "magmoms": Quantity("magmoms", "µB", "site"),
    "magmom": Quantity("magmom", "µB", extensive=True),
    "energies": Quantity("energies", "eV", "site"),
    "stress": Quantity("stress", "eV/Å³", shape=(6,)),
}
"""Results that ASE stores under a fixed name and unit."""
_NOT_LABELS = {"numbers", "positions", "tags", "momenta", "masses", "initial_magmoms", "initial_charges"}


def is_number(value: Any) -> bool:
    """A real number, finite or not; a truth value is none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))


def number_in(text: str) -> float | None:
    """The number that ``text`` is, none if it is a text."""
    if "_" in text:  # float() would take 1_000
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_nothing(text: str) -> bool:
    """Whether ``text`` is empty or a word for a missing value."""
    return text.strip().lower() in ("", "nan", "none", "null", "na", "n/a")


def sort_info(info: Mapping[str, Any], skip: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """Labels and tags in a dictionary of scalars and texts; arrays stay where they are."""
    labels: dict[str, Any] = {}
    tags: dict[str, str] = {}
    for key, value in info.items():
        if key in skip:
            continue
        if is_number(value):
            labels[str(key)] = float(value)
        elif isinstance(value, (str, bool, np.bool_)) and len(str(value)) <= MAX_TAG:
            tags[str(key)] = str(value)
    return labels, tags


def sort_arrays(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Site labels among per-atom arrays: every real array but what makes the structure itself."""
    return {
        k: np.asarray(v, dtype=np.float64)
        for k, v in arrays.items()
        if k not in _NOT_LABELS and np.asarray(v).dtype.kind in "fiu" and np.ndim(v) <= 2
    }
