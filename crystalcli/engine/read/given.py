"""What readers and sources of plugins give, looked at once as it comes in: everything after counts on its types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import ase
import numpy as np

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import is_number
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity

TEXTS = ("tags", "left_out")
"""Fields of an entry that are texts by name."""


def sound(item: Any, who: str, where: str, code: str) -> Entry | InputError:
    """``item``, if it is an entry as all others; what is wrong with it costs this structure.

    Args:
        item: what a plugin gives.
        who: the part and its plugin.
        where: it comes from, unless it says that itself.
        code: of what is wrong.

    Raises:
        TypeError: it is no entry at all.
    """
    if isinstance(item, InputError):
        return item
    if not (isinstance(item, Entry) and isinstance(item.atoms, ase.Atoms)):
        atoms = f" with {type(item.atoms).__name__}" if isinstance(item, Entry) else ""
        raise TypeError(f"gives a {type(item).__name__}{atoms}, not an Entry with ase.Atoms")
    why = next(_wrong(item), "") or _no_numbers(item)
    if why:
        place = item.source if item.source and isinstance(item.source, str) else where
        return InputError(f"{who} gives {why}, of structure {item.id!r:.60}", path=place, code=code)
    made = {key: _numbers(value) for key, value in item.labels.items() if not is_number(value)}
    return replace(item, labels={**item.labels, **made}) if made else item


def _wrong(entry: Entry) -> Iterator[str]:
    """What is of another type than the fields of an entry are."""
    for name in ("id", "source", "kind"):
        if not isinstance(found := getattr(entry, name), str):
            yield f"a {type(found).__name__}, not a text, for {name}"
    for name in ("labels", "quantities", *TEXTS):
        found = getattr(entry, name)
        if not isinstance(found, Mapping):
            yield f"a {type(found).__name__}, not a dict, for {name}"
            return
        for key, value in found.items():
            if not isinstance(key, str):
                yield f"a name in {name} that is a {type(key).__name__}, not a text: {key!r:.60}"
            elif name in TEXTS and not isinstance(value, str):
                yield f"a {type(value).__name__}, not a text, for '{key}' in {name}"
            elif name == "quantities" and not isinstance(value, Quantity):
                yield f"a {type(value).__name__}, not a Quantity, for '{key}' in {name}"
    for name in ("warnings", "notes"):
        found = getattr(entry, name)
        if not (isinstance(found, tuple | list) and all(isinstance(text, str) for text in found)):
            yield f"no texts for {name}"


def _no_numbers(entry: Entry) -> str:
    """The first label that is none."""
    wrong = (key for key, value in entry.labels.items() if not is_number(value) and _numbers(value) is None)
    name = next(wrong, None)
    return "" if name is None else f"{entry.labels[name]!r:.60} for label '{name}', no number (texts are tags)"


def _numbers(value: Any) -> Any:
    """``value`` if it is an array of numbers, or made one if it holds numbers of other kinds; none if it holds others.

    What is missing among them (``None``) is NaN.
    """
    try:
        kind = np.asarray(value).dtype.kind
        if kind == "O" and not any(isinstance(v, str | bytes) for v in np.asarray(value, dtype=object).ravel()):
            array = np.asarray(value, dtype=np.float64)
            return array if array.ndim else float(array)
    except (Exception, SystemExit):  # an array of somebody else's may raise anything
        return None
    return value if kind in "fiub" else None
