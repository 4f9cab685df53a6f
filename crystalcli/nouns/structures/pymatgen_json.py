"""JSON of pymatgen, JARVIS, Matbench, MPtrj, OPTIMADE and OQMD, read as plain data.

Nothing that the file names is imported, no object is decoded. Where structures stand in it is found by
:mod:`crystalcli.nouns.structures.json_layouts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from crystalcli.nouns.structures.check import is_full
from crystalcli.nouns.structures.element_words import no_element
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.json_frames import unframed
from crystalcli.nouns.structures.json_layouts import IDS, Record, alone, known_layouts, records
from crystalcli.nouns.structures.json_services import answers
from crystalcli.nouns.structures.numbers import is_number
from crystalcli.nouns.structures.offered import Offered, entry_of, numbers_of
from crystalcli.nouns.structures.poscar import constraints
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import read_text, where
from crystalcli.vocabulary.errors import InputError, UnsafeInput

_FLAGS = "selective_dynamics"
_OF_SPECIES = ("oxidation_state", "spin")


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield the structures, wherever they stand.

    Raises:
        InputError: not JSON, or no structure in it. UnsafeInput: it names a class that is none of pymatgen's.
    """
    data = _load(path)
    found, single = records(unframed(answers(data))), alone(data)
    if not found:
        raise InputError(f"no structure in this JSON that is known here: {_looks(data)}", path=path, code="no-atoms")
    for index, record in enumerate(found):
        try:
            yield _entry(record, path, None if single else index)
        except InputError as problem:
            said = problem.reason if single else f"structure {record.name or index}: {problem.reason}"
            yield InputError(said, path=path, code=problem.code)


def _looks(data: Any) -> str:
    """What stands outermost, and what is known."""
    if isinstance(data, dict):
        keys = ", ".join(list(data)[:5])
        return f"a table with the keys {keys}; known is {known_layouts()}"
    return f"{'a list' if isinstance(data, list) else 'a single value'}; known is {known_layouts()}"


def _load(path: Path) -> Any:
    text = read_text(path)
    try:
        data = json.loads(text)  # NaN too, which Python writes: a label is missing, a place is refused
    except RecursionError:
        raise InputError("nested too deeply", path=path, code="too-deep") from None
    except json.JSONDecodeError as problem:
        data = _lines(text)
        if not data:
            raise InputError(f"not JSON: {problem.msg}", path=path, line=problem.lineno, code="syntax") from None
    except ValueError:  # of integers too long for Python
        raise InputError("holds a number with thousands of digits", path=path, code="syntax") from None
    if isinstance(data, dict) and {"ids", "nextid"} <= data.keys():
        cure = f"'ase db {path.name} --insert-into {path.stem}.db' makes one that is read"
        raise InputError(f"is a database of ASE as JSON; {cure}", path=path, code="unknown-format")
    _only_known_classes(data, path)
    return data


def _lines(text: str) -> list[Any]:
    """JSON lines, a value a line, a damaged one as its fault; ``[]`` where the first is not whole or alone."""
    found: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line.strip():
                found.append(json.loads(line))
        except (ValueError, RecursionError) as problem:
            if not found:
                return []
            found.append(Record("", {}, fault=f"line {number} is not JSON: {getattr(problem, 'msg', problem)}"))
    return found if len(found) > 1 else []


def _only_known_classes(data: Any, path: Path) -> None:
    """Refuse markers by which decoders import code, wherever they stand."""
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            module = item.get("@module")
            if module is not None and not _harmless(module):
                raise UnsafeInput(
                    f"names a class to import ({module}.{item.get('@class', '')}); not read", path=path, code="unsafe"
                )
            if "@callable" in item or "__ase_objtype__" in item:
                raise UnsafeInput("names code to run; not read", path=path, code="unsafe")
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(v for v in item if isinstance(v, (dict, list)))


def _harmless(module: Any) -> bool:
    return isinstance(module, str) and (
        module.split(".")[0] in ("pymatgen", "emmet", "matminer") or module in ("numpy", "datetime")
    )


def _entry(record: Record, path: Path, index: int | None) -> Entry:
    if record.fault:
        raise InputError(record.fault, code="layout")
    structure = record.structure
    atoms, sites, warnings = _jarvis_atoms(structure) if "lattice_mat" in structure else _atoms(structure)
    offered = Offered(len(atoms), atoms.cell.array, notes=list(record.notes))
    offered.take(record.beside, record.known, skip=(*IDS, "@module", "@class", "@version"), per_atom=True)
    offered.take_sites(sites)
    if is_number(structure.get("charge")) and structure["charge"]:
        offered.left_out["charge of the cell"] = "a number"
    name = record.name or ("" if index is None else f":{index}")
    return entry_of(offered, name, atoms, where(path, index), warnings)


