"""Symmetry in doubt: pymatgen merges images near special positions; its answer counts."""

from __future__ import annotations

import re
import warnings

import gemmi
import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.structures.check import OVERLAP, closest
from crystalcli.nouns.structures.cif_images import Operations
from crystalcli.nouns.structures.cif_sites import Sites
from crystalcli.vocabulary.errors import InputError

TOLERANCES = (1e-4, 1e-3, 1e-2)
"""Fractional; the first that leaves no overlap is taken. pymatgen's default is the first."""

_LETTERS = re.compile("[A-Za-z]+")


def expand_doubtful(
    sites: Sites, ops: Operations, cell: NDArray[np.float64], doubt: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """Index of the site (N,), fractional coordinates (N, 3) and warnings of all atoms.

    Raises:
        InputError: no tolerance gives a structure without overlaps.
    """
    text = _text(sites, ops, cell)
    for tolerance in TOLERANCES:
        found = _parse(text, tolerance)
        if found is None:
            continue
        index, fractional = found
        _, _, distance = closest(fractional @ cell, cell, np.ones(3, dtype=bool), OVERLAP)
        if distance >= OVERLAP:
            said = f"{doubt}; merged within {tolerance:g} of the cell" if tolerance > TOLERANCES[0] else ""
            return index, fractional, [said] if said else []
    raise InputError(f"{doubt}: neither one atom nor two; give coordinates with more digits", code="overlap")


def _text(sites: Sites, ops: Operations, cell: NDArray[np.float64]) -> str:
    """What is certain, as a CIF: the operations that count, sites that are full, and their numbers as labels."""
    lengths = cells.lengths(cell)
    cosines = (cell / np.array(lengths)[:, None]) @ (cell / np.array(lengths)[:, None]).T
    angles = np.degrees(np.arccos(cosines[[1, 0, 0], [2, 2, 1]]))
    lines = ["data_x", *(f"_cell_length_{n} {x!r}" for n, x in zip("abc", lengths, strict=True))]
    lines += [f"_cell_angle_{n} {float(x)!r}" for n, x in zip(("alpha", "beta", "gamma"), angles, strict=True)]
    lines += ["loop_", "_symmetry_equiv_pos_as_xyz"]
    lines += [f"'{_triplet(r, t)}'" for r, t in zip(*ops, strict=True)]
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol", *(f"_atom_site_fract_{n}" for n in "xyz")]
    for k, (number, place) in enumerate(zip(sites.numbers.tolist(), sites.fractional.tolist(), strict=True)):
        symbol = chemical_symbols[number]
        lines.append(f"{symbol}{k} {symbol} " + " ".join(map(repr, place)))
    return "\n".join(lines) + "\n"


def _triplet(rotation: NDArray[np.float64], translation: NDArray[np.float64]) -> str:
    op = gemmi.Op("x,y,z")
    op.rot = np.rint(rotation * op.DEN).astype(int).tolist()
    op.tran = np.rint(translation * op.DEN).astype(int).tolist()
    return op.triplet()


def _parse(text: str, tolerance: float) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parser = CifParser.from_str(text, site_tolerance=tolerance)
            (structure,) = parser.parse_structures(primitive=False, check_occu=False, on_error="raise")
        except (ValueError, AssertionError, KeyError):
            return None
    if not structure.is_ordered:  # two sites became one
        return None
    index = np.array([int(_LETTERS.sub("", label)) for label in structure.labels], dtype=np.int64)
    order = np.argsort(index, kind="stable")  # of the file, not of electronegativity
    return index[order], structure.frac_coords[order]
