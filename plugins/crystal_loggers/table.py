"""Numbers as a CSV table, made anew with every row: it is whole whenever somebody reads it."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

STEP = "step"


class Table:
    """A row per step, in order; a column for each number that was ever told, empty where it was not.

    Args:
        path: the file; what is in it stays, up to the first step that is told again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[int, dict[str, str]] = {}
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = {int(row.pop(STEP)): {k: v for k, v in row.items() if v} for row in csv.DictReader(file)}

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Add or complete a row; what came after it is forgotten: a run went back to its last state."""
        self.rows = {k: row for k, row in self.rows.items() if k <= step}
        self.rows.setdefault(step, {}).update({name: repr(float(v)) for name, v in values.items()})
        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [STEP, *columns], restval="")
            writer.writeheader()
            writer.writerows({STEP: k, **row} for k, row in sorted(self.rows.items()))
        draft.replace(self.path)

    def close(self) -> None:
        """Nothing is open."""
