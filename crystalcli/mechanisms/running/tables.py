"""Rows as CSV or JSON lines, whatever an id holds: commas, quotes, line ends."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def csv_line(cells: Sequence[Any]) -> str:
    """One CSV record (RFC 4180 quoting) with its line end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(["" if c is None else c for c in cells])
    return text.getvalue()


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A whole CSV file."""
    return csv_line(header) + "".join(csv_line(row) for row in rows)


def json_line(row: Mapping[str, Any]) -> str:
    """One JSON line with its line end; no NaN."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
