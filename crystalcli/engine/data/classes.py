"""Labels that are classes: words or whole numbers of the caches → class numbers 0 … C − 1 with their names."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

MOST = 100
"""More classes than this are taken for a mistake: an id, or a number that should be learned as one."""


def word(value: float | str) -> str:
    """Name of the class that a label means: ``1`` for 1.0, the text itself for a text."""
    if isinstance(value, str):
        return value.strip()
    return str(int(value)) if np.isfinite(value) and value == int(value) else repr(float(value))


def column(data: GraphDataset, name: str) -> Column:
    """Label or text column ``name`` of ``data`` as classes, in the order of the numbers or of the alphabet.

    Raises:
        UsageError: numbers that are not whole, one class only or very many, or one value per site.
    """
    if name in data.columns:
        known = data.columns[name]
        if known.quantity.level != "structure":
            raise UsageError(f"label '{name}' is one per {known.quantity.level}; classes are one per structure")
        values = np.unique(known.values[known.mask])
        if len(odd := values[values != np.round(values)]):
            raise UsageError(f"label '{name}' has values such as {odd[0]:g}; classes are words or whole numbers")
        names = tuple(word(float(v)) for v in values)
    else:
        names = tuple(sorted({t.strip() for t in data.tags[name]} - {""}))
    if not 2 <= len(names) <= MOST:
        raise UsageError(f"'{name}' has {len(names)} different values; classes are 2 to {MOST}")
    return as_classes(data, Quantity(name, classes=len(names), class_names=names))


def as_classes(data: GraphDataset, quantity: Quantity) -> Column:
    """Labels of ``data`` for a class quantity that is known; other words than its classes are masked."""
    number = {w: k for k, w in enumerate(quantity.words)}
    found: Iterable[str]
    if quantity.name in data.columns:
        known = data.columns[quantity.name]
        found = (word(float(v)) if m else "" for v, m in zip(known.values, known.mask, strict=True))
    else:
        found = (t.strip() for t in data.tags[quantity.name])
    values = np.array([number.get(w, np.nan) for w in found], dtype=np.float64)
    return Column(quantity, values, np.isfinite(values))


def unknown_classes(data: GraphDataset, quantity: Quantity) -> list[str]:
    """Words of ``data`` that are no class of ``quantity``, sorted."""
    if quantity.name in data.columns:
        known = data.columns[quantity.name]
        words = {word(float(v)) for v in np.unique(known.values[known.mask])}
    else:
        words = {t.strip() for t in data.tags[quantity.name]} - {""}
    return sorted(words - set(quantity.words))
