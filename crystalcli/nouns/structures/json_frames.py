"""Tables of pandas as JSON: by rows (Matbench), by columns, with a ``schema``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from crystalcli.nouns.structures.json_layouts import Record, is_structure, row_record


def unframed(data: Any) -> Any:
    """A table of pandas as records; anything else as it is."""
    if not isinstance(data, dict):
        return data
    names, rows = data.get("columns"), data.get("data")
    if isinstance(names, list) and isinstance(rows, list):
        index = data.get("index")
        labels = index if isinstance(index, list) and len(index) == len(rows) else range(len(rows))
        found = [_row(list(map(str, names)), row) for row in rows]
        return dict(zip(map(str, labels), found, strict=True)) if _are_names(labels) else found
    if isinstance(rows, list) and isinstance(data.get("schema"), dict):
        return [_row(row.keys(), list(row.values())) if isinstance(row, dict) else row for row in rows]
    if len(data) > 1 and _is_frame(data):
        columns = list(data.values())
        labels = list(columns[0]) if isinstance(columns[0], dict) else list(range(len(columns[0])))
        found = [_row(data, [column[i] for column in columns]) for i in labels]
        return dict(zip(labels, found, strict=True)) if _are_names(labels) else found
    return data


def _row(names: Collection[str], values: Any) -> Record:
    if not isinstance(values, list) or len(values) != len(names):
        have = len(values) if isinstance(values, list) else "no"
        return Record("", {}, fault=f"the row has {have} values for {len(names)} columns")
    return row_record(dict(zip(names, values, strict=True)))


def _is_frame(data: dict[str, Any]) -> bool:
    """Whether ``data`` has a column of structures by row, some of them missing, and other columns of the same rows."""
    columns = list(data.values())
    if all(isinstance(c, list) and len(c) == len(columns[0]) for c in columns):
        values = columns
    elif all(isinstance(c, dict) and c.keys() == columns[0].keys() for c in columns):
        values = [list(c.values()) for c in columns]
    else:
        return False
    return any(any(map(is_structure, c)) and all(v is None or is_structure(v) for v in c) for c in values) and not all(
        is_structure(v) for c in values for v in c
    )


def _are_names(labels: Any) -> bool:
    """Whether the rows are called something, not only counted."""
    return any(not str(k).isdecimal() for k in labels)
