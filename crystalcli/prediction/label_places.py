"""Where files may have the targets of a model: under which label, and what it takes to compare the number there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crystalcli.engine.labels import label_units
from crystalcli.engine.labels.label_arrays import STRESS_UNIT, as_stress
from crystalcli.engine.labels.label_requests import PER_ATOM, POSITION, TOTAL, LabelRequest, Scaling
from crystalcli.engine.labels.labelled import STRESS
from crystalcli.nouns.structures.offered import ASE_QUANTITIES
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

PER_ATOM_UNIT = label_units.PER_ATOM


@dataclass(frozen=True)
class LabelPlace:
    """Where a label may stand: its key, what to do with the number, its unit there, and whether the user says so."""

    key: str
    scaling: Scaling = ""
    unit: str = ""
    asked: bool = False

    def times(self, n_atoms: Any) -> Any:
        """By what the number there is multiplied, for a structure of so many atoms."""
        return {"": 1.0, "/atom": 1.0 / n_atoms, "*atoms": 1.0 * n_atoms}[self.scaling]

    def scaled(self, unit: str) -> str:
        """The unit that a number in ``unit`` has afterwards."""
        if not unit or not self.scaling:
            return unit
        return unit.removesuffix(PER_ATOM_UNIT) + (PER_ATOM_UNIT if self.scaling == "/atom" else "")

    def cure(self, name: str) -> str:
        """What to say if it is to be compared all the same."""
        return f"; --labels {name}={self.key} compares it as it is"


def check_requests(requests: Sequence[LabelRequest], quantities: Sequence[Quantity]) -> None:
    """Refuse requests for what ``quantities`` are not.

    Raises:
        UsageError: no such target, or a unit that cannot be made that of the model.
    """
    known = {q.name: q for q in quantities}
    for r in requests:
        if r.name not in known:
            raise UsageError(
                f"the model predicts {', '.join(known)}, not '{r.name}'; write --labels {next(iter(known))}={r.key}"
            )
        q = known[r.name]
        if q.unit == STRESS_UNIT and r.unit:
            as_stress(np.zeros((1, 6)), r.unit)
            continue
        if r.unit == POSITION and q.meaning == POSITION:
            continue
        unit = LabelPlace(r.key, r.scaling).scaled(r.unit)
        if unit and q.unit and label_units.factor(unit, q.unit) is None:
            raise UsageError(f"the model predicts '{q.name}' in '{q.unit}'; labels in '{unit}' cannot be compared")


def other_size(quantity: Quantity) -> str:
    """The label that may be the quantity, a number per atom or a total, or its other: some are written both ways."""
    name = quantity.name
    stem = name.removesuffix(PER_ATOM)
    if stem == name:
        stem = name.removesuffix(TOTAL)
        return "" if stem == name or _is_of_atoms(stem, quantity) else stem
    return "" if stem in ASE_QUANTITIES else stem


def _is_of_atoms(stem: str, quantity: Quantity) -> bool:
    """Whether a target called a total can be ``stem`` times atoms: it is a total, and ``stem`` is none by its name."""
    return quantity.extensive and not (stem in ASE_QUANTITIES and ASE_QUANTITIES[stem].extensive)


def places(quantity: Quantity, requests: Sequence[LabelRequest]) -> list[LabelPlace]:
    """Where files may have the target ``quantity``, the likeliest first."""
    name = quantity.name
    asked = [
        LabelPlace(r.key, r.scaling, "" if r.unit == POSITION else r.unit, True) for r in requests if r.name == name
    ]
    if asked:
        return asked
    found = [LabelPlace(name)]
    stem = name.removesuffix(PER_ATOM)
    if stem != name and stem in ASE_QUANTITIES:  # what ASE calls so is the total
        found.append(LabelPlace(stem, "/atom"))
    stem = name.removesuffix(TOTAL)
    if stem != name and _is_of_atoms(stem, quantity):
        found.append(LabelPlace(stem, "*atoms"))
    if name == STRESS:
        found.append(LabelPlace(f"{STRESS}_from_virial"))
    return found
