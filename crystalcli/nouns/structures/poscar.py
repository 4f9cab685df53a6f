"""POSCAR and CONTCAR, strictly: every count and number must be there, and elements are never guessed.

Format: https://www.vasp.at/wiki/index.php/POSCAR. Compared with ASE and pymatgen in the tests; both read files with
missing element names (as H, He, …) or counts that do not fit. What stands behind the positions is in
:mod:`crystalcli.nouns.structures.poscar_velocities`.
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
from crystalcli.nouns.structures.element_words import no_element
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import hint, number_in
from crystalcli.nouns.structures.poscar_velocities import after_positions
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import MAX_ATOMS, read_text
from crystalcli.vocabulary.errors import InputError

_FLAG = re.compile(r"\.?([TF])(?:RUE|ALSE)?\.?", re.IGNORECASE)
_COMMENT = re.compile(r"[!#].*")


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield the one structure of the file; the comment is kept as the tag ``comment``.

    Raises:
        InputError: anything missing or unreadable, with its line.
    """
    text = read_text(path)
    try:
        yield (entry := parse(text, str(path)))
    except InputError as problem:
        raise InputError(problem.reason, path=path, line=problem.line, code=problem.code) from None
    if (line := _another(text.split("\n"), 8 + len(entry.atoms))) is not None:
        said = "another structure begins here, only the first is read; write a file for each, or extended XYZ of all"
        yield InputError(said, path=path, line=line, code="syntax")


def parse(text: str, source: str = "") -> Entry:
    """The structure of a POSCAR text, with the velocities that a CONTCAR may have.

    Raises:
        InputError: as :func:`read`.
    """
    title, *rest = text.split("\n")
    if "!" in text or "#" in text:
        rest = [_COMMENT.sub("", line) for line in rest]
    lines = [title, *rest]
    if len(lines) < 8:
        raise InputError(f"has {len(lines)} lines, too few for a POSCAR", code="syntax")
    cell, factor = _cell(lines)
    symbols, warnings, next_line = _species(lines)
    selective = _word(lines, next_line)[:1] in ("s", "S")
    next_line += selective
    mode = _word(lines, next_line)
    if not mode or not mode[0].isalpha():
        raise InputError(f"needs 'Direct' or 'Cartesian', has '{mode}'", line=next_line, code="syntax")
    positions, fixed = _positions(lines, next_line + 1, len(symbols), selective)
    warnings += _behind_places(lines[next_line : next_line + len(symbols)], symbols, selective)
    if mode[0] in "cCkK":
        positions = positions * factor
    else:
        worst = float(np.abs(positions).max())
        if worst > 2.0:
            warnings.append(f"fractional coordinate {worst:g} lies far outside the cell: are these Cartesian?")
        positions = positions @ cell
    atoms = ase.Atoms(symbols, positions=positions, cell=cell, pbc=True)
    more = after_positions(lines, next_line + 1 + len(symbols), len(symbols))
    if more.velocities is not None:
        atoms.set_velocities(more.velocities)
    if fixed is not None and fixed.any():
        atoms.set_constraint(constraints(fixed, cell))
    tags = {"comment": title.strip()} if title.strip() else {}
    said = (*warnings, *more.warnings)
    return Entry("", atoms, source, tags=tags, warnings=said, left_out=more.left_out)


def _another(lines: list[str], first: int) -> int | None:
    """The line from ``first`` on that begins one more POSCAR: a title, scales, a cell, names and counts."""
    for k in range(first, len(lines) - 6):
        if not (row := lines[k + 5].split()) or not row[0][0].isalpha():
            continue
        widths = [
            len(w) if all(number_in(x) is not None for x in w) else 0 for w in map(str.split, lines[k + 1 : k + 5])
        ]
        if widths in ([1, 3, 3, 3], [3, 3, 3, 3]) and all(word.isdecimal() for word in lines[k + 6].split()):
            return k + 1
    return None


def header(lines: list[str]) -> tuple[list[str], NDArray[np.float64]]:
    """Symbol of every atom and cell, Å, of the lines before a mode, as an XDATCAR has them, too.

    Raises:
        InputError: as :func:`read`.
    """
    if len(lines) < 7:
        raise InputError(f"has {len(lines)} lines, too few for names, counts and a cell", code="syntax")
    return _species(lines)[0], _cell(lines)[0]


