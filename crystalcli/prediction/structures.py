"""Predictions as structures and as results of a calculator, under the names and in the units of ASE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import voigt_6_to_full_3x3_stress

from crystalcli.nouns.structures.offered import ASE_QUANTITIES, POSITIONS, STRAIN
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

START = "initial_positions"
"""Array of a predicted structure: where its atoms were, Å."""
START_CELL = "initial_cell"
"""Said of a predicted structure whose cell relaxes: what it was, rows, Å."""

PER_ATOM = "energy_per_atom"
"""What a total energy is called that was divided by the number of atoms."""


def place_of(quantities: Sequence[Quantity]) -> Quantity | None:
    """The quantity that says where atoms go; none where there is none, or several."""
    found = [q for q in quantities if q.meaning == "position"]
    return found[0] if len(found) == 1 else None


def needed_place(quantities: Sequence[Quantity]) -> Quantity:
    """As :func:`place_of`, for a CIF, which holds structures only.

    Raises:
        UsageError: the model predicts no structure, or several.
    """
    found = place_of(quantities)
    if found is None:
        said = ", ".join(q.name for q in quantities)
        raise UsageError(f"a CIF holds structures; a model that predicts one set of positions makes them, not {said}")
    return found


def moved(row: Row, place: Quantity) -> ase.Atoms:
    """The atoms of ``row`` with cell, pbc, constraints, tags and arrays, at their predicted positions.

    Where they were is the array ``initial_positions``; other arrays of places that the file held are left out. Where
    the model says how the cell relaxes, it is strained and its atoms with it; what it was is ``initial_cell``.
    """
    atoms = row.atoms.copy()
    for name in POSITIONS & atoms.arrays.keys():
        del atoms.arrays[name]
    atoms.set_array(START, atoms.positions.copy())
    atoms.positions = np.asarray(row.values[place.name], dtype=np.float64)  # constraints hold nothing back here
    if STRAIN in row.values:
        atoms.info[START_CELL] = atoms.cell.array.copy()
        strain(atoms, np.asarray(row.values[STRAIN], dtype=np.float64))
    return atoms


def strain(atoms: ase.Atoms, six: np.ndarray) -> None:
    """Stretch cell and atoms, in place, by ``1 + ε``; ``six`` is ε as xx yy zz yz xz xy."""
    stretch = np.eye(3) + voigt_6_to_full_3x3_stress(six)  # the order is that of a stress, and no factor 2
    atoms.cell[:] = atoms.cell.array @ stretch
    atoms.positions = atoms.positions @ stretch


def cif_block(name: str, atoms: ase.Atoms) -> str:
    """One data block of a CIF without symmetry, every number to 1e-10.

    Raises:
        UsageError: a cell of fewer than three vectors.
    """
    if atoms.cell.rank < 3:
        raise UsageError(f"{name} has no cell of three vectors, which a CIF needs; write -o FILE.extxyz")
    keys = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"data_{''.join(c if c.isprintable() and not c.isspace() else '_' for c in name)}"]
    lines += [f"_cell_{k} {v:.10f}" for k, v in zip(keys, atoms.cell.cellpar(), strict=True)]
    lines += ["_space_group_name_H-M_alt 'P 1'", "loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{x}" for x in "xyz"]
    places = atoms.cell.scaled_positions(atoms.positions)
    rows = enumerate(zip(atoms.symbols, places, strict=True), 1)
    lines += [f"{s}{k} {s} {x:.12f} {y:.12f} {z:.12f}" for k, (s, (x, y, z)) in rows]
    return "\n".join(lines) + "\n\n"


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


def calculator_of(row: Row, results: Mapping[str, str]) -> SinglePointCalculator:
    """The predictions of ``row`` that are results: energy eV (total), forces eV/Å, stress eV/Å³ as ASE has it."""
    values = {}
    for name, result in results.items():
        value = np.asarray(row.values[name], dtype=np.float64) * (len(row.atoms) if name == PER_ATOM else 1.0)
        if np.isfinite(value).all():  # the stress of a molecule is not defined
            values[result] = value if value.ndim else float(value)
    return SinglePointCalculator(row.atoms, **values)
