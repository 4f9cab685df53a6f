"""Predicted site values where people need them: pymatgen structures, a MAGMOM line, tables of similar sites."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from crystalcli.engine.evaluate.site_errors import MOMENT_UNITS
from crystalcli.engine.model.latent import Latents, nearest
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.tables import csv_text
from crystalcli.vocabulary.texts import inert

SIMILAR = 5
"""Similar sites listed for every site."""


def pymatgen_structure(row: Row, quantities: Sequence[Quantity]) -> dict[str, Any]:
    """A plain ``Structure`` (``Molecule`` without a full cell) with predictions as site properties and properties.

    ``Structure.from_dict`` reads it, and so does this program.
    """
    from pymatgen.core import Lattice, Molecule, Structure

    of_sites: dict[str, Any] = {}
    of_structure: dict[str, Any] = {"id": row.id}
    for q in quantities:
        parts = {
            f"predicted_{q.name}": row.values[q.name],
            f"predicted_{q.name}_sigma": row.uncertainties.get(q.name, {}).get("sigma"),
        }
        found = {
            key: q.words[int(np.argmax(v))] if q.classes else plain(v) for key, v in parts.items() if v is not None
        }
        if q.name in row.labels:
            true = row.labels[q.name]
            found[f"true_{q.name}"] = q.words[int(true)] if q.classes else plain(true)
        (of_sites if q.level == "site" else of_structure).update(found)
    atoms = row.atoms
    symbols = list(atoms.symbols)
    if atoms.cell.rank < 3:
        made: Any = Molecule(symbols, atoms.positions, site_properties=of_sites, properties=of_structure)
    else:
        lattice = Lattice(atoms.cell.array, pbc=tuple(bool(p) for p in atoms.pbc))
        made = Structure(
            lattice,
            symbols,
            atoms.positions,
            coords_are_cartesian=True,
            site_properties=of_sites,
            properties=of_structure,
        )
    plain_dict: dict[str, Any] = made.as_dict()
    return plain_dict


def plain(values: Any) -> Any:
    """Numbers as JSON has them: what is not known is null."""
    numbers = np.asarray(values)
    found = numbers.astype(object)
    found[~np.isfinite(numbers)] = None
    return found.tolist()


def moment_of(quantities: Sequence[Quantity]) -> Quantity:
    """The quantity that a MAGMOM line is made of: the site value in µB, or the only site value in an unknown unit.

    Raises:
        UsageError: there is none.
    """
    scalars = [q for q in quantities if q.level == "site" and not q.shape and not q.classes]
    found = [q for q in scalars if q.unit in MOMENT_UNITS] or [q for q in scalars if not q.unit]
    if len(found) != 1:
        said = ", ".join(f"{q.name} [{q.unit or 'unit unknown'}]" for q in quantities)
        raise UsageError(f"a MAGMOM line needs one moment of sites in µB; the model predicts {said}")
    return found[0]


def magmom_line(row: Row, quantity: Quantity) -> str:
    """The INCAR's line, moments in the order of the atoms: ``MAGMOM = 2*4.012 6*0.05``, under a comment with the id."""
    rounded = [f"{round(float(v), 3) + 0.0:g}" for v in row.values[quantity.name]]
    words = [f"{n}*{value}" if n > 1 else value for value, n in ((v, len(list(g))) for v, g in groupby(rounded))]
    return f"# {inert(row.id)} ({row.atoms.get_chemical_formula()})\nMAGMOM = {' '.join(words)}\n"


def similar_table(queries: Latents, among: Latents) -> str:
    """CSV of the sites of ``among`` most alike to every query, a line each: rank, distance, id, site, element."""
    distances, places = nearest(queries, among, SIMILAR)
    header = ["id", "site", "element", "rank", "distance", "similar id", "similar site", "similar element"]
    lines = (
        [
            str(queries.ids[i]),
            int(queries.sites[i]),
            chemical_symbols[queries.numbers[i]],
            rank + 1,
            f"{distances[i, rank]:.6g}",
            str(among.ids[place]),
            int(among.sites[place]),
            chemical_symbols[among.numbers[place]],
        ]
        for i in range(len(places))
        for rank, place in enumerate(places[i])
    )
    return csv_text(header, lines)