def _cell(lines: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cell in Å, and what Cartesian coordinates are multiplied with, (3,)."""
    return _scaled(_scale(lines), np.array([_numbers(lines, k, 3)[:3] for k in (3, 4, 5)]))


def _numbers(lines: list[str], number: int, least: int = 1) -> list[float]:
    """Numbers at the beginning of line ``number`` (from 1)."""
    found: list[float] = []
    line = lines[number - 1].strip()
    for word in line.split():
        value = number_in(word)
        if value is None:
            break
        found.append(value)
    if len(found) < least:
        why = hint(line.split()[len(found)]) if len(line.split()) > len(found) else ""
        raise InputError(f"needs {least} numbers, has '{line}'{why}", line=number, code="syntax")
    if not np.isfinite(found).all():
        raise InputError(f"number is not finite: '{line}'", line=number, code="not-finite")
    return found


def _scale(lines: list[str]) -> list[float]:
    scale = _numbers(lines, 2)
    if len(scale) == 2:
        raise InputError("two scales; there is one, or one for each of x, y and z", line=2, code="cell")
    return scale[:3]


def _scaled(scale: list[float], cell: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A negative scale is the volume, three scales are one per Cartesian axis."""
    if len(scale) == 3:
        if min(scale) <= 0:
            raise InputError("three scales must be positive", line=2, code="cell")
        return cell * np.array(scale), np.array(scale)
    volume = abs(cells.volume(cell))
    if volume < 1e-12:
        raise InputError("cell has zero volume", line=3, code="cell")
    if scale[0] == 0:
        raise InputError("scale is 0", line=2, code="cell")
    factor: float = scale[0] if scale[0] > 0 else (-scale[0] / volume) ** (1 / 3)
    return cell * factor, np.full(3, factor)


def _species(lines: list[str]) -> tuple[list[str], list[str], int]:
    """Symbol of every atom, warnings, and the number of the line behind the counts.

    Names and counts go on over several lines, as VASP writes more than 20 groups.
    """
    if not lines[5].split() or not lines[5].split()[0][0].isalpha():
        raise InputError("no line of element names (VASP 4); add one before the counts", line=6, code="element")
    words: list[tuple[str, int]] = []
    number = 6
    while number <= len(lines) and (row := lines[number - 1].split()) and row[0][0].isalpha():
        words += [(word, number) for word in row]
        number += 1
    counts: list[int] = []
    while number <= len(lines) and len(counts) < len(words):
        found = [int(word) for word in lines[number - 1].split() if word.isdecimal()]
        if not found or len(found) != len(lines[number - 1].split()):
            break
        counts += found
        number += 1
    if len(counts) != len(words):
        at = number if not counts else number - 1
        raise InputError(f"{len(words)} elements, {len(counts)} counts", line=at, code="syntax")
    if sum(counts) > MAX_ATOMS:
        raise InputError(f"{sum(counts)} atoms", line=number - 1, code="too-large")
    names = [re.split(r"[_/]", word)[0] for word, _ in words]
    warnings = ["deuterium; taken as H"] if "D" in names else []
    names = ["H" if name == "D" else name for name in names]
    for name, (word, line) in zip(names, words, strict=True):
        if name not in atomic_numbers or name == "X":
            raise InputError(no_element(word), line=line, code="element")
    return [s for s, n in zip(names, counts, strict=True) for _ in range(n)], warnings, number


def _word(lines: list[str], number: int) -> str:
    return lines[number - 1].strip() if number <= len(lines) else ""


def _positions(
    lines: list[str], first: int, n: int, selective: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    rows = lines[first - 1 : first - 1 + n]
    if n == 0:
        raise InputError("has no atoms", line=7, code="no-atoms")
    split = [row.split() for row in rows]
    values = _all_at_once(split, n) if "_" not in "".join(rows) else None  # numpy would take 1_000
    fixed = np.zeros((n, 3), dtype=bool)
    for k in range(n) if values is None or selective else ():
        words = split[k] if k < len(rows) else []
        if len(words) < 3:
            raise InputError(f"{n} atoms are counted, {k} have coordinates", line=first + k, code="syntax")
        _refuse_row(words, rows[k].strip(), first + k)
        if selective:
            flags = [_FLAG.fullmatch(w) for w in words[3:6]]
            if len(flags) < 3 or None in flags:
                raise InputError("selective dynamics needs three flags per atom, T or F", line=first + k, code="syntax")
            fixed[k] = [flag is not None and flag[1] in "fF" for flag in flags]
    if values is None:
        values = np.array([[number_in(w) for w in words[:3]] for words in split], dtype=np.float64)
    after = lines[first - 1 + n].split() if len(lines) >= first + n else []
    if len(after) >= 3 and all(number_in(w) is not None for w in after[:3]):  # velocities come behind a blank line
        raise InputError(f"more coordinates than the {n} atoms counted", line=first + n, code="syntax")
    return values, fixed if selective else None


def _behind_places(rows: list[str], symbols: list[str], selective: bool) -> list[str]:
    """Warnings of what rows say that VASP does not read: another element, flags without ``Selective dynamics``."""
    if len(rows[0].split()) < 4:
        return []
    words = [row.split()[3:] for row in rows]
    if not selective and all(len(w) >= 3 and all(map(_FLAG.fullmatch, w[:3])) for w in words):
        held = any(_FLAG.fullmatch(f)[1] in "fF" for w in words for f in w[:3])  # type: ignore[index] # it matches
        return ["T and F behind the positions without 'Selective dynamics': no atom is held"] if held else []
    for k, (said, symbol) in enumerate(zip(words, symbols, strict=True)):
        name = next((re.split(r"[_/]", w)[0] for w in said[3 * selective :]), symbol)
        if name != symbol and name in atomic_numbers and name != "X" and not (name == "D" and symbol == "H"):
            return [f"the row of atom {k} names {name}, the line of names {symbol}, which counts"]
    return []


def _all_at_once(rows: list[list[str]], n: int) -> NDArray[np.float64] | None:
    """Coordinates as numpy reads them; none if a number is missing or written in another way."""
    try:
        values = np.array([row[:3] for row in rows], dtype=np.float64)
    except ValueError:
        return None
    return values if values.shape == (n, 3) and np.isfinite(values).all() else None


def _refuse_row(words: list[str], row: str, line: int) -> None:
    numbers = [number_in(w) for w in words[:3]]
    if None in numbers:
        raise InputError(f"not coordinates: '{row}'{hint(words[numbers.index(None)])}", line=line, code="syntax")
    if not np.isfinite(np.array(numbers, dtype=np.float64)).all():
        raise InputError(f"coordinate is not finite: '{row}'", line=line, code="not-finite")


def constraints(fixed: NDArray[np.bool_], cell: NDArray[np.float64]) -> list[object]:
    """ASE's constraints for flags (N, 3) of what is held along the cell vectors."""
    whole = fixed.all(1)
    constraints: list[object] = [FixAtoms(np.flatnonzero(whole))] if whole.any() else []
    partly = fixed.any(1) & ~whole
    constraints += [FixScaled(int(k), fixed[k], cell) for k in np.flatnonzero(partly)]
    return constraints
