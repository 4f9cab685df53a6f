"""Text dumps of LAMMPS whose columns name the elements, snapshot by snapshot, atoms in the order of their ids.

Format: https://docs.lammps.org/dump.html. A type is no element, and is never taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase import units
from ase.data import atomic_numbers
from numpy.typing import NDArray

from crystalcli.nouns.structures.element_words import no_element
from crystalcli.nouns.structures.entry import Entry, alone
from crystalcli.nouns.structures.numbers import no_number, number_in
from crystalcli.nouns.structures.offered import Offered, entry_of
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import MAX_ATOMS, text_lines, where
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.units import KJ_PER_MOL

_CURE = "write the dump with 'element' among its columns and 'dump_modify ID element …'"
_PLACES = (("xu", "yu", "zu", False), ("x", "y", "z", False), ("xsu", "ysu", "zsu", True), ("xs", "ys", "zs", True))
"""Columns of positions, the unwrapped ones first, and whether they are fractions of the box."""
_VECTORS = {"forces": ("fx", "fy", "fz"), "velocities": ("vx", "vy", "vz"), "dipoles": ("mux", "muy", "muz")}
_FORCE = {"metal": 1.0, "real": 4.184 * KJ_PER_MOL}
"""eV/Å in the units of LAMMPS."""
_SPEED = {"metal": 1e-3 / units.fs, "real": 1.0 / units.fs}
"""Å/ps and Å/fs in ASE's unit of velocity."""
_OTHER_LENGTHS = {"lj": "sigma", "electron": "Bohr", "si": "m", "cgs": "cm", "micro": "µm", "nano": "nm"}
"""Of LAMMPS' other styles of units."""
_CURE_OF_UNITS = "write the dump in units metal or real"
_PASSED_OVER = ("id", "type", "mol", "ix", "iy", "iz", "element", "mass")