def _atoms(data: Mapping[str, Any]) -> tuple[ase.Atoms, dict[str, Any], tuple[str, ...]]:
    """Atoms, site labels and warnings of a plain structure dictionary."""
    lattice, sites = data["lattice"], data["sites"]
    if not isinstance(lattice, dict) or not isinstance(sites, list):
        raise InputError("no lattice or no sites", code="syntax")
    cell = _numbers(lattice.get("matrix"), (3, 3), "the lattice has no matrix of 3 × 3 numbers")
    pbc = lattice.get("pbc", (True, True, True))
    if len(pbc) != 3 or not all(isinstance(b, bool) for b in pbc):
        raise InputError(f"pbc of the lattice is {str(pbc)[:40]}, not three of true and false", code="syntax")
    for k, site in enumerate(sites):
        if not isinstance(site, dict):
            raise InputError(f"site {k} is no record with 'abc' and 'species'", code="syntax")
    places = [_numbers(s.get("abc"), (3,), f"site {k} has no three coordinates 'abc'") for k, s in enumerate(sites)]
    fractional = np.array(places).reshape(-1, 3)
    warnings: list[str] = []
    numbers = [_species(s.get("species"), k, warnings) for k, s in enumerate(sites)]
    atoms = ase.Atoms(numbers=numbers, positions=fractional @ cell, cell=cell, pbc=pbc)
    labels = _site_labels(sites)
    movable = labels.pop(_FLAGS, None)
    if movable is not None:
        atoms.set_constraint(constraints(~movable, cell))
    return atoms, labels, tuple(warnings)


def _numbers(value: Any, shape: tuple[int, ...], said: str) -> NDArray[np.float64]:
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(said, code="syntax") from None
    if found.shape != shape:
        raise InputError(said, code="syntax")
    if not np.isfinite(found).all():
        raise InputError(f"{said}: one is not finite", code="not-finite")
    return found


def _species(species: Any, k: int, warnings: list[str]) -> int:
    try:
        ((symbol, occupancy),) = [(str(s["element"]), float(s.get("occu", 1))) for s in species]
    except (KeyError, TypeError, ValueError):
        if isinstance(species, list) and len(species) != 1:
            raise InputError(
                f"partial occupancy: {len(species)} species at site {k}", code="partial-occupancy"
            ) from None
        raise InputError(f"site {k} has no element", code="element") from None
    if not is_full(occupancy):
        kind = "partial" if 0 < occupancy < 1 else "impossible"
        raise InputError(f"{kind} occupancy {occupancy:g} at site {k}", code="partial-occupancy")
    if symbol in ("D", "T"):
        if not warnings:
            warnings.append(f"site {k} is {symbol}; taken as H")
        return 1
    if atomic_numbers.get(symbol, 0) < 1:
        raise InputError(no_element(symbol, f"site {k}"), code="element")
    return int(atomic_numbers[symbol])


def _site_labels(sites: list[dict[str, Any]]) -> dict[str, Any]:
    """Properties of the sites and their species as columns: numbers where every site has one or none, else as it is."""
    properties = [s.get("properties") or {} for s in sites]
    if not all(isinstance(p, dict) for p in properties):
        return {}
    properties = [
        {k: s["species"][0][k] for k in _OF_SPECIES if k in s["species"][0]} | p
        for s, p in zip(sites, properties, strict=True)
    ]
    found: dict[str, Any] = {}
    flags = [p.pop(_FLAGS, None) or [True] * 3 for p in properties]
    if all(isinstance(f, list) and len(f) == 3 and set(map(type, f)) == {bool} for f in flags) and not np.all(flags):
        found[_FLAGS] = np.array(flags)
    for key in dict.fromkeys(k for p in properties for k in p):
        values = _moments([p.get(key) for p in properties])
        width = next((len(v) for v in values if isinstance(v, list)), 0)
        array = numbers_of([[np.nan] * width if v is None and width else v for v in values])
        if array is None:
            found[key] = np.array([str(v) for v in values], dtype=object)
        elif not np.isnan(array).all():
            found[key] = array
    return found


def _moments(values: list[Any]) -> list[Any]:
    """Moments that pymatgen keeps as objects: numbers where all lie on one axis, else vectors of Cartesian x y z."""
    if not all(isinstance(v, dict) and v.get("@class") == "Magmom" for v in values):
        return values
    moments, axes = ([_plain(v.get(key)) for v in values] for key in ("moment", "saxis"))
    if any(axis != axes[0] for axis in axes) or not all(isinstance(m, list) and len(m) == 3 for m in moments):
        return values
    if not any(m[0] or m[1] for m in moments):
        return [m[2] for m in moments]
    return moments if axes[0] == [0, 0, 1] else values


def _plain(value: Any) -> Any:
    """An array as pymatgen writes it, as a list."""
    return value.get("data") if isinstance(value, dict) else value


def _truth(said: Any) -> bool:
    """What ``cartesian`` says, which tables have as a word."""
    word = str(said or False).strip().lower()
    if word not in ("true", "false"):
        raise InputError(f"'cartesian' is '{word[:40]}', neither true nor false", code="syntax")
    return word == "true"


def _jarvis_atoms(data: Mapping[str, Any]) -> tuple[ase.Atoms, dict[str, Any], tuple[str, ...]]:
    """Atoms, site labels and warnings of a structure of JARVIS; ``props`` are words on the sites."""
    cell = _numbers(data["lattice_mat"], (3, 3), "'lattice_mat' is no matrix of 3 × 3 numbers")
    elements = data["elements"]
    if not isinstance(elements, list):
        raise InputError("'elements' is no list", code="syntax")
    places = _numbers(data["coords"] or np.zeros((0, 3)), (len(elements), 3), "'coords' are not three per element")
    warnings: list[str] = []
    numbers = [_species([{"element": str(e).strip()}], k, warnings) for k, e in enumerate(elements)]
    positions = places if _truth(data.get("cartesian")) else places @ cell
    words = data.get("props")
    told = isinstance(words, list) and len(words) == len(elements) and any(words)
    atoms = ase.Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
    return atoms, {"props": np.array(words, dtype=object)} if told else {}, tuple(warnings)
