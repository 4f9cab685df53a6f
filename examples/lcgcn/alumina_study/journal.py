"""What is done, as small JSON files that appear whole or not at all: the study may be killed at any time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from alumina_study.records import Cell
from crystalcli.engine.run import files


class Journal:
    """Results of the cells under ``output/cells``."""

    def __init__(self, output: Path) -> None:
        self.folder = output / "cells"

    def of(self, cell: Cell) -> Path:
        """Folder of a cell."""
        return self.folder / cell.key

    def read(self, cell: Cell, name: str) -> dict[str, Any] | None:
        """A result, or none if it is not there yet."""
        path = self._path(cell, name)
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def write(self, cell: Cell, name: str, result: dict[str, Any]) -> None:
        """Keep a result."""
        files.write_text(self._path(cell, name), json.dumps(result, indent=1, ensure_ascii=False) + "\n")

    def done(self, cell: Cell) -> bool:
        """Whether training and all tests are there."""
        return all(self.read(cell, name) is not None for name in ("trained", *cell.tests))

    def _path(self, cell: Cell, name: str) -> Path:
        return self.of(cell) / f"{name.replace('/', '-')}.json"
