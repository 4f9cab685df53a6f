"""The card of a model as lines for people: whatever keys it has, tables of numbers as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def shown(value: Any) -> str:
    """A plain value in one line."""
    if isinstance(value, Mapping):
        if set(value) == {"name", "options"}:
            return f"{value['name']} ({', '.join(f'{k} {v}' for k, v in value['options'].items())})"
        return ", ".join(f"{k} {shown(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def lines(card: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Every key with its value; what is in a table of tables is a row each."""
    for key, value in card.items():
        name = key.replace("_", " ")
        if not isinstance(value, Mapping) or not value:
            yield f"{indent}{name}: {shown(value)}"
        elif _rows(value):
            yield f"{indent}{name}:"
            yield from _table(value, f"{indent}  ")
        elif any(isinstance(v, Mapping) for v in value.values()):
            yield f"{indent}{name}:"
            yield from lines(value, f"{indent}  ")
        else:
            yield f"{indent}{name}: {shown(value)}"


def _rows(value: Mapping[str, Any]) -> bool:
    """Whether all values are tables of the same plain values."""
    first = next(iter(value.values()))
    return isinstance(first, Mapping) and all(
        isinstance(v, Mapping)
        and v.keys() == first.keys()
        and not any(isinstance(x, Mapping | list) for x in v.values())
        for v in value.values()
    )


def _table(rows: Mapping[str, Mapping[str, Any]], indent: str) -> Iterator[str]:
    names = list(next(iter(rows.values())))
    table = [
        ["", *(n.replace("_", " ") for n in names)],
        *([k, *(shown(row[n]) for n in names)] for k, row in rows.items()),
    ]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        yield (indent + "  ".join(cells)).rstrip()
