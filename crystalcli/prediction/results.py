"""Predictions as results of a calculator, under the names and in the units of ASE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from crystalcli.nouns.structures.offered import ASE_QUANTITIES
from crystalcli.prediction.predictor import Row
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

PER_ATOM = "energy_per_atom"
"""What a total energy is called that was divided by the number of atoms."""


def results_of(quantities: Sequence[Quantity]) -> dict[str, str]:
    """Target → what ASE calls that result; energies per atom become the total.

    Raises:
        UsageError: the model predicts nothing that ASE has a name for.
    """
    found = {q.name: q.name for q in quantities if _is_result(q)}
    if "energy" not in found and any(q.name == PER_ATOM and q.unit in ("eV/atom", "") for q in quantities):
        found[PER_ATOM] = "energy"
    if not found:
        said = ", ".join(f"{q.name} [{q.unit or 'unit unknown'}]" for q in quantities)
        raise UsageError(f"none of what the model predicts is a result of ASE (energy, forces, stress, …): {said}")
    return found


def _is_result(quantity: Quantity) -> bool:
    known = ASE_QUANTITIES.get(quantity.name)
    if known is None or quantity.classes or quantity.unit not in (known.unit, ""):
        return False
    vectors = {"forces": (3,)}
    return quantity.level == known.level and quantity.shape == vectors.get(quantity.name, known.shape)


def calculator(row: Row, results: Mapping[str, str]) -> SinglePointCalculator:
    """The predictions of ``row`` that are results: energy eV (total), forces eV/Å, stress eV/Å³ as ASE has it."""
    values = {}
    for name, result in results.items():
        value = np.asarray(row.values[name], dtype=np.float64) * (len(row.atoms) if name == PER_ATOM else 1.0)
        if np.isfinite(value).all():  # the stress of a molecule is not defined
            values[result] = value if value.ndim else float(value)
    return SinglePointCalculator(row.atoms, **values)
