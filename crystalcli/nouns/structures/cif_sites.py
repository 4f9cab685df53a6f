"""The atom loop of a CIF: elements, fractional coordinates and occupancies, each checked and named when wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite

import numpy as np
from ase.data import atomic_numbers
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError

FULL = 1e-3
"""An occupancy this near to 1 is full."""
FAR_OUT = 2.0
"""A fractional coordinate beyond this suggests Cartesian ones."""
_TAGS = ("fract_x", "fract_y", "fract_z", "?type_symbol", "?label", "?occupancy", "?calc_flag")
_CHARGED = re.compile(r"([A-Za-z]{1,2})(?:\d*[+-]|[+-]?\d*(?:\.\d+)?)[+-]?")
_LABEL = re.compile(r"([A-Za-z]+)")
_DUMMY = {"x", "xx", "du", "va", "vac", "q", "m"}


@dataclass(frozen=True)
class Sites:
    """Sites of the asymmetric unit: (n,) atomic numbers, (n, 3) fractional coordinates, labels, warnings."""

    numbers: NDArray[np.int64]
    fractional: NDArray[np.float64]
    labels: tuple[str, ...]
    warnings: tuple[str, ...]


def read_sites(block: cif.Block) -> Sites:
    """Read the atom loop.

    Raises:
        InputError: no coordinates, a coordinate or occupancy that is no number, a partly filled site, or a symbol that
            is no element.
    """
    table = block.find("_atom_site_", list(_TAGS))
    if len(table) == 0:
        raise _no_coordinates(block)
    has = [table.has_column(k) for k in range(len(_TAGS))]
    if not (has[3] or has[4]):
        raise InputError("atom loop has neither _atom_site_type_symbol nor _atom_site_label", code="element")
    if not has[5] and len(block.find_values("_atom_site_occupancy")):
        raise InputError("_atom_site_occupancy stands outside the atom loop", code="partial-occupancy")
    columns = [list(table.column(k)) if has[k] else [] for k in range(len(_TAGS))]
    labels = tuple(map(cif.as_string, columns[4] or columns[3]))
    if "dum" in columns[6]:
        raise InputError(f"site {labels[columns[6].index('dum')]} is a dummy", code="element")
    warnings: list[str] = []
    fractional = np.array([_coordinates(columns[k], labels, "xyz"[k]) for k in range(3)]).T
    _occupancies(columns[5], labels, warnings)
    known: dict[str, int] = {}
    symbols = columns[3] or columns[4]
    for k, text in enumerate(symbols):
        if text not in known:
            known[text] = _element(cif.as_string(text), labels[k], from_label=not has[3], warnings=warnings)
    numbers = np.array([known[text] for text in symbols], dtype=np.int64)
    worst = float(np.abs(fractional).max())
    if worst > FAR_OUT:
        warnings.append(f"fractional coordinate {worst:g} lies far outside the cell: are these Cartesian?")
    return Sites(numbers, fractional, labels, tuple(warnings))


def _no_coordinates(block: cif.Block) -> InputError:
    if block.find_values("_atom_site_cartn_x"):
        return InputError("only Cartesian coordinates (_atom_site_Cartn_x); needs fractional ones", code="no-atoms")
    missing = [t for t in ("x", "y", "z") if not block.find_values(f"_atom_site_fract_{t}")]
    if missing:
        return InputError(f"atom loop incomplete: no _atom_site_fract_{missing[0]}", code="no-atoms")
    return InputError("atom loop has no rows", code="no-atoms")


def _coordinates(texts: list[str], labels: tuple[str, ...], axis: str) -> list[float]:
    values = list(map(cif.as_number, texts))
    if not all(map(isfinite, values)):
        k = next(k for k, value in enumerate(values) if not isfinite(value))
        raise InputError(f"{axis} of {labels[k]} is '{cif.as_string(texts[k]) or texts[k]}'", code="not-finite")
    return values


def _occupancies(texts: list[str], labels: tuple[str, ...], warnings: list[str]) -> None:
    for label, text in zip(labels, texts, strict=False):
        if text in ("1", "1.0", "1.00", "1.0000"):
            continue
        if text in ("?", "."):
            if not any("occupancy" in w for w in warnings):
                warnings.append(f"occupancy of {label} is not given; taken as 1")
            continue
        value = cif.as_number(text)
        if not np.isfinite(value):
            raise InputError(f"occupancy of {label} is '{text}'", code="partial-occupancy")
        if abs(value - 1) > FULL:
            kind = "partial occupancy" if 0 < value < 1 else "impossible occupancy"
            raise InputError(
                f"{kind} {value:g} at {label}; make an ordered structure of it first", code="partial-occupancy"
            )


def _element(text: str, label: str, *, from_label: bool, warnings: list[str]) -> int:
    """Atomic number of a symbol such as ``Na``, ``Na1+`` or, from a label, ``Na12A``; never a guess."""
    match = _LABEL.match(text) if from_label else _CHARGED.fullmatch(text)
    letters = match[1] if match else ""
    symbol = letters if from_label else letters.capitalize()
    if symbol in ("D", "T"):
        said = f"{label} is {'deuterium' if symbol == 'D' else 'tritium'}; taken as H"
        if not any("taken as H" in w for w in warnings):
            warnings.append(said)
        return 1
    if symbol in atomic_numbers and atomic_numbers[symbol] > 0:
        return int(atomic_numbers[symbol])
    kind = "a dummy or a vacancy" if (letters or text).lower() in _DUMMY else "no element"
    cure = "; add _atom_site_type_symbol" if from_label else ""
    raise InputError(f"'{text}' of site {label} is {kind}{cure}", code="element")