Floats = NDArray[np.float64]


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield every snapshot; one that is damaged is yielded as its error, a file that breaks off ends with one.

    Raises:
        InputError: no dump of LAMMPS.
    """
    held: Entry | InputError | None = None
    index = 0
    for number, sections in _snapshots(path):
        if held is not None:
            yield held
        try:
            held = _entry(sections, path, index)
        except InputError as problem:
            line = number if problem.line is None else problem.line
            held = InputError(
                f"snapshot {index}: {problem.reason}", path=path, line=line, code=problem.code or "syntax"
            )
        index += 1
    if held is None:
        raise InputError("no dump of LAMMPS: no 'ITEM: TIMESTEP'", path=path, line=1, code="syntax")
    yield held if index > 1 or isinstance(held, InputError) else alone(held, path)


Sections = dict[str, tuple[str, int, list[str]]]
"""What follows the name of an item, its line, and its rows."""
_ITEMS = ("TIMESTEP", "NUMBER OF ATOMS", "BOX BOUNDS", "ATOMS", "UNITS", "TIME")


def _snapshots(path: Path) -> Iterator[tuple[int, Sections]]:
    sections: Sections = {}
    lasting: Sections = {}
    rows: list[str] | None = None
    begin = 1
    for number, line in enumerate(text_lines(path), 1):
        if line.startswith("ITEM:"):
            said = line.removeprefix("ITEM:").strip()
            name = next((n for n in _ITEMS if said.startswith(n)), said)
            if name == "TIMESTEP" and name in sections:
                yield begin, sections
            if name == "TIMESTEP":
                sections, begin = dict(lasting), number
            rows = []
            where_to = lasting if name == "UNITS" else sections  # said once, before the first
            where_to[name] = (said.removeprefix(name).strip(), number, rows)
        elif rows is not None:
            rows.append(line)
        elif line.strip():
            return
    if "TIMESTEP" in sections:
        yield begin, sections


def _entry(sections: Mapping[str, tuple[str, int, list[str]]], path: Path, index: int) -> Entry:
    missing = [n for n in ("NUMBER OF ATOMS", "BOX BOUNDS", "ATOMS") if n not in sections]
    if missing:
        raise InputError(f"breaks off, or has no 'ITEM: {missing[0]}'")
    n = _count(sections["NUMBER OF ATOMS"])
    cell, origin, pbc = _box(*sections["BOX BOUNDS"])
    style = sections["UNITS"][2][0].strip() if sections.get("UNITS", ("", 0, []))[2] else ""
    if style in _OTHER_LENGTHS:
        raise InputError(
            f"units {style}: lengths are in {_OTHER_LENGTHS[style]}, not in Å; {_CURE_OF_UNITS}", code="units"
        )
    said, line, rows = sections["ATOMS"]
    names = said.split()
    words = [row.split() for row in rows if row.strip()]
    if len(words) != n:
        raise InputError(f"{n} atoms are counted, {len(words)} are there", line=line + len(words))
    for k, row in enumerate(words, 1):
        if len(row) != len(names):
            raise InputError(f"row has {len(row)} columns, ITEM: ATOMS names {len(names)}", line=line + k)
    columns = {name: [row[k] for row in words] for k, name in enumerate(names)}
    if "element" not in columns:
        raise InputError(f"names no elements; {_CURE}", line=line, code="element")
    numbers = [1 if s == "D" else atomic_numbers.get(s, 0) for s in columns["element"]]
    if 0 in numbers:
        raise InputError(no_element(columns["element"][numbers.index(0)]), line=line, code="element")
    found = {name: _numbers(words, name, line) for name, words in columns.items() if name != "element"}
    order = _order(found["id"], line) if "id" in found else np.arange(n)
    atoms = ase.Atoms(np.array(numbers)[order], positions=_positions(found, cell, origin)[order], cell=cell, pbc=pbc)
    sites = _sites({k: v[order] for k, v in found.items()})
    if style in _SPEED and "velocities" in sites:
        atoms.set_velocities(sites.pop("velocities") * _SPEED[style])
    offered = Offered(n, cell, notes=[_understood(style)])
    if "forces" in sites and style in _FORCE:
        sites["forces"] = sites["forces"] * _FORCE[style]
    offered.take_sites(sites)
    for name in sites.keys() - ({"forces"} if style in _FORCE else set()):
        offered.quantities[name] = Quantity(name, level="site")
    step = number_in(sections["TIMESTEP"][2][0]) if "TIMESTEP" in sections and sections["TIMESTEP"][2] else None
    offered.take({"step": step})
    warnings = ("deuterium; taken as H",) if "D" in columns["element"] else ()
    return entry_of(offered, f":{index}", atoms, where(path, index), warnings)


def _order(ids: Floats, line: int) -> NDArray[np.int64]:
    """Rows by the ids of their atoms; an atom that is there twice stands in the place of another."""
    _, first, count = np.unique(ids, return_index=True, return_counts=True)
    if (count > 1).any():
        twice = ids[first[count > 1][0]]
        k = int(np.flatnonzero(ids == twice)[1])
        raise InputError(f"the id {twice:g} is there {count.max()} times", line=line + 1 + k)
    return np.argsort(ids, kind="stable")


def _understood(style: str) -> str:
    if style in _FORCE:
        return f"units {style}: forces are converted to eV/Å, velocities are kept"
    said = f"units {style}" if style else "no ITEM: UNITS"
    return f"{said}: lengths are taken as Å; forces and velocities stay as written, unit unknown"


def _count(section: tuple[str, int, list[str]]) -> int:
    text = section[2][0].strip() if section[2] else ""
    if not text.isdecimal() or int(text) > MAX_ATOMS:
        raise InputError(f"'{text[:40]}' is no number of atoms", line=section[1] + 1)
    return int(text)


def _numbers(words: list[str], name: str, line: int) -> Floats:
    if not any("_" in w for w in words):  # numpy would take 1_000
        with suppress(ValueError):
            return np.array(words, dtype=np.float64)
    values = [number_in(w) for w in words]
    if None in values:
        k = values.index(None)
        raise InputError(f"{name} of a row is {no_number(words[k])}", line=line + 1 + k)
    return np.array(values, dtype=np.float64)


def _box(said: str, line: int, rows: list[str]) -> tuple[Floats, Floats, list[bool]]:
    """Cell (rows are its vectors), origin, and which of its directions are periodic."""
    flags = [w for w in said.split() if len(w) == 2 and set(w) <= set("pfsm")]
    pbc = [w == "pp" for w in flags] if len(flags) == 3 else [True] * 3
    values = [[number_in(w) for w in row.split()] for row in rows[:3]]
    if len(values) != 3 or any(None in row for row in values) or len({len(row) for row in values}) != 1:
        raise InputError("the box is no three rows of numbers", line=line)
    box = np.array(values, dtype=np.float64)
    if "abc origin" in said and box.shape[1] == 4:
        return box[:, :3], box[:, 3], pbc
    if box.shape[1] not in (2, 3):
        raise InputError("the box is no three rows of two or three numbers", line=line)
    low, high = box[:, 0].copy(), box[:, 1].copy()
    xy, xz, yz = box[:, 2] if box.shape[1] == 3 else (0.0, 0.0, 0.0)
    low[0] -= min(0.0, xy, xz, xy + xz)  # what is written are the bounds of the tilted box
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell, low, pbc


def _positions(found: Mapping[str, Floats], cell: Floats, origin: Floats) -> Floats:
    for *names, scaled in _PLACES:
        if all(name in found for name in names):
            places = np.stack([found[str(name)] for name in names], axis=1)
            return places @ cell if scaled else places - origin
    raise InputError("has no positions (x y z, xu yu zu, xs ys zs, or xsu ysu zsu)", code="no-atoms")


def _sites(found: dict[str, Floats]) -> dict[str, Any]:
    """Columns that are no part of the structure; three of a vector together."""
    used = {name for *names, _ in _PLACES for name in names} | set(_PASSED_OVER)
    sites: dict[str, Any] = {}
    for name, parts in _VECTORS.items():
        if all(p in found for p in parts):
            sites[name] = np.stack([found[p] for p in parts], axis=1)
            used |= set(parts)
    return sites | {name: values for name, values in found.items() if name not in used}
