"""The CGCNN convention: a folder of structure files with ``id_prop.csv``, lines of ``id,value`` without a header."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from crystalcli.nouns.structures.text import read_text
from crystalcli.vocabulary.errors import CrystalError, UsageError

TABLE = "id_prop.csv"
TARGET = "target"
"""Name of the quantity: the table has none. One per structure, unit unknown, intensive."""


@dataclass(frozen=True)
class IdProp:
    """Labels by id, with the line each came from."""

    path: Path
    keys: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
    lines: Mapping[str, int]

    def notes(self, given: set[str]) -> list[str]:
        """Lines that tell the user what was found, how it is understood, and which rows fit no file that was given."""
        named = ", ".join(f"'{k}'" for k in self.keys)
        found = f"labels from {self.path}: {len(self.rows)} rows, quantity {named}, one per structure, unit unknown"
        extra = [f"'{name}' on line {line}" for name, line in self.lines.items() if name not in given]
        if not extra:
            return [found]
        shown = ", ".join(extra[:3]) + (f" and {len(extra) - 3} more" if len(extra) > 3 else "")
        return [found, f"{self.path}: {len(extra)} rows fit no file that was given ({shown})"]

    def labels(self, *names: str) -> dict[str, float]:
        """Labels of the structure called by one of ``names`` (stem, file name)."""
        row = next((self.rows[n] for n in names if n in self.rows), ())
        return {k: v for k, v in zip(self.keys, row, strict=False) if not math.isnan(v)}


def load(path: Path) -> IdProp:
    """Read and check the table; kept in memory until the file changes.

    Raises:
        UsageError: a line that is not an id and numbers, an id twice, or other separators; with the line.
    """
    status = path.stat()
    return _load(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _load(path: Path, _mtime: int, _size: int) -> IdProp:
    try:
        text = read_text(path)
    except CrystalError as problem:
        raise UsageError(problem.reason, path=path, line=problem.line) from problem
    lines = [(n, row) for n, row in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), 1) if any(row)]
    keys: tuple[str, ...] = ()
    if len(lines) > 1 and len(lines[0][1]) > 1 and _is_header(lines[0][1]):
        keys = tuple(c.strip() for c in lines.pop(0)[1][1:])
    rows: dict[str, tuple[float, ...]] = {}
    seen: dict[str, int] = {}
    width = len(lines[0][1])
    for number, row in lines:
        name = row[0].strip()
        if len(row) < 2:
            cure = "; columns are separated by commas" if ";" in row[0] or "\t" in row[0] else ""
            raise UsageError(f"needs an id and a value, has '{row[0]}'{cure}", path=path, line=number)
        if len(row) != width:
            raise UsageError(f"has {len(row)} columns, line {lines[0][0]} has {width}", path=path, line=number)
        if name in seen:
            raise UsageError(f"id '{name}' was already on line {seen[name]}", path=path, line=number)
        seen[name] = number
        rows[name] = tuple(_number(text, path, number) for text in row[1:])
    return IdProp(path, keys or _targets(width - 1), rows, seen)


def _targets(n: int) -> tuple[str, ...]:
    return (TARGET, *(f"{TARGET}{k}" for k in range(2, n + 1)))


def _is_header(row: list[str]) -> bool:
    """A first line whose values all begin like words and are no attempt at a number."""
    return all(c.strip()[:1].isalpha() and c.strip().lower() not in ("nan", "inf", "none", "null") for c in row)


def _number(text: str, path: Path, line: int) -> float:
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"'{text.strip()}' is not a number", path=path, line=line) from None
    if not math.isfinite(value):
        raise UsageError(f"'{text.strip()}' is not a finite number", path=path, line=line)
    return value


def listed_files(path: Path) -> list[Path]:
    """The files that the rows mean, in row order: ``id``, ``id.cif`` or any other structure file with that stem.

    A row without a file gives the ``.cif`` that is missing, so that reading reports it.
    """
    from crystalcli.nouns.structures.formats import format_of, without_gz

    by_stem: dict[str, list[Path]] = {}
    for file in sorted(path.parent.iterdir()):
        if file.name != TABLE and format_of(file) is not None:
            by_stem.setdefault(Path(without_gz(file.name)).stem, []).append(file)
            by_stem.setdefault(file.name, []).append(file)
    return [f for name in load(path).rows for f in by_stem.get(name) or [path.parent / f"{_plain(name)}.cif"]]


def _plain(name: str) -> str:
    """An id never becomes a path elsewhere."""
    return name.replace("/", "_").replace("\\", "_").replace("\0", "_")
