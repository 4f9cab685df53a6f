"""Which target of a training goes on as which of the model that it starts from: by name first, never by place."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels import label_units
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

NEW_HEAD = "--new-head trains another head"


def matched(old: Sequence[Quantity], targets: Sequence[Quantity]) -> tuple[Quantity, ...]:
    """``targets`` in the order of the model's, in its units, their classes in the order of its classes.

    A label may have another name where it is the only one that can be meant.

    Args:
        old: what the model predicts.
        targets: what is to be learned.

    Raises:
        UsageError: another number of targets, one of another kind, with other classes or in a unit that is no other
            one of the same, or names that differ and leave open which is which.
    """
    if len(old) != len(targets):
        raise UsageError(
            f"the model predicts {', '.join(q.name for q in old)}; {len(targets)} targets are asked for ({NEW_HEAD})"
        )
    found = {q.name: q for q in targets if q.name in {a.name for a in old}}
    found |= _of_other_names([a for a in old if a.name not in found], [q for q in targets if q.name not in found])
    for a in old:
        _refuse_another(a, found[a.name])
    return tuple(replace(b, class_names=a.class_names, unit=a.unit or b.unit) for a in old if (b := found[a.name]))


def renamings(old: Sequence[Quantity], targets: Sequence[Quantity]) -> list[str]:
    """Lines that say which of ``targets``, in the order of the model's, goes on under another name."""
    pairs = zip(old, targets, strict=True)
    return [f"label '{b.name}' is learned as the model's '{a.name}'" for a, b in pairs if a.name != b.name]


def conversions(asked: Sequence[Quantity], targets: Sequence[Quantity]) -> list[str]:
    """Lines that say which labels, of those ``asked`` for, are learned in another unit, that of ``targets``."""
    units = {q.name: q.unit for q in asked if q.unit}
    return [
        f"label '{q.name}' ({units[q.name]}) is learned in {q.unit}, as the model has it"
        for q in targets
        if units.get(q.name, q.unit) != q.unit
    ]


def converted(data: GraphDataset, targets: Sequence[Quantity]) -> GraphDataset:
    """``data`` with class numbers and units as ``targets`` have them; what others hold of it stays as it is."""
    there = data.columns
    changed = {q.name: _expressed(there[q.name], q) for q in targets if there[q.name].quantity != q}
    if not changed:
        return data
    made = copy(data)
    made.columns = {**there, **changed}
    return made


def _expressed(column: Column, quantity: Quantity) -> Column:
    if quantity.classes:
        return _recounted(column, quantity)
    times = label_units.factor(column.quantity.unit, quantity.unit) if column.quantity.unit else 1.0
    assert times is not None  # :func:`matched` has refused it
    return Column(quantity, column.values if times == 1.0 else column.values * times, column.mask)


def _recounted(column: Column, quantity: Quantity) -> Column:
    numbers = np.array([quantity.words.index(w) for w in column.quantity.words], dtype=np.float64)
    values = np.full(len(column.values), np.nan)
    values[column.mask] = numbers[column.values[column.mask].astype(np.int64)]
    return Column(quantity, values, column.mask)


def _of_other_names(old: Sequence[Quantity], targets: Sequence[Quantity]) -> dict[str, Quantity]:
    """By name of the model's: the one that is left, or the only one of its kind and unit."""
    if len(old) == 1:
        return {old[0].name: targets[0]}
    fits = {a.name: [b for b in targets if _are_alike(a, b)] for a in old}
    if any(len(some) != 1 for some in fits.values()) or len({some[0].name for some in fits.values()}) != len(old):
        left, theirs = (", ".join(f"'{q.name}'" for q in some) for some in (targets, old))
        raise UsageError(
            f"which of {left} are the model's {theirs} cannot be told: name them alike "
            f"(crystal build-graphs --targets {old[0].name}=KEY,…), or {NEW_HEAD}"
        )
    return {name: some[0] for name, some in fits.items()}


def _are_alike(a: Quantity, b: Quantity) -> bool:
    return _of_one_kind(a, b) and not (a.unit and b.unit and a.unit != b.unit)


def _of_one_kind(a: Quantity, b: Quantity) -> bool:
    same = all(getattr(a, k) == getattr(b, k) for k in ("level", "shape", "classes", "extensive", "meaning"))
    return same and set(a.words) == set(b.words)


def _refuse_another(a: Quantity, b: Quantity) -> None:
    if _are_alike(a, b) or (_of_one_kind(a, b) and label_units.factor(b.unit, a.unit) is not None):
        return
    if a.classes and b.classes and set(a.words) != set(b.words):
        raise UsageError(
            f"classes of '{b.name}' are {', '.join(b.words)}; those of the model's '{a.name}' are "
            f"{', '.join(a.words)}; {NEW_HEAD}"
        )
    raise UsageError(
        f"'{b.name}' ({b.unit or 'unit unknown'}) is not what the model predicts, '{a.name}' "
        f"({a.unit or 'unit unknown'}); {NEW_HEAD}"
    )
