"""CIF through gemmi, with symmetry expanded here where that is beyond doubt; pymatgen answers where it is not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import ase
import gemmi
import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.structures.cif_formula import refuse_contradiction
from crystalcli.nouns.structures.cif_images import DoubtfulError, expand
from crystalcli.nouns.structures.cif_sites import Sites, read_sites
from crystalcli.nouns.structures.cif_symmetry import explicit, operations
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import read_text, where
from crystalcli.vocabulary.errors import CrystalError, InputError

_CELL = tuple(f"_cell_length_{a}" for a in "abc") + tuple(f"_cell_angle_{a}" for a in ("alpha", "beta", "gamma"))
VOLUME_AGREES = 0.02
"""Relative; volumes are stated with few digits."""
_BLOCK = re.compile(r"^data_(\S*)", re.MULTILINE | re.IGNORECASE)
_SITE_TAGS = ("_atom_site_fract_x", "_atom_site_label", "_atom_site_type_symbol", "_atom_site_cartn_x")


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield one structure per data block that has one; a bad block among good ones is yielded as its error.

    Raises:
        InputError: no text, no CIF, or no block with atoms.
    """
    blocks = parse(read_text(path), path)
    several = len(blocks) > 1
    for index, block in enumerate(blocks):
        try:
            atoms, warnings = structure(block)
        except InputError as problem:
            said = f"data_{block.name}: {problem.reason}" if several else problem.reason
            yield InputError(said, path=path, line=problem.line, code=problem.code)
            continue
        name, source = (f":{block.name}", where(path, index)) if several else ("", str(path))
        yield Entry(name, atoms, source, warnings=warnings)


def from_text(text: str) -> tuple[ase.Atoms, tuple[str, ...]]:
    """The structure of a CIF text that holds exactly one, and warnings.

    Raises:
        InputError: none, several, or one that cannot be used.
    """
    blocks = parse(text)
    if len(blocks) > 1:
        raise InputError(f"{len(blocks)} structures where one is expected", code="several")
    return structure(blocks[0])


def parse(text: str, path: Path | None = None) -> list[cif.Block]:
    """Blocks of a CIF that hold atoms.

    Raises:
        InputError: syntax errors (with the line), mmCIF, or no such block.
    """
    if not text.isascii():
        text = text.encode("ascii", errors="replace").decode()
    try:
        document = cif.read_string(text)
    except (ValueError, RuntimeError) as problem:
        if "duplicate block name" not in str(problem):
            raise _syntax(str(problem), path) from problem
        document = _with_names_apart(text, path)
    blocks = [b for b in document if any(b.find_values(t) for t in _SITE_TAGS)]
    if not blocks:
        raise _no_structure(document, path)
    return blocks


def _with_names_apart(text: str, path: Path | None) -> cif.Document:
    count: dict[str, int] = {}

    def rename(match: re.Match[str]) -> str:
        name = match[1].lower()
        count[name] = count.get(name, 0) + 1
        return match[0] if count[name] == 1 else f"{match[0]}_{count[name]}"

    try:
        return cif.read_string(_BLOCK.sub(rename, text))
    except (ValueError, RuntimeError) as problem:
        raise _syntax(str(problem), path) from problem


def _syntax(message: str, path: Path | None) -> InputError:
    """Gemmi says ``string:LINE:COLUMN(OFFSET): WHAT`` or ``string:LINE in data_x: WHAT``."""
    match = re.match(r"string(?::(\d+))?(?::\d+\(\d+\))?\s*(.*)", message, re.DOTALL)
    line = int(match[1]) if match and match[1] else None
    what = (match[2] if match else message).strip(": ")
    if "values in loop" in what:
        what = "loop incomplete: " + what[0].lower() + what[1:]
    if "block header" in what:
        what = "no data block (is this a CIF?)"
    return InputError(f"not a CIF: {what}", path=path, line=line, code="syntax")


def _no_structure(document: cif.Document, path: Path | None) -> InputError:
    if len(document) == 0:
        return InputError("no data block", path=path, code="no-data")
    if any(b.find_values("_atom_site.Cartn_x") or b.find_values("_cell.length_a") for b in document):
        return InputError(
            "looks like mmCIF, for macromolecules; crystal reads small-molecule CIF", path=path, code="mmcif"
        )
    return InputError("no atom loop (_atom_site_…)", path=path, code="no-atoms")


def structure(block: cif.Block) -> tuple[ase.Atoms, tuple[str, ...]]:
    """The structure of one block and warnings.

    Raises:
        InputError: no cell, an impossible one, sites that cannot be used, symmetry that makes no sense, or atoms that
            cannot be those of the formula that the file states.
    """
    cell = cell_of(block)
    sites = read_sites(block)
    ops, said = operations(block, cell, sites)
    warnings = [*sites.warnings, *said]
    if ops is None:
        numbers, fractional = sites.numbers, sites.fractional
    else:
        try:
            index, fractional = expand(sites.fractional, ops, cell)
            numbers = sites.numbers[index]
        except DoubtfulError as doubt:
            numbers, fractional, more = _by_pymatgen(explicit(block, ops), str(doubt), sites)
            warnings.extend(more)
    atoms = ase.Atoms(numbers=numbers, positions=fractional @ cell, cell=cell, pbc=True)
    warnings += _volume(block, cell)
    warnings += refuse_contradiction(block, numbers, cell)
    return atoms, tuple(warnings)


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
    block: cif.Block, doubt: str, sites: Sites
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    from crystalcli.nouns.structures.cif_pymatgen import expand_doubtful

    try:
        return expand_doubtful(block, doubt, sites)
    except CrystalError:
        raise
    except Exception as problem:  # pymatgen raises many kinds
        raise InputError(f"sites near special positions ({doubt}): {problem}", code="symmetry") from problem


def _volume(block: cif.Block, cell: NDArray[np.float64]) -> list[str]:
    """Compare the cell with the volume that the file states."""
    text = block.find_value("_cell_volume")
    stated = cif.as_number(text) if text is not None else np.nan
    volume = cells.volume(cell)
    if not np.isfinite(stated) or abs(stated - volume) < VOLUME_AGREES * volume:
        return []
    return [f"_cell_volume is {cif.as_string(str(text))}, the cell has {volume:.4g} Å³"]
