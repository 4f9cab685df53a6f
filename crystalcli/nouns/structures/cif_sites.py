"""The atom loop of a CIF: elements, fractional coordinates and occupancies, each checked and named when wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

import numpy as np
from ase.data import atomic_numbers
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns.structures.check import is_full
from crystalcli.nouns.structures.cif_elements import Formula, of_label, of_type
from crystalcli.vocabulary.errors import InputError

FAR_OUT = 2.0
"""A fractional coordinate beyond this suggests Cartesian ones."""
PREFIX = "_atom_site_"
_AXES = ("fract_x", "fract_y", "fract_z")
_UNKNOWN = ("?", ".")
_ONE = {"1", "1.0", "1.00", "1.0000"}


@dataclass(frozen=True)
class Sites:
    """Sites of the asymmetric unit.

    Args:
        numbers: (n,) atomic numbers.
        fractional: (n, 3) coordinates.
        labels: (n,) names; the number of the row for a site without one.
        columns: every column of the atom loop as written, by its name without ``_atom_site_``, in small letters.
        warnings: one line each.
    """

    numbers: NDArray[np.int64]
    fractional: NDArray[np.float64]
    labels: tuple[str, ...]
    columns: Mapping[str, list[str]]
    warnings: tuple[str, ...]


def read_sites(block: cif.Block) -> Sites:
    """Read the atom loop.

    Raises:
        InputError: no coordinates, a coordinate or occupancy that is no number, a partly filled site, or a symbol that
            is no element.
    """
    columns = _columns(block)
    if not all(axis in columns for axis in _AXES):
        raise _no_coordinates(block)
    types, names = columns.get("type_symbol"), columns.get("label")
    if types is None and names is None:
        raise InputError("atom loop has neither _atom_site_type_symbol nor _atom_site_label", code="element")
    if not columns["fract_x"]:
        raise InputError("atom loop has no rows", code="no-atoms")
    if "occupancy" not in columns and len(block.find_values("_atom_site_occupancy")):
        raise InputError("_atom_site_occupancy stands outside the atom loop", code="partial-occupancy")
    labels = tuple(map(cif.as_string, names or types or ()))
    if "" in labels:
        labels = tuple(label or f"row {k} of the atom loop" for k, label in enumerate(labels, 1))
    if "dum" in columns.get("calc_flag", ()):
        raise InputError(f"site {labels[columns['calc_flag'].index('dum')]} is a dummy", code="element")
    warnings: list[str] = []
    fractional = np.array([_coordinates(columns[axis], labels, axis[-1]) for axis in _AXES]).T
    _occupancies(columns.get("occupancy", ()), labels, warnings)
    numbers = _elements(block, types, names or (), labels, warnings)
    warnings += _attached(columns.get("attached_hydrogens", ()), labels)
    worst = float(np.abs(fractional).max())
    if worst > FAR_OUT:
        warnings.append(f"fractional coordinate {worst:g} lies far outside the cell: are these Cartesian?")
    return Sites(numbers, fractional, labels, columns, tuple(warnings))


def _attached(texts: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Hydrogen that the file says to be there, and for which it has no places."""
    numbers = [cif.as_number(text) for text in texts]
    having = [k for k, number in enumerate(numbers) if number > 0]
    if not having:
        return []
    return [
        f"{numbers[having[0]]:g} H are attached to {labels[having[0]]} without places of their own: they are missing"
    ]


def _columns(block: cif.Block) -> dict[str, list[str]]:
    """The atom loop, or the only site of a block that does without a loop."""
    loop = block.find_loop("_atom_site_fract_x").get_loop()
    if loop is not None:
        names, values = column_names(tuple(loop.tags)), loop.values
        return {name: values[k :: len(names)] for k, name in enumerate(names)}
    pairs = [item.pair for item in block if item.pair is not None]
    return {t.lower().removeprefix(PREFIX): [value] for t, value in pairs if t.lower().startswith(PREFIX)}


@lru_cache(maxsize=256)
def column_names(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Names of columns in small letters, without ``_atom_site_``."""
    return tuple(tag.lower().removeprefix(PREFIX) for tag in tags)


def _no_coordinates(block: cif.Block) -> InputError:
    if block.find_values("_atom_site_cartn_x"):
        return InputError("only Cartesian coordinates (_atom_site_Cartn_x); needs fractional ones", code="no-atoms")
    missing = [a for a in _AXES if not block.find_values(PREFIX + a)]
    if missing:
        return InputError(f"atom loop incomplete: no {PREFIX}{missing[0]}", code="no-atoms")
    return InputError("the coordinates of the sites stand in several loops", code="no-atoms")


def _coordinates(texts: list[str], labels: tuple[str, ...], axis: str) -> list[float]:
    values = list(map(cif.as_number, texts))
    if not all(map(isfinite, values)):
        k = next(k for k, value in enumerate(values) if not isfinite(value))
        raise InputError(f"{axis} of {labels[k]} is '{cif.as_string(texts[k]) or texts[k]}'", code="not-finite")
    return values


def _occupancies(texts: Sequence[str], labels: tuple[str, ...], warnings: list[str]) -> None:
    if _ONE.issuperset(texts):
        return
    for label, text in zip(labels, texts, strict=False):
        if text in _UNKNOWN:
            if not any("occupancy" in w for w in warnings):
                warnings.append(f"occupancy of {label} is not given; taken as 1")
            continue
        value = cif.as_number(text)
        if not isfinite(value):
            raise InputError(f"occupancy of {label} is '{text}'", code="partial-occupancy")
        if not is_full(value):
            kind = "partial occupancy" if 0 < value < 1 else "impossible occupancy"
            raise InputError(
                f"{kind} {value:g} at {label}; make an ordered structure of it first", code="partial-occupancy"
            )


def _elements(
    block: cif.Block, types: list[str] | None, names: Sequence[str], labels: tuple[str, ...], warnings: list[str]
) -> NDArray[np.int64]:
    """Atomic numbers (n,) from the type symbols or, without them, the names; of warnings alike the first is enough."""
    known: dict[str, int] = {}
    formula = Formula(block)
    said: dict[str, str] = {}
    for text, label in zip(types or names, labels, strict=True):
        if text in known:
            continue
        if atomic_numbers.get(text, 0) > 0 and types is not None:
            known[text], warning = int(atomic_numbers[text]), ""
        elif text in _UNKNOWN:
            raise InputError(f"{label} has no element: '{text}'", code="element")
        else:
            found = of_label(label, formula) if types is None else of_type(cif.as_string(text), label, formula)
            known[text], warning = found
        if warning:
            said.setdefault(warning.removeprefix(label), warning)
    warnings += said.values()
    return np.array([known[text] for text in types or names], dtype=np.int64)
