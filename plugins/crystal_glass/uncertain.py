"""Frames of which an ensemble is not sure: kept bare, each once and not too near to each other, to be labelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Uncertain:
    """Frames of one beginning of a box, run after run.

    Args:
        name: of the box, and which beginning it is.
        above: eV an atom; frames whose sigma is larger are kept.
        apart: steps between two of them at least.
        kept: their texts.
        before: steps of the runs before.
        last: the step of the last one kept, all runs counted.
    """

    name: str
    above: float
    apart: int
    kept: list[str] = field(default_factory=list)
    before: int = 0
    last: int | None = None

    def read(self, trajectory: Path, steps: int) -> None:
        """Take what the trajectory of the next run, of ``steps``, has; one that was stopped has less."""
        if trajectory.exists():
            for lines in _frames(trajectory.read_text(encoding="utf-8")):
                self._frame(lines)
        self.before += steps

    def _frame(self, lines: list[str]) -> None:
        atoms, facts = int(lines[0]), lines[1]
        step, sigma = self.before + int(_said(facts, "step")), float(_said(facts, "energy_sigma"))
        if sigma <= self.above * atoms or (self.last is not None and step < self.last + self.apart):
            return
        self.last = step
        cell = facts.split('Lattice="', 1)[1].split('"', 1)[0]
        head = f'Lattice="{cell}" Properties=species:S:1:pos:R:3 id="{self.name}-{step}" '
        head += f'energy_sigma={sigma!r} temperature={_said(facts, "temperature")} pbc="T T T"'
        rows = (" ".join(line.split()[:4]) for line in lines[2:])
        self.kept.append("\n".join([str(atoms), head, *rows]) + "\n")


def _frames(text: str) -> Iterator[list[str]]:
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        atoms = int(lines[at])
        yield lines[at : at + atoms + 2]
        at += atoms + 2


def _said(facts: str, key: str) -> str:
    return facts.split(f" {key}=", 1)[1].split(None, 1)[0]
