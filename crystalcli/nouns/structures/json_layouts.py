"""Where structures stand in a JSON file: alone, in lists and tables by id, in records, in tables of pandas.

=====================  =================================================================================
a structure            ``{"lattice", "sites"}`` of pymatgen, ``{"lattice_mat", "coords", "elements"}`` of JARVIS
a record               holds one under ``structure``, ``final_structure``, ``atoms`` or a name like these
a table of pandas      ``{"index", "columns", "data": [[structure, y], …]}`` (Matbench), by columns, with a ``schema``
lists, tables by id    of any of these, three levels deep: ``{material: {frame: record}}`` of MPtrj
=====================  =================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crystalcli.vocabulary.quantities import Quantity

IDS = ("id", "entry_id", "material_id", "task_id", "jid", "mat_id", "name")
HELD_IN = ("structure", "final_structure", "atoms")
_CALLED_SO = re.compile("struct|atoms|crystal", re.IGNORECASE)
"""In the name under which a record holds a structure, where it is none of these."""
_DEEPEST = 3
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
    """Every structure in ``data``, in order; ``[]`` if there is none."""
    return list(_found(_unframed(data), "", 0))


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
        "id (MPtrj) or of pandas (Matbench)"
    )


def _found(data: Any, name: str, depth: int) -> Iterator[Record]:
    if isinstance(data, dict) and alone(data):
        yield _record(data, name)
    elif depth < _DEEPEST and isinstance(data, dict):
        for key, value in data.items():
            yield from _found(value, str(key), depth + 1)
    elif depth < _DEEPEST and isinstance(data, list):
        for value in data:
            yield from _found(value, "", depth + 1)


def _record(item: dict[str, Any], name: str) -> Record:
    name = name or _id_in(item)
    if is_structure(item):
        return Record(name, item, item.get("properties") or {})
    held = _held(item)
    inside, more = item[held].get("properties"), item.get("data")
    name = name or (_id_in(more) if isinstance(more, dict) else "")
    beside = {k: v for part in (inside, more) if isinstance(part, dict) for k, v in part.items()}
    beside |= {k: v for k, v in item.items() if k != held and not (k == "data" and isinstance(v, dict))}
    if item.keys() >= _MPTRJ and any(k in item for k in ("energy_per_atom", "uncorrected_total_energy")):
        return Record(name, item[held], beside, _OF_MPTRJ, (_MPTRJ_SAYS,))
    if item.get("@class") == _ENTRY:
        return Record(name, item[held], beside, _OF_ENTRY, (_ENTRY_SAYS,))
    several = ", ".join(_called_so(item)) if held not in HELD_IN and len(_called_so(item)) > 1 else ""
    fault = f"holds several structures ({several}); call the one that is meant 'structure'" if several else ""
    return Record(name, item[held], beside, fault=fault)


def _id_in(item: Mapping[str, Any]) -> str:
    """What a dictionary says that it is called; empty if nothing."""
    return next((str(item[k]) for k in IDS if isinstance(item.get(k), (str, int))), "")


def _held(item: dict[str, Any]) -> str:
    """The key under which a record holds its structure; empty if it is none."""
    return next((key for key in HELD_IN if is_structure(item.get(key))), "") or next(iter(_called_so(item)), "")


def _called_so(item: dict[str, Any]) -> list[str]:
    """Keys like ``initial_structure`` in a record; none in a table by id, which holds nothing but structures."""
    held = [key for key, value in item.items() if is_structure(value)]
    return held if len(held) < len(item) and all(map(_CALLED_SO.search, map(str, held))) else []


def _unframed(data: Any) -> Any:
    """A table of pandas as records; anything else as it is."""
    if not isinstance(data, dict):
        return data
    names, rows = data.get("columns"), data.get("data")
    if isinstance(names, list) and isinstance(rows, list):
        index = data.get("index")
        labels = index if isinstance(index, list) and len(index) == len(rows) else range(len(rows))
        found = [_row(map(str, names), row) for row in rows]
        return dict(zip(map(str, labels), found, strict=True)) if _are_names(labels) else found
    if isinstance(rows, list) and isinstance(data.get("schema"), dict):
        return [_row(row.keys(), row.values()) if isinstance(row, dict) else row for row in rows]
    if len(data) > 1 and _is_frame(data):
        labels = list(next(iter(data.values())))
        found = [_row(data, (column.get(i) for column in data.values())) for i in labels]
        return dict(zip(labels, found, strict=True)) if _are_names(labels) else found
    return data


def _row(names: Any, values: Any) -> dict[str, Any]:
    """A row of a table; its structure, whatever the column is called, is under ``structure``."""
    row = dict(zip(names, values if not isinstance(values, str) else [], strict=False))
    held = _held(row)
    if not held:
        held = next((k for k, v in row.items() if is_structure(v)), "")
        row = {"structure" if k == held else k: v for k, v in row.items()} if held else row
    return row


def _is_frame(data: dict[str, Any]) -> bool:
    """Whether ``data`` has a column of structures by row, and other columns of the same rows."""
    columns = list(data.values())
    return (
        all(isinstance(c, dict) and c.keys() == columns[0].keys() for c in columns)
        and any(c and all(is_structure(v) for v in c.values()) for c in columns)
        and not all(is_structure(v) for c in columns for v in c.values())
    )


def _are_names(labels: Any) -> bool:
    """Whether the rows are called something, not only counted."""
    return any(not str(k).isdecimal() for k in labels)
