"""Units that a file says beside its numbers: ``energy=23 energy_unit=kcal/mol``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from crystalcli.vocabulary.quantities import Quantity

_NAME = re.compile(r"(?:(?P<of>.+?)[_-])?units?", re.IGNORECASE)
_OURS = frozenset(("ev", "å", "a", "ang", "angstrom", "ev/å", "ev/a", "ev/ang", "ev/angstrom", "metal", "ase"))
"""Words for the units that crystal has anyway, in small letters."""
_WORDS = frozenset(
    ("ha", "hartree", "ry", "rydberg", "mev", "kcal/mol", "kj/mol", "ev/atom", "mev/atom", "bohr", "nm", "pm", "au")
)
"""Words for others, in small letters, that stand bare behind a number: ``energy=-3 Ha``."""
PER_ATOM = "/atom"


def with_units(
    labels: Mapping[str, Any], tags: Mapping[str, str], quantities: Mapping[str, Quantity]
) -> tuple[dict[str, str], dict[str, Quantity], list[str], list[str]]:
    """Tags without the units that are of a label, quantities with them; notes on these, warnings of the others."""
    kept, found = dict(tags), dict(quantities)
    notes, unused = [], []
    for name, text in tags.items():
        match = _NAME.fullmatch(name)
        if text == str(True) and name.lower() in _WORDS:
            unused.append(f"'{name}'")
        if match is None or not text.strip():
            continue
        unit, key = text.strip(), _label_of(match["of"], labels)
        if key is not None and "virial" not in key.lower():
            del kept[name]
            found[key] = _in(unit, found.get(key), key, labels[key])
            notes.append(f"'{name}' is the unit of '{key}'")
        elif unit.lower() not in _OURS:
            unused.append(f"'{name}={unit}'")
    said = f"{', '.join(unused)}: no label is converted for that (--targets KEY:UNIT does it), and lengths are in Å"
    return kept, found, notes, [said] if unused else []


def _label_of(stem: str | None, labels: Mapping[str, Any]) -> str | None:
    return next((key for key in (stem, f"{stem}s") if key in labels), None) if stem else None


def _in(unit: str, known: Quantity | None, key: str, value: Any) -> Quantity:
    """What is known of a label, in the unit that is said."""
    quantity = known or Quantity(key, shape=np.shape(value))
    if unit.lower() == quantity.unit.lower():
        return quantity
    if unit.endswith(PER_ATOM) and quantity.extensive:
        return replace(quantity, unit=unit, extensive=False)
    return replace(quantity, unit=unit)
