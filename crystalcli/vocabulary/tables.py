"""Rows as CSV or JSON lines, whatever an id holds: commas, quotes, line ends, escape sequences, formulas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crystalcli.vocabulary.texts import cell, json_inert


def csv_line(cells: Sequence[Any]) -> str:
    """One CSV record (RFC 4180 quoting) with its line end; texts are :func:`crystalcli.vocabulary.texts.cell`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        ["" if c is None else cell(c) if isinstance(c, str) else c for c in cells]
    )
    return text.getvalue()


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A whole CSV file.

    Raises:
        ValueError: a row that is longer or shorter than the header, whose columns would be others'.
    """

    def line(row: Sequence[Any]) -> str:
        if len(row) != len(header):
            raise ValueError(f"{len(row)} cells below {len(header)} columns: {row}")
        return csv_line(row)

    return csv_line(header) + "".join(map(line, rows))


def json_line(row: Mapping[str, Any], *, sort_keys: bool = False) -> str:
    """One JSON line with its line end; no NaN, nothing that steers a terminal."""
    return json_inert(json.dumps(row, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)) + "\n"
