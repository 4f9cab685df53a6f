"""Where structures stand in a JSON file: alone, in lists and tables by id, in records, in tables of pandas.

=====================  =================================================================================
a structure            ``{"lattice", "sites"}`` of pymatgen, ``{"lattice_mat", "coords", "elements"}`` of JARVIS
a record               holds one under ``structure``, ``final_structure``, ``atoms`` or a name like these
a row                  holds one under any other name, with numbers or words beside it
lists, tables by id    of any of these, three levels deep: ``{material: {frame: record}}`` of MPtrj
=====================  =================================================================================
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from crystalcli.vocabulary.quantities import Quantity

IDS = ("id", "entry_id", "material_id", "task_id", "jid", "mat_id", "name")
HELD_IN = ("structure", "final_structure", "atoms")
_CALLED_SO = re.compile("struct|atoms|crystal", re.IGNORECASE)
"""In the name under which a record holds a structure, where it is none of these."""
_DEEPEST = 3
_NAMED = 5
"""Of what is not read, so many are named."""
_MPTRJ = frozenset(("structure", "force", "stress"))
_OF_MPTRJ: Mapping[str, Quantity] = {
    "force": Quantity("force", "eV/Å", "site"),
    "stress": Quantity("stress", "-kbar", shape=(6,)),
    "magmom": Quantity("magmom", "µB", "site"),
    **{
        name: Quantity(name, "eV/atom")
        for name in ("energy_per_atom", "ef_per_atom", "e_per_atom_relaxed", "ef_per_atom_relaxed")
    },
    **{name: Quantity(name, "eV", extensive=True) for name in ("uncorrected_total_energy", "corrected_total_energy")},
}
"""What B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023) say of their data: stress in kbar with the sign of VASP."""
_ENTRY = "ComputedStructureEntry"
_OF_ENTRY: Mapping[str, Quantity] = {name: Quantity(name, "eV", extensive=True) for name in ("energy", "correction")}
_ENTRY_SAYS = "ComputedStructureEntry: the energy is a total in eV, without the correction"
_MPTRJ_SAYS = "MPtrj: stress is in kbar, compression positive, energies in eV, forces in eV/Å"


@dataclass(frozen=True)
class Record:
    """One structure as it stands in the file.

    Args:
        name: its id; empty if it has none.
        structure: the dictionary of the structure.
        beside: what is said of it elsewhere.
        known: what the layout declares of some of that.
        notes: how it is understood.
        fault: why it cannot be used; empty if it can.
    """

    name: str
    structure: Mapping[str, Any]
    beside: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Quantity] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fault: str = ""


def records(data: Any) -> list[Record]:
    """Every structure in ``data``, and every fault where one was to be, in order; ``[]`` if there is no structure."""
    return list(_found(data, "", 0))


def alone(data: Any) -> bool:
    """Whether the file is one structure, or the record of one."""
    return isinstance(data, dict) and (is_structure(data) or _held(data) != "")


def is_structure(item: Any) -> bool:
    """Whether ``item`` is a structure of pymatgen or JARVIS."""
    return isinstance(item, dict) and (
        ("lattice" in item and "sites" in item) or {"lattice_mat", "coords", "elements"} <= item.keys()
    )


def known_layouts() -> str:
    """In words."""
    return (
        "a Structure of pymatgen or atoms of JARVIS: alone, in records under structure or atoms, in lists, tables by "
        "id (MPtrj) or of pandas (Matbench); or an answer of OPTIMADE or OQMD"
    )


def _found(data: Any, name: str, depth: int) -> Iterator[Record]:
    if isinstance(data, Record):
        yield replace(data, name=name or data.name)
    elif isinstance(data, dict) and alone(data):
        yield _record(data, name, _held(data))
    elif depth and (row := _as_row(data)):
        yield row_record(row, name)
    elif isinstance(data, (dict, list)):
        if depth < _DEEPEST:
            yield from _inside(data, depth)
        elif _holds_structure(data):
            yield Record(name, {}, fault=f"structures lie deeper than {_DEEPEST} levels of lists and tables")


def _inside(data: dict[str, Any] | list[Any], depth: int) -> Iterator[Record]:
    """What a list or table holds; what stands among its structures and is none is a fault of its own, or is named."""
    items = data.items() if isinstance(data, dict) else (("", value) for value in data)
    found = [(str(key), value, list(_found(value, str(key), depth + 1))) for key, value in items]
    if isinstance(data, dict):
        found = _told_apart(found)
    among = any(alone(v) or isinstance(v, Record) for _, v, _ in found)
    unread: list[str] = []
    if isinstance(data, dict):
        unread = [key for key, value, inside in found if not inside and isinstance(value, (int, float, str, list))]
    else:
        among = any(inside for *_, inside in found)
    for key, value, inside in found:
        if inside:
            note = f"beside structures, not read: {', '.join(unread[:_NAMED])}"
            yield replace(inside[0], notes=(*inside[0].notes, note)) if unread else inside[0]
            unread = []
            yield from inside[1:]
        elif among and (_is_failed(value) if isinstance(data, dict) else value != []):
            yield Record(key or _id_in(value), {}, fault=_lack(value))


def _told_apart(found: list[tuple[str, Any, list[Record]]]) -> list[tuple[str, Any, list[Record]]]:
    """Names that several keys have within them (``{"m1": {"relaxed": …}, "m2": {"relaxed": …}}``) behind their key."""
    names = Counter(name for *_, inside in found for name in {r.name for r in inside if r.name})
    return [
        (key, value, [replace(r, name=f"{key}:{r.name}") if names[r.name] > 1 else r for r in inside])
        for key, value, inside in found
    ]


def _is_failed(value: Any) -> bool:
    """Whether a value in a table of structures was to be one."""
    return value is None or (isinstance(value, dict) and any(key in value for key in (*HELD_IN, "lattice", "sites")))


def _lack(value: Any) -> str:
    """Why ``value`` is no structure."""
    if not isinstance(value, dict):
        return f"is {'null' if value is None else f'a {type(value).__name__}'}, no structure"
    key = next((k for k in HELD_IN if k in value), "")
    if key:
        return f"'{key}' is {'null' if value[key] is None else 'none that is known here'}"
    missing = next((k for k in ("lattice", "sites") if k not in value), "")
    return f"has no {missing}" if "lattice" in value or "sites" in value else "holds no structure"


def _as_row(data: Any) -> dict[str, Any]:
    """A row of a table whose columns are called otherwise, or not at all; empty if ``data`` is none.

    What holds structures only is a table of them; a number or a text beside one says something of it.
    """
    if isinstance(data, list):
        data = {f"column {k}": value for k, value in enumerate(data)}
    if not isinstance(data, dict):
        return {}
    structures = sum(map(is_structure, data.values()))
    words = (str,) if structures == 1 else ()
    said = structures and any(isinstance(v, (int, float, *words)) for v in data.values())
    return data if said else {}


def _holds_structure(data: Any) -> bool:
    waiting = [data]
    while waiting:
        item = waiting.pop()
        if is_structure(item):
            return True
        if isinstance(item, (dict, list)):
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return False


def row_record(row: dict[str, Any], name: str = "") -> Record:
    """The record of a row of a table, whatever the column of its structure is called."""
    held = _held(row) or next((k for k, v in row.items() if is_structure(v)), "")
    return _record(row, name, held) if held else Record(name or _id_in(row), {}, fault=_lack(row))


def _record(item: dict[str, Any], name: str, held: str) -> Record:
    name = name or _id_in(item)
    if is_structure(item):
        return Record(name, item, item.get("properties") or {})
    inside, more = item[held].get("properties"), item.get("data")
    name = name or _id_in(more)
    beside = {k: v for part in (inside, more) if isinstance(part, dict) for k, v in part.items()}
    beside |= {k: v for k, v in item.items() if k != held and not (k == "data" and isinstance(v, dict))}
    if item.keys() >= _MPTRJ and any(k in item for k in ("energy_per_atom", "uncorrected_total_energy")):
        return Record(name, item[held], beside, _OF_MPTRJ, (_MPTRJ_SAYS,))
    if item.get("@class") == _ENTRY:
        return Record(name, item[held], beside, _OF_ENTRY, (_ENTRY_SAYS,))
    structures = [key for key, value in item.items() if is_structure(value)]
    several = held not in HELD_IN and len(structures) > 1
    said = f"holds several structures ({', '.join(structures)}); call the one that is meant 'structure'"
    fault = said if several else ""
    return Record(name, item[held], beside, fault=fault)


def _id_in(item: Any) -> str:
    """What a dictionary says that it is called; empty if nothing."""
    if not isinstance(item, dict):
        return ""
    return next((str(item[k]) for k in IDS if isinstance(item.get(k), (str, int))), "")


def _held(item: dict[str, Any]) -> str:
    """The key under which a record holds its structure; empty if it is none."""
    return next((key for key in HELD_IN if is_structure(item.get(key))), "") or next(iter(_called_so(item)), "")


def _called_so(item: dict[str, Any]) -> list[str]:
    """Keys like ``initial_structure`` in a record; none in a table by id, which holds nothing but structures."""
    held = [key for key, value in item.items() if is_structure(value)]
    return held if len(held) < len(item) and all(map(_CALLED_SO.search, map(str, held))) else []
