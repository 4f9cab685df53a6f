"""Boxes that are finished, as the files of a run say: each is there whole or not at all, and never made twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crystal_glass import EQUATIONS, GLASSES
from crystal_glass.boxes import Box
from crystal_glass.glass_output import FACTS
from crystalcli.contracts.host import Host
from crystalcli.contracts.workflow import Run


def done(run: Run, box: Box) -> bool:
    """Whether a box is finished, as a glass or as a failure."""
    return facts_of(run, box) is not None


def facts_of(run: Run, box: Box) -> dict[str, Any] | None:
    """What is known of a finished box."""
    return kept(run.path / GLASSES / box.name / FACTS, "status")


def equation_of(run: Run, first: Box) -> dict[str, Any] | None:
    """The equation of state of a composition, which is named after its first box; also where none was found."""
    return kept(run.path / equation_file(first), "failed")


def equation_file(first: Box) -> str:
    """Where :func:`equation_of` finds it."""
    return f"{EQUATIONS}/{first.name}.json"


def rows_of(run: Run, boxes: Sequence[Box]) -> Iterator[dict[str, Any]]:
    """Of all that are finished, in order."""
    return (facts for box in boxes if (facts := facts_of(run, box)) is not None)


def kept(file: Path, *keys: str) -> dict[str, Any] | None:
    """What a file of the run says; none where it is not there, or a broken disk has left something without ``keys``."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.keys() >= set(keys) else None


class Watch:
    """How many boxes are done, and how many failed; who hears of its progress tells how long it still takes."""

    def __init__(self, run: Run, boxes: Sequence[Box]) -> None:
        self.run, self.boxes = run, boxes
        self.status: dict[str, str] = {}
        self._look()

    @property
    def done(self) -> int:
        """Boxes that are finished."""
        return len(self.status)

    @property
    def failed(self) -> int:
        """Those of them that are no glass."""
        return sum(status != "ok" for status in self.status.values())

    def finished(self) -> None:
        """Count what is there, and say so."""
        self._look()
        self.run.reporter.say(self._line())
        self.run.reporter.progress(self._line(), self.done, len(self.boxes))

    def _look(self) -> None:
        for box in self.boxes:
            if box.name not in self.status and (facts := facts_of(self.run, box)) is not None:
                self.status[box.name] = facts["status"]

    def _line(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done} of {len(self.boxes)} boxes done{failed}"

    def within(self, host: Host, batch: Sequence[Box]) -> Host:
        """Hears of a batch, as a part of all boxes."""
        failed = f", {self.failed} failed" if self.failed else ""
        return host.within(f"{self.done} of {len(self.boxes)} boxes{failed}", self.done, len(self.boxes), len(batch))
