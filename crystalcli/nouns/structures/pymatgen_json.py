"""pymatgen's JSON read as plain data. Nothing that the file names is imported, no object is decoded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import ase
import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from crystalcli.nouns.structures.check import is_full
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import sort_arrays, sort_info
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import read_text, where
from crystalcli.vocabulary.errors import InputError, UnsafeInput
from crystalcli.vocabulary.quantities import Quantity

_STRUCTURE_MODULES = ("pymatgen.core.structure",)
_HOLDER_MODULES = ("pymatgen.entries.computed_entries", "pymatgen.core", "pymatgen.analysis", "emmet.core")
_IDS = ("id", "entry_id", "material_id", "task_id", "name")
_HELD_IN = ("structure", "final_structure", "atoms")


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield the structures: one ``Structure``, a list or a table of them by id, or records with a ``structure``.

    Raises:
        InputError: not JSON, or no structure in it. UnsafeInput: it names a class that is none of pymatgen's.
    """
    data = _load(path)
    records = _records(data)
    if not records:
        raise InputError("no pymatgen structure in this JSON", path=path, code="no-atoms")
    single = len(records) == 1 and isinstance(data, dict) and records[0][1] is data
    for index, (name, record) in enumerate(records):
        try:
            yield _entry(record, name if not single else _own_name(record), path, None if single else index)
        except InputError as problem:
            said = problem.reason if single else f"structure {name.removeprefix(':')}: {problem.reason}"
            yield InputError(said, path=path, code=problem.code)


def _load(path: Path) -> Any:
    def refuse(word: str) -> NoReturn:
        raise InputError(f"holds {word}, which is no JSON number", path=path, code="not-finite")

    text = read_text(path)
    try:
        data = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise InputError("nested too deeply", path=path, code="too-deep") from None
    except json.JSONDecodeError as problem:
        raise InputError(f"not JSON: {problem.msg}", path=path, line=problem.lineno, code="syntax") from None
    except ValueError:  # of integers too long for Python
        raise InputError("holds a number with thousands of digits", path=path, code="syntax") from None
    _only_known_classes(data, path)
    return data


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


def _records(data: Any) -> list[tuple[str, dict[str, Any]]]:
    """(id, record) of every structure: a record is a structure, or holds one."""
    if isinstance(data, dict) and (_is_structure(data) or _held(data) is not None):
        return [(_own_name(data), data)]
    if isinstance(data, dict):
        return [(str(k), v) for k, v in data.items() if isinstance(v, dict) and (_is_structure(v) or _held(v))]
    if isinstance(data, list):
        each = [v for v in data if isinstance(v, dict) and (_is_structure(v) or _held(v))]
        return [(_own_name(v) or f":{k}", v) for k, v in enumerate(each)]
    return []


def _is_structure(item: Mapping[str, Any]) -> bool:
    return "lattice" in item and "sites" in item


def _held(item: Mapping[str, Any]) -> dict[str, Any] | None:
    for key in _HELD_IN:
        inner = item.get(key)
        if isinstance(inner, dict) and _is_structure(inner):
            return inner
    return None


def _own_name(item: Mapping[str, Any]) -> str:
    return next((str(item[k]) for k in _IDS if isinstance(item.get(k), (str, int))), "")


def _entry(record: dict[str, Any], name: str, path: Path, index: int | None) -> Entry:
    structure = record if _is_structure(record) else _held(record) or {}
    atoms, sites, warnings = _atoms(structure)
    beside: dict[str, Any] = {}
    for holder in (structure.get("properties"), record.get("data"), None if record is structure else record):
        if isinstance(holder, dict):
            beside |= holder
    labels, tags = sort_info(beside, skip=(*_IDS, "@module", "@class", "@version"))
    known = {k: Quantity(k, level="site") for k in sites}
    return Entry(name, atoms, where(path, index), {**labels, **sites}, tags, known, warnings)


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
    return atoms, _site_labels(sites), tuple(warnings)


def _numbers(value: Any, shape: tuple[int, ...], said: str) -> NDArray[np.float64]:
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(said, code="syntax") from None
    if found.shape != shape:
        raise InputError(said, code="syntax")
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
        raise InputError(f"'{symbol}' of site {k} is no element", code="element")
    return int(atomic_numbers[symbol])


def _site_labels(sites: list[dict[str, Any]]) -> dict[str, Any]:
    """Properties that every site has as a number; elsewhere they are no labels."""
    properties = [s.get("properties") or {} for s in sites]
    if not all(isinstance(p, dict) for p in properties):
        return {}
    found: dict[str, Any] = {}
    for key in properties[0] if properties else ():
        values = [p.get(key) for p in properties]
        shown = [np.nan if v is None else v for v in values]
        try:
            array = np.array(shown, dtype=float)
        except (TypeError, ValueError):
            continue
        if not np.isnan(array).all():
            found |= sort_arrays({key: array})
    return found
