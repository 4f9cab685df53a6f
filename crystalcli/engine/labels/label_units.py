"""Labels that are what programs compute, under the name that ASE has for them: their kind, and their units made ours.

``energy`` is a total in eV, ``forces`` are in eV/Å, ``pressure`` in eV/Å³: potentials are taken for just that, so that
a label called so is converted from the unit that is said, and refused in a unit that nobody knows. Of a stress see
:mod:`crystalcli.engine.labels.label_arrays`.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.units import BAR, BOHR, GPA, HARTREE, KJ_PER_MOL

ENERGIES, FORCES, PRESSURE = ("energy", "free_energy"), "forces", "pressure"
PER_ATOM = "/atom"
KCAL = 4.184 * KJ_PER_MOL
"""1 kcal/mol in eV (thermochemical calorie)."""
ENERGY_UNITS = {
    "eV": 1.0, "meV": 1e-3, "kJ/mol": KJ_PER_MOL, "kcal/mol": KCAL, "Ha": HARTREE, "Hartree": HARTREE,
    "hartree": HARTREE, "Ry": 0.5 * HARTREE,
}  # fmt: skip
"""In eV."""
FORCE_UNITS = {
    "eV/Å": 1.0, "eV/A": 1.0, "eV/Ang": 1.0, "meV/Å": 1e-3, "meV/A": 1e-3,
    "Ha/Bohr": HARTREE / BOHR, "Hartree/Bohr": HARTREE / BOHR, "Ry/Bohr": 0.5 * HARTREE / BOHR,
    "kcal/mol/Å": KCAL, "kcal/mol/A": KCAL, "kJ/mol/Å": KJ_PER_MOL, "kJ/mol/A": KJ_PER_MOL,
    "kJ/mol/nm": 0.1 * KJ_PER_MOL,
}  # fmt: skip
"""In eV/Å."""
PRESSURE_UNITS = {
    "eV/Å³": 1.0, "eV/A^3": 1.0, "GPa": GPA, "MPa": 1e-3 * GPA, "kbar": 1e3 * BAR, "bar": BAR,
}  # fmt: skip
"""In eV/Å³."""

_SPELLED = {
    spelled: unit
    for table in (ENERGY_UNITS, FORCE_UNITS, PRESSURE_UNITS)
    for known in table
    for unit in ([known, known + PER_ATOM] if table is ENERGY_UNITS else [known])
    for spelled in {unit, unit.replace("/", "_"), unit.replace("/", "_per_")}
    if unit != "bar"  # of a mean
}
"""Units as names end in them: ``stress_GPa``, ``e_kcal_mol``, ``e_eV_per_atom``, ``E (eV/atom)``."""
_LONGEST_FIRST = "|".join(map(re.escape, sorted(_SPELLED, key=len, reverse=True)))
_NAMES_UNIT = re.compile(rf".*[^\W_].*?(?:[\s_.,-]({_LONGEST_FIRST})|[(\[]({_LONGEST_FIRST})[)\]])")


def unit_in(name: str) -> str:
    """The unit that the name of a label ends in; empty if it ends in none."""
    found = _NAMES_UNIT.fullmatch(name)
    return _SPELLED[found[1] or found[2]] if found else ""


def by_its_name(request: LabelRequest, known: Quantity) -> tuple[LabelRequest, list[str]]:
    """The request with the unit that the name in the files says, where nothing else says one; what is said of that."""
    unit = "" if request.unit or known.unit else unit_in(request.key)
    if not unit:
        return request, []
    other = request.text if "=" in request.text or request.name == request.key else request.key
    said = f"label '{request.key}' is taken in {unit}, as its name says; --targets {other}:UNIT would say another"
    return replace(request, unit=unit), [said]


def factor(unit: str, wanted: str) -> float | None:
    """By what a number in ``unit`` is multiplied to be one in ``wanted``; none where that is not known."""
    if unit == wanted:
        return 1.0
    if unit.endswith(PER_ATOM) and wanted.endswith(PER_ATOM):
        unit, wanted = unit.removesuffix(PER_ATOM), wanted.removesuffix(PER_ATOM)
    for known in (ENERGY_UNITS, FORCE_UNITS, PRESSURE_UNITS):
        if unit in known and wanted in known:
            return known[unit] / known[wanted]
    return None


def as_named(known: Quantity, request: LabelRequest) -> Quantity:
    """What the files say of a label, and where they say nothing what the name says that was asked for.

    ``energy=REF_energy`` is a total, as ASE's ``energy`` is.
    """
    if "=" not in request.text or known.unit or request.scaling or known.shape:
        return known
    unit = known.unit if request.unit else {FORCES: "eV/Å", PRESSURE: "eV/Å³"}.get(request.name, "eV")
    if request.name in ENERGIES and known.level == "structure" and not request.unit.endswith(PER_ATOM):
        return replace(known, unit=unit, extensive=True)
    level = {FORCES: "site", PRESSURE: "structure"}.get(request.name)
    return replace(known, unit=unit) if level == known.level else known


def in_our_units(
    quantity: Quantity, values: NDArray[np.float64], request: LabelRequest
) -> tuple[Quantity, NDArray[np.float64], list[str]]:
    """Quantity and values in eV, eV/Å and eV/Å³ where the name and kind are those of a potential; what was done.

    Raises:
        UsageError: a unit that is not known.
    """
    if quantity.name in ENERGIES and quantity.level == "structure" and quantity.extensive:
        unit, known = "eV", ENERGY_UNITS
    elif quantity.name == FORCES and quantity.level == "site" and values.shape[1:] == (3,):
        unit, known = "eV/Å", FORCE_UNITS
    elif quantity.name == PRESSURE and quantity.level == "structure":
        unit, known = "eV/Å³", PRESSURE_UNITS
    else:
        return quantity, values, []
    if quantity.unit in ("", unit):
        return quantity, values, []
    if quantity.unit not in known:
        hint = did_you_mean(quantity.unit, list(known))
        raise UsageError(
            f"label '{request.key}' as '{quantity.name}': no unit '{quantity.unit}' ({hint})", code="label"
        )
    said = f"label '{request.key}': {quantity.unit} made {unit}, times {known[quantity.unit]:.10g}"
    return replace(quantity, unit=unit), values * known[quantity.unit], [said]
