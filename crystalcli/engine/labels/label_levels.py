"""Lists that may be one number per atom or one thing per structure: what the other structures say decides.

JSON and the ``data`` of an ASE database do not say which: of a crystal with three atoms three numbers may be a vector,
of one with one atom a list of one number may be a number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.labels.labelled import Labelled
from crystalcli.vocabulary.quantities import Quantity

Floats = NDArray[np.float64]


def of_one_level(entries: Sequence[Labelled], keys: Collection[str]) -> list[Labelled]:
    """``entries`` with labels ``keys`` on one level, where all of them can be on it and no format says another."""
    made = list(entries)
    for key in keys:
        having = [k for k, e in enumerate(made) if key in e.labels]
        kinds = {(_level(made[k], key), np.shape(made[k].labels[key])) for k in having}
        levels = {level for level, _ in kinds}
        if levels == {"site"} or (levels == {"structure"} and len(kinds) == 1):
            continue
        found = _all_on_sites(made, having, key) or _all_of_structures(made, having, key)
        for k, (value, quantity) in zip(having, found, strict=False):
            e = made[k]
            made[k] = replace(e, labels={**e.labels, key: value}, quantities={**e.quantities, key: quantity})
    return made


def _level(entry: Labelled, key: str) -> str:
    known = entry.quantities.get(key)
    return known.level if known is not None else "site" if np.ndim(entry.labels[key]) else "structure"


def _is_said(entry: Labelled, key: str) -> bool:
    """Whether a format says more of a label than how many numbers there are."""
    known = entry.quantities.get(key)
    return known is not None and bool(known.unit or known.extensive or known.meaning)


def _all_on_sites(entries: Sequence[Labelled], having: Sequence[int], key: str) -> list[tuple[Any, Quantity]]:
    """Label and quantity of all that have one, if every one can be per atom; else nothing."""
    said = [entries[k] for k in having if _level(entries[k], key) == "site"]
    tails = {np.shape(e.labels[key])[1:] for e in said} or {()}
    quantities = {e.quantities.get(key, Quantity(key, level="site")) for e in said} or {Quantity(key, level="site")}
    if len(tails) != 1 or len({replace(q, shape=()) for q in quantities}) != 1:
        return []
    found: list[tuple[Any, Quantity]] = []
    for e in (entries[k] for k in having):
        value = np.asarray(e.labels[key], dtype=np.float64)
        if _level(e, key) == "structure":
            shape = (e.n_atoms, *next(iter(tails)))
            if _is_said(e, key) or value.size != int(np.prod(shape)) or (len(shape) > 1 and value.shape != shape):
                return []
            value = value.reshape(shape)
        found.append((value, next(iter(quantities))))
    return found


def _all_of_structures(entries: Sequence[Labelled], having: Sequence[int], key: str) -> list[tuple[Any, Quantity]]:
    """The same, if every one can be the row of numbers per structure that the others are."""
    said = [entries[k] for k in having if _level(entries[k], key) == "structure"]
    shapes = {np.shape(e.labels[key]) for e in said}
    quantities = {e.quantities.get(key, Quantity(key)) for e in said}
    if len(shapes) != 1 or len(quantities) != 1 or len(next(iter(shapes))) != 1:
        return []
    (shape,), (quantity,) = shapes, quantities
    fits = all(
        np.shape(e.labels[key]) == shape and (_level(e, key) == "structure" or not _is_said(e, key))
        for e in (entries[k] for k in having)
    )
    return [(entries[k].labels[key], quantity) for k in having] if fits else []
