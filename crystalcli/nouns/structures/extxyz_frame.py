"""A frame of extended XYZ → structure and per-atom columns, strictly: every column is what ``Properties`` says.

Keys and names of columns that make the structure are known in any case (``lattice=``, ``properties=``, ``cell=``): what
was meant as a crystal must not become a molecule. Nothing is guessed: a row, word or number that does not fit is named
with its line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from crystalcli.nouns.structures.element_words import no_element
from crystalcli.nouns.structures.numbers import no_number, number_in
from crystalcli.vocabulary.errors import InputError

_PLAIN = "species:S:1:pos:R:3"
_YES = frozenset(("t", "true", "1", ".true.", "yes"))
_NO = frozenset(("f", "false", "0", ".false.", "no"))
_POSITIONS = ("pos", "positions")
_SPECIES = ("species", "symbols", "element", "elements")
_NUMBERS = ("z", "numbers")
_CELLS = ("unitcell", "latticevectors", "cellvectors", "box", "tv")
"""Names, without ``_``, under which nine numbers are a cell where nothing else is."""
_ASE_NAMES = {"charge": "charges"}
"""Columns that ASE calls otherwise."""


@dataclass
class Frame:
    """What a frame holds.

    Args:
        atoms: the structure, with momenta, charges, tags and what else makes it one.
        info: the pairs of the comment line that do not make the structure.
        columns: per-atom columns that do not make the structure, by name.
        left_out, warnings, notes: as of an :class:`~crystalcli.nouns.structures.entry.Entry`.
    """

    atoms: ase.Atoms
    info: dict[str, Any]
    columns: dict[str, NDArray[Any]]
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    start: int
    stop: int


def frame_of(said: dict[str, Any], rows: Sequence[str]) -> Frame:
    """The frame of a comment line, as parsed, and its rows of atoms.

    Raises:
        InputError: anything that cannot be meant; its line is counted from 1 in the frame.
    """
    info, notes = dict(said), list[str]()
    cell = _cell(info, notes)
    pbc = _pbc(info, cell is not None)
    properties, plain = _named(info, notes, "Properties"), False
    if properties is None:
        properties, plain = _PLAIN, True
    columns = _columns(str(properties))
    words = _words(rows, columns[-1].stop, at_least=plain)
    arrays = {c.name: _array(words, c) for c in columns if c.name not in _SPECIES}
    warnings: list[str] = []
    numbers = _elements(words, columns, arrays, warnings, notes)
    atoms = ase.Atoms(
        numbers=numbers,
        positions=next(arrays.pop(n) for n in _POSITIONS if n in arrays),
        cell=cell,
        pbc=pbc,
        charges=arrays.pop("initial_charges", None),
    )
    if "move_mask" in arrays:
        atoms.set_constraint(_constraints(arrays.pop("move_mask")))
    left_out = {}
    if plain and (more := max(len(w) for w in words) if words else 0) > 4:
        left_out["columns that no Properties= names"] = f"{more - 4} behind the positions"
    return Frame(atoms, info, arrays, left_out, warnings, notes)


def _named(info: dict[str, Any], notes: list[str], name: str) -> Any:
    """Take the value of ``name``, which may be written in another case, out of ``info``."""
    if name in info:
        return info.pop(name)
    key = next((k for k in info if k.lower() == name.lower()), None)
    if key is None:
        return None
    notes.append(f"'{key}=' is read as {name}=")
    return info.pop(key)


def _cell(info: dict[str, Any], notes: list[str]) -> NDArray[np.float64] | None:
    """Rows are cell vectors, Å."""
    value = _named(info, notes, "Lattice")
    name = "Lattice"
    if value is None:
        key = next((k for k in info if k.lower() == "cell"), None)
        if key is None or (np.size(info[key]) == 1 and not isinstance(info[key], str)):
            key = next((k for k in info if k.lower().replace("_", "") in _CELLS and np.size(info[k]) == 9), None)
        if key is None:
            return None
        value, name = info.pop(key), key
        notes.append(f"'{key}=' is read as Lattice=")
    numbers = np.array(np.nan if isinstance(value, str) else value)
    if numbers.dtype.kind not in "fi" or numbers.shape not in ((9,), (3, 3), (3,)):
        shown = f"'{value[:40]}'" if isinstance(value, str) else f"{numbers.size} of them"
        raise InputError(f"{name} needs nine numbers, three for each cell vector; has {shown}", line=2, code="syntax")
    if numbers.shape == (3,):
        return np.diag(numbers).astype(np.float64)
    return np.asarray(numbers.reshape(3, 3), dtype=np.float64)


def _pbc(info: dict[str, Any], has_cell: bool) -> list[bool]:
    value = _named(info, [], "pbc")
    if value is None:
        return [has_cell] * 3
    words = [str(v).lower() for v in np.ravel(value)] if not isinstance(value, str) else value.lower().split()
    if len(words) == 1 and len(words[0]) == 3 and set(words[0]) <= {"t", "f"}:
        words = list(words[0])
    if len(words) == 1 and isinstance(value, (bool, np.bool_)):
        words = words * 3
    if len(words) != 3 or not all(w in _YES or w in _NO for w in words):
        raise InputError(f"pbc is '{' '.join(words)[:40]}', not three of T and F", line=2, code="syntax")
    return [w in _YES for w in words]


def _columns(properties: str) -> list[_Column]:
    """The columns that ``NAME:TYPE:COUNT:…`` stands for."""
    words = properties.split(":")
    triples = list(zip(words[::3], words[1::3], words[2::3], strict=False))
    if len(words) % 3 or not all(t.upper() in set("RSIL") and n.isdecimal() and int(n) > 0 for _, t, n in triples):
        raise InputError(
            f"Properties={properties[:80]} are not NAME:TYPE:COUNT, with type R, S, I or L", line=2, code="syntax"
        )
    found: list[_Column] = []
    start = 0
    for name, kind, count in triples:
        low = name.lower()
        known = low if low in (*_POSITIONS, *_SPECIES, *_NUMBERS) else _ASE_NAMES.get(name, name)
        if any(c.name == known for c in found):
            raise InputError(f"Properties name '{name}' for two sets of columns", line=2, code="syntax")
        found.append(_Column(known, kind.upper(), start, start + int(count)))
        start += int(count)
    shapes = {(c.name, c.kind, c.stop - c.start) for c in found}
    if not shapes & {(n, "R", 3) for n in _POSITIONS}:
        raise InputError("Properties name no positions (pos:R:3)", line=2, code="no-atoms")
    if not shapes & ({(n, "S", 1) for n in _SPECIES} | {(n, "I", 1) for n in _NUMBERS}):
        raise InputError("Properties name no elements (species:S:1)", line=2, code="no-atoms")
    return found


def _words(rows: Sequence[str], width: int, *, at_least: bool) -> list[list[str]]:
    words = [row.split() for row in rows]
    for k, row in enumerate(words):
        if len(row) != width and not (at_least and len(row) > width):
            said = f"the row of atom {k} has {len(row)} columns, Properties say {width}"
            raise InputError(said, line=3 + k, code="syntax")
    return words


def _array(words: list[list[str]], column: _Column) -> NDArray[Any]:
    """One set of columns: (N,) or (N, count)."""
    one, place = column.stop - column.start == 1, column.start
    cells: list[Any] = [w[place] for w in words] if one else [w[place : column.stop] for w in words]
    if column.kind == "S":
        return np.array(cells, dtype=object)
    if column.kind == "R":
        try:
            found: NDArray[Any] = np.array(cells, dtype=np.float64)
        except ValueError:
            found = _one_by_one(words, column, number_in)
        else:
            if "_" in str(cells):  # numpy would take 1_000
                found = _one_by_one(words, column, number_in)
        return found
    return _one_by_one(words, column, _integer) if column.kind == "I" else _one_by_one(words, column, _truth)


def _one_by_one(words: list[list[str]], column: _Column, read: Callable[[str], Any]) -> NDArray[Any]:
    rows = []
    for k, row in enumerate(words):
        values = [read(w) for w in row[column.start : column.stop]]
        if None in values:
            bad = row[column.start + values.index(None)]
            said = {"R": no_number(bad), "I": f"'{bad}', no whole number", "L": f"'{bad}', neither T nor F"}
            raise InputError(f"{column.name} of atom {k} is {said[column.kind]}", line=3 + k, code="syntax")
        rows.append(values if column.stop - column.start > 1 else values[0])
    return np.array(rows)


def _integer(word: str) -> int | None:
    number = number_in(word)
    return int(number) if number is not None and number.is_integer() else None


def _truth(word: str) -> bool | None:
    return True if word.lower() in _YES else False if word.lower() in _NO else None


def _elements(
    words: list[list[str]],
    columns: list[_Column],
    arrays: dict[str, NDArray[Any]],
    warnings: list[str],
    notes: list[str],
) -> NDArray[np.int64]:
    """Atomic number of every atom; those of a column of numbers count, as with ASE, unless symbols say another."""
    symbols = next(([w[c.start] for w in words] for c in columns if c.name in _SPECIES), [])
    known = {s: _number_of(s) for s in set(symbols)}
    for name in _NUMBERS:
        if name in arrays:
            numbers = arrays.pop(name)
            if numbers.size and not (0 < numbers.min() <= numbers.max() < len(chemical_symbols)):
                bad = int(numbers[(numbers < 1) | (numbers >= len(chemical_symbols))][0])
                raise InputError(f"{bad} is the number of no element", code="element")
            for k, (symbol, number) in enumerate(zip(symbols, numbers.tolist(), strict=False)):
                if known[symbol] not in (0, number):
                    said = f"atom {k} is '{symbol}' by its symbol, {chemical_symbols[int(number)]} by its number"
                    raise InputError(said, line=3 + k, code="element")
            return numbers.astype(np.int64)
    for k, symbol in enumerate(symbols):
        if not known[symbol]:
            raise InputError(no_element(symbol, f"atom {k}"), line=3 + k, code="element")
    digits = {int(s) for s in known if s.isdigit()}
    if digits and digits == set(range(1, len(digits) + 1)):
        which = ", ".join(map(str, sorted(digits)))
        said = f"{which} where symbols stand: types of LAMMPS, or atomic numbers? write symbols (dump_modify ID element"
        raise InputError(f"{said} …), or name the column Z in Properties", line=3, code="element")
    notes += [f"'{k}' is taken as an atomic number, {chemical_symbols[k]}" for k in sorted(digits)]
    if any(s.upper() == "D" for s in known):
        warnings.append("deuterium; taken as H")
    capitals = sorted(s for s in known if len(s) == 2 and s.isupper())  # CO, or a name of an atom such as CA
    notes += [f"'{s}' is taken as the element {s.capitalize()}" for s in capitals]
    return np.array([known[s] for s in symbols], dtype=np.int64)


def _number_of(symbol: str) -> int:
    """0 for what is no element."""
    if symbol.isascii() and symbol.isdigit():
        return int(symbol) if int(symbol) < len(chemical_symbols) else 0
    name = symbol.capitalize()
    return int(atomic_numbers.get("H" if name == "D" else name, 0))


def _constraints(mask: NDArray[Any]) -> list[Any]:
    """``move_mask``: what is true moves."""
    from ase.constraints import FixAtoms, FixCartesian  # takes as long as many files

    held = ~mask.astype(bool)
    if held.ndim == 1:
        return [FixAtoms(mask=held)]
    if held.shape[1:] != (3,):
        raise InputError("move_mask has neither one nor three columns", line=2, code="syntax")
    return [FixCartesian(k, mask=row) for k, row in enumerate(held)]
