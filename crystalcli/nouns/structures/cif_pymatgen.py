"""Symmetry in doubt: pymatgen merges images near special positions; its answer counts."""

from __future__ import annotations

import warnings

import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns.structures.check import OVERLAP, closest
from crystalcli.nouns.structures.cif_sites import Sites
from crystalcli.vocabulary.errors import InputError

TOLERANCES = (1e-4, 1e-3, 1e-2)
"""Fractional; the first that leaves no overlap is taken. pymatgen's default is the first."""


def expand_doubtful(
    block: cif.Block, doubt: str, sites: Sites
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    """Atomic numbers, fractional coordinates and warnings of all atoms of ``block``.

    Raises:
        InputError: no tolerance gives a structure without overlaps.
    """
    text = block.as_string()
    for tolerance in TOLERANCES:
        found = _parse(text, tolerance)
        if found is None:
            continue
        numbers, fractional, cell = found
        if set(numbers.tolist()) != set(sites.numbers.tolist()):
            continue
        _, _, distance = closest(fractional @ cell, cell, np.ones(3, dtype=bool), OVERLAP)
        if distance >= OVERLAP:
            said = f"{doubt}; merged within {tolerance:g} of the cell" if tolerance > TOLERANCES[0] else ""
            return numbers, fractional, [said] if said else []
    raise InputError(f"{doubt}: neither one atom nor two; give coordinates with more digits", code="overlap")


def _parse(text: str, tolerance: float) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]] | None:
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parser = CifParser.from_str(text, site_tolerance=tolerance)
            (structure,) = parser.parse_structures(primitive=False, check_occu=False, on_error="raise")
        except (ValueError, AssertionError, KeyError):
            return None
    if not structure.is_ordered:
        return None
    return np.array(structure.atomic_numbers, dtype=np.int64), structure.frac_coords, structure.lattice.matrix
