"""POSCAR and CONTCAR, strictly: every count and number must be there, and elements are never guessed.

Format: https://www.vasp.at/wiki/index.php/POSCAR. Compared with ASE and pymatgen in the tests; both read files with
missing element names (as H, He, …) or counts that do not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import ase
import numpy as np
from ase.constraints import FixAtoms, FixScaled
from ase.data import atomic_numbers
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import read_text
from crystalcli.vocabulary.errors import InputError

MAX_ATOMS = 5_000_000
_FLOAT = re.compile(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?")


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield the one structure of the file; the comment is kept as the tag ``comment``.

    Raises:
        InputError: anything missing or unreadable, with its line.
    """
    try:
        atoms, comment, warnings = parse(read_text(path))
    except InputError as problem:
        raise InputError(problem.reason, path=path, line=problem.line, code=problem.code) from None
    yield Entry("", atoms, str(path), tags={"comment": comment} if comment else {}, warnings=warnings)


def parse(text: str) -> tuple[ase.Atoms, str, tuple[str, ...]]:
    """Structure, comment and warnings of a POSCAR text.

    Raises:
        InputError: as :func:`read`.
    """
    lines = text.split("\n")
    if len(lines) < 8:
        raise InputError(f"has {len(lines)} lines, too few for a POSCAR", code="syntax")
    cell = _scaled(_numbers(lines, 2), np.array([_numbers(lines, k, 3)[:3] for k in (3, 4, 5)]))
    symbols, next_line = _species(lines)
    warnings = ["deuterium; taken as H"] if "D" in re.split(r"[\s_/]+", lines[5]) else []
    if len(symbols) > MAX_ATOMS:
        raise InputError(f"{len(symbols)} atoms", line=next_line - 1, code="too-large")
    selective = _word(lines, next_line)[:1] in ("s", "S")
    next_line += selective
    mode = _word(lines, next_line)
    if not mode or not mode[0].isalpha():
        raise InputError(f"needs 'Direct' or 'Cartesian', has '{mode}'", line=next_line, code="syntax")
    positions, fixed = _positions(lines, next_line + 1, len(symbols), selective)
    cartesian = mode[0] in "cCkK"
    if cartesian:
        factor = _scale_of_coordinates(_numbers(lines, 2), cell, lines)
        positions = positions * factor
    else:
        worst = float(np.abs(positions).max())
        if worst > 2.0:
            warnings.append(f"fractional coordinate {worst:g} lies far outside the cell: are these Cartesian?")
        positions = positions @ cell
    atoms = ase.Atoms(symbols, positions=positions, cell=cell, pbc=True)
    if fixed is not None and fixed.any():
        atoms.set_constraint(_constraints(fixed, cell))
    return atoms, lines[0].strip(), tuple(warnings)


def _numbers(lines: list[str], number: int, least: int = 1) -> list[float]:
    """Numbers at the beginning of line ``number`` (from 1), comments dropped."""
    found: list[float] = []
    for word in lines[number - 1].split():
        try:
            found.append(float(word.replace("D", "E").replace("d", "e")))
        except ValueError:
            break
    if len(found) < least:
        raise InputError(f"needs {least} numbers, has '{lines[number - 1].strip()}'", line=number, code="syntax")
    if not np.isfinite(found).all():
        raise InputError(f"number is not finite: '{lines[number - 1].strip()}'", line=number, code="not-finite")
    return found


def _scaled(scale: list[float], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cell in Å; a negative scale is the volume, three scales are one per Cartesian axis."""
    if len(scale) >= 3:
        if min(scale[:3]) <= 0:
            raise InputError("three scales must be positive", line=2, code="cell")
        stretched: NDArray[np.float64] = cell * np.array(scale[:3])
        return stretched
    volume = abs(cells.volume(cell))
    if volume < 1e-12:
        raise InputError("cell has zero volume", line=3, code="cell")
    if scale[0] == 0:
        raise InputError("scale is 0", line=2, code="cell")
    factor: float = scale[0] if scale[0] > 0 else (-scale[0] / volume) ** (1 / 3)
    return cell * factor


def _scale_of_coordinates(scale: list[float], cell: NDArray[np.float64], lines: list[str]) -> NDArray[np.float64]:
    if len(scale) >= 3:
        return np.array(scale[:3])
    raw = np.array([_numbers(lines, k, 3)[:3] for k in (3, 4, 5)])
    k = np.unravel_index(np.abs(raw).argmax(), raw.shape)
    return np.full(3, cell[k] / raw[k])


def _species(lines: list[str]) -> tuple[list[str], int]:
    """Symbol of every atom, and the number of the line behind the counts."""
    words = lines[5].split()
    if not words or not words[0][0].isalpha():
        raise InputError("no line of element names (VASP 4); add one before the counts", line=6, code="element")
    counts: list[int] = []
    for word in lines[6].split():
        if not word.isdigit():
            break
        counts.append(int(word))
    if len(counts) != len(words):
        raise InputError(f"{len(words)} elements, {len(counts)} counts", line=7, code="syntax")
    if sum(counts) > MAX_ATOMS:
        raise InputError(f"{sum(counts)} atoms", line=7, code="too-large")
    names = [re.split(r"[_/]", word)[0] for word in words]
    names = ["H" if name == "D" else name for name in names]
    for name, word in zip(names, words, strict=True):
        if name not in atomic_numbers or name == "X":
            raise InputError(f"'{word}' is no element", line=6, code="element")
    return [s for s, n in zip(names, counts, strict=True) for _ in range(n)], 8


def _word(lines: list[str], number: int) -> str:
    return lines[number - 1].strip() if number <= len(lines) else ""


def _positions(
    lines: list[str], first: int, n: int, selective: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    rows = lines[first - 1 : first - 1 + n]
    if n == 0:
        raise InputError("has no atoms", line=7, code="no-atoms")
    values = np.empty((n, 3))
    fixed = np.zeros((n, 3), dtype=bool)
    for k in range(n):
        words = rows[k].split() if k < len(rows) else []
        if len(words) < 3:
            raise InputError(f"{n} atoms are counted, {k} have coordinates", line=first + k, code="syntax")
        try:
            values[k] = [float(w.replace("D", "E").replace("d", "e")) for w in words[:3]]
        except ValueError:
            raise InputError(f"not coordinates: '{rows[k].strip()}'", line=first + k, code="syntax") from None
        if not np.isfinite(values[k]).all():
            raise InputError(f"coordinate is not finite: '{rows[k].strip()}'", line=first + k, code="not-finite")
        if selective:
            if len(words) < 6:
                raise InputError("selective dynamics needs three flags per atom", line=first + k, code="syntax")
            fixed[k] = [w.strip(".").upper().startswith("F") for w in words[3:6]]
    after = lines[first - 1 + n].split() if len(lines) >= first + n else []
    if len(after) >= 3 and all(_FLOAT.fullmatch(w) for w in after[:3]):  # velocities come behind a blank line
        raise InputError(f"more coordinates than the {n} atoms counted", line=first + n, code="syntax")
    return values, fixed if selective else None


def _constraints(fixed: NDArray[np.bool_], cell: NDArray[np.float64]) -> list[object]:
    whole = fixed.all(1)
    constraints: list[object] = [FixAtoms(np.flatnonzero(whole))] if whole.any() else []
    partly = fixed.any(1) & ~whole
    constraints += [FixScaled(int(k), fixed[k], cell) for k in np.flatnonzero(partly)]
    return constraints
