"""What the files of a run say, read as they are: the :class:`crystalcli.contracts.sections.ReportedRun` of the host.

A file that is missing, cut off or of another version says nothing, and :attr:`RunFiles.problems` says that it did not.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crystalcli.contracts.sections import Geometry
from crystalcli.engine.record.run_record import CHILDREN, REPORT, REQUEST
from crystalcli.engine.report.run_structures import chosen_frames, structures_of
from crystalcli.engine.run.run_folder import RunFolder

MOST_READ = 200_000_000
"""Bytes of a table or trajectory that are read; a larger one is left out, and said."""
csv.field_size_limit(1 << 24)


@dataclass
class RunFiles:
    """See :class:`crystalcli.contracts.sections.ReportedRun`.

    Raises:
        UsageError: no run there.
    """

    path: Path
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record: Mapping[str, Any] = RunFolder.read(self.path)
        self.report: Mapping[str, Any] = self._report()
        asked = self.record.get(REQUEST)
        self.request: Mapping[str, Any] = asked if isinstance(asked, Mapping) else {}
        self.options: Mapping[str, Any] = self.request.get("options", {})

    @property
    def command(self) -> str:
        """The workflow that made it."""
        return str(self.record.get("command", ""))

    @property
    def children(self) -> list[str]:
        """Folders of the runs in it that are there."""
        return [n for n in self.record.get(CHILDREN, ()) if (self.path / str(n) / "run.json").is_file()]

    def metrics(self) -> list[dict[str, Any]]:
        """Lines of metrics.jsonl; a last line that is half written does not count."""
        found = []
        for line in self._text("metrics.jsonl").splitlines():
            try:
                one = json.loads(line)
            except ValueError:
                continue
            if isinstance(one, dict):
                found.append(one)
        return found

    def log(self) -> list[str]:
        """Lines of log.txt."""
        return self._text("log.txt").splitlines()

    def table(self, name: str) -> dict[str, list[str]]:
        """Columns of a CSV file, as texts; the ``'`` that a spreadsheet needs is taken off."""
        text = self._text(name)
        rows = list(csv.reader(text.splitlines())) if text else []
        if not rows:
            return {}
        width = len(rows[0])
        good = [r for r in rows[1:] if len(r) == width]
        if len(good) < len(rows) - 1:
            self.problems.append(f"{name}: {len(rows) - 1 - len(good)} rows are not whole and left out")
        columns = zip(*good, strict=True) if good else ((),) * width
        return {head: [_plain(c) for c in column] for head, column in zip(rows[0], columns, strict=True)}

    def names(self, pattern: str) -> list[str]:
        """Files of the folder, by a pattern, sorted."""
        return sorted(str(p.relative_to(self.path)) for p in self.path.glob(pattern) if p.is_file())

    def frames(self, name: str, most: int = 100) -> Iterator[tuple[Mapping[str, str], Geometry]]:
        """Frames of an extended XYZ file, evenly chosen where there are more than ``most``."""
        path = self.path / name
        if not path.is_file() or self._too_large(path):
            return
        try:
            yield from chosen_frames(path, most)
        except (OSError, ValueError, KeyError) as problem:
            self.problems.append(f"{name}: {problem}")

    def inputs(self, ids: Sequence[str]) -> dict[str, Geometry]:
        """Structures by id, of the run's inputs, where they are still there and what they were."""
        return structures_of(self, ids)

    def child(self, name: str) -> RunFiles:
        """A run in the folder ``name`` below."""
        return RunFiles(self.path / name, self.problems)

    def _report(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self._text(REPORT) or "{}")
        except ValueError as problem:
            self.problems.append(f"{REPORT}: {problem}")
            return {}
        return found if isinstance(found, dict) else {}

    def _text(self, name: str) -> str:
        path = self.path / name
        if not path.is_file() or self._too_large(path):
            return ""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError as problem:
            self.problems.append(f"{name}: {problem.strerror}")
            return ""

    def _too_large(self, path: Path) -> bool:
        try:
            size = path.stat().st_size
        except OSError:
            return False
        if size > MOST_READ:
            self.problems.append(f"{path.name}: {size / 1e6:.0f} MB, too large for a report; left out")
        return size > MOST_READ


def _plain(text: str) -> str:
    return text[1:] if text[:2] in ("'=", "'+", "'-", "'@") else text
