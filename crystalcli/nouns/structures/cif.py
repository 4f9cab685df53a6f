"""CIF through gemmi, with symmetry expanded here where that is beyond doubt; pymatgen answers where it is not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase
import gemmi
import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.structures.cif_blocks import blocks
from crystalcli.nouns.structures.cif_disorder import refuse_alternatives
from crystalcli.nouns.structures.cif_formula import refuse_contradiction
from crystalcli.nouns.structures.cif_images import DoubtfulError, Operations, expand
from crystalcli.nouns.structures.cif_labels import beside
from crystalcli.nouns.structures.cif_sites import Sites, read_sites
from crystalcli.nouns.structures.cif_symmetry import operations
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import read_text, where
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity

_CELL = tuple(f"_cell_length_{a}" for a in "abc") + tuple(f"_cell_angle_{a}" for a in ("alpha", "beta", "gamma"))
_SUPERSPACE = ("_space_group_ssg_name", "_space_group_ssg_name_IT", "_space_group_ssg_name_WJJ")
VOLUME_AGREES = 0.02
"""Relative; volumes are stated with few digits."""


@dataclass(frozen=True)
class Crystal:
    """What one block holds: the structure, and what it offers as labels and tags (as in an :class:`Entry`).

    ``left_out`` names items of the block that are not its bookkeeping and not used, and says what they are.
    """

    atoms: ase.Atoms
    warnings: tuple[str, ...]
    labels: Mapping[str, Any]
    tags: Mapping[str, str]
    quantities: Mapping[str, Quantity]
    left_out: Mapping[str, str]


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield one structure per data block that has one; a bad block among good ones is yielded as its error.

    Raises:
        InputError: no text, no CIF, or no block with atoms.
    """
    parsed = blocks(read_text(path), path)
    several, dropped = len(parsed.found) > 1, tuple(parsed.warnings)
    for index, block in enumerate(parsed.found):
        if isinstance(block, InputError):
            yield block
            continue
        try:
            crystal = structure(block)
        except InputError as problem:
            said = f"data_{block.name}: {problem.reason}" if several else problem.reason
            yield InputError(said, path=path, line=problem.line, code=problem.code)
            continue
        name, source = (f":{block.name}", where(path, index)) if several else ("", str(path))
        warnings, dropped = (*crystal.warnings, *dropped), ()
        offer = crystal.labels, crystal.tags, crystal.quantities
        yield Entry(name, crystal.atoms, source, *offer, warnings, left_out=crystal.left_out)


def from_text(text: str) -> tuple[ase.Atoms, tuple[str, ...]]:
    """The structure of a CIF text that holds exactly one, and warnings.

    Raises:
        InputError: none, several, or one that cannot be used.
    """
    crystal = crystal_of(text)
    return crystal.atoms, crystal.warnings


def crystal_of(text: str) -> Crystal:
    """All that is read of a CIF text that holds exactly one structure.

    Raises:
        InputError: none, several, or one that cannot be used.
    """
    parsed = blocks(text)
    if len(parsed.found) > 1:
        raise InputError(f"{len(parsed.found)} structures where one is expected", code="several")
    (block,) = parsed.found
    assert not isinstance(block, InputError), "one that is broken is raised"
    crystal = structure(block)
    return replace(crystal, warnings=(*crystal.warnings, *parsed.warnings)) if parsed.warnings else crystal


def structure(block: cif.Block) -> Crystal:
    """The structure of one block, its labels and warnings.

    Raises:
        InputError: no cell, an impossible one, sites that cannot be used, symmetry that makes no sense, or atoms that
            cannot be those of the formula that the file states.
    """
    cell = cell_of(block)
    sites = read_sites(block)
    disorder = refuse_alternatives(sites, cell)
    ops, said = operations(block, cell, sites)
    warnings = [*sites.warnings, *disorder, *said]
    index, numbers, fractional = None, sites.numbers, sites.fractional
    if ops is not None:
        try:
            index, fractional = expand(sites.fractional, ops, cell)
        except DoubtfulError as doubt:
            index, fractional, more = _by_pymatgen(sites, ops, cell, str(doubt))
            warnings += more
        numbers = sites.numbers[index]
    atoms = ase.Atoms(numbers=numbers, positions=fractional @ cell, cell=cell, pbc=True)
    warnings += [*_volume(block, cell), *_modulated(block)]
    warnings += refuse_contradiction(block, numbers, cell)
    said_of = beside(block, sites, cell)
    labels, quantities, more = said_of.expanded(index)
    return Crystal(atoms, (*warnings, *more), labels, said_of.tags, quantities, said_of.left_out)


def cell_of(block: cif.Block) -> NDArray[np.float64]:
    """Cell rows (3, 3), Å, from lengths and angles, a along x and b in the xy plane.

    Raises:
        InputError: a missing, unreadable or impossible value; it is named.
    """
    values = []
    for tag in _CELL:
        text = block.find_value(tag)
        if text is None:
            raise InputError(f"no cell: {tag} is missing", code="cell")
        value = cif.as_number(text)
        if not math.isfinite(value) or value <= 0 or ("angle" in tag and value >= 180):
            raise InputError(f"{tag} is {cif.as_string(text)}", code="cell")
        values.append(value)
    x, y, z = (math.cos(math.radians(angle)) for angle in values[3:])
    if 1 - x * x - y * y - z * z + 2 * x * y * z <= 1e-8:
        raise InputError(f"angles {values[3]:g}, {values[4]:g}, {values[5]:g} make no cell", code="cell")
    return np.array(gemmi.UnitCell(*values).orth.mat.tolist()).T


def _by_pymatgen(
    sites: Sites, ops: Operations, cell: NDArray[np.float64], doubt: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    from crystalcli.nouns.structures.cif_pymatgen import expand_doubtful  # pymatgen is slow to import, doubt rare

    return expand_doubtful(sites, ops, cell, doubt)


def _modulated(block: cif.Block) -> list[str]:
    """Sites of a modulated structure are where its atoms are on average."""
    dimension = cif.as_number(block.find_value("_cell_modulation_dimension") or "?")
    if not dimension > 0 and not any(block.find_value(tag) for tag in _SUPERSPACE):
        return []
    return ["a modulated structure: the average is read, its waves are left out"]


def _volume(block: cif.Block, cell: NDArray[np.float64]) -> list[str]:
    """Compare the cell with the volume that the file states."""
    text = block.find_value("_cell_volume")
    stated = cif.as_number(text) if text is not None else np.nan
    volume = cells.volume(cell)
    if not np.isfinite(stated) or abs(stated - volume) < VOLUME_AGREES * volume:
        return []
    return [f"_cell_volume is {cif.as_string(str(text))}, the cell has {volume:.4g} Å³"]
