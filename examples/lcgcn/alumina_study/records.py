"""What the study is made of, as its TOML files say it: methods, scales, tables with rows and claims, cells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """A column of the study: a baseline, an architecture with flags of ``crystal train``, or a model that is given.

    Args:
        target: what it learns, the energy first.
        takes: options of rows that mean something to it.
        only: tables that it stands in; empty for all.
        given: a model that was trained elsewhere, on energies of another reference: only differences mean anything.
    """

    name: str
    label: str
    baseline: str = ""
    arch: str = ""
    target: tuple[str, ...] = ("energy_per_atom",)
    takes: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    given: bool = False
    flags: Mapping[str, Any] = field(default_factory=dict)
    graph: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def settings(self, scale: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Flags at ``scale`` with those of a row that mean something to this method."""
        return {**self.flags, **self.budget.get(scale, {}), **{k: v for k, v in row.items() if k in self.takes}}


@dataclass(frozen=True)
class Scale:
    """How large the study is; 0 stands for all there is."""

    name: str
    snapshots: int
    validation: int
    pool: int
    probe: int
    seeds: tuple[int, ...]
    timed: int


@dataclass(frozen=True)
class Row:
    """A row of a table: the trainings whose errors stand in it, and the paper's numbers (meV/atom).

    Args:
        more_of_paper: numbers of other models of the paper, by their names.
        alone: its counts are no part of what the scale of the table is taken from.
    """

    name: str
    train: Mapping[str, int] = field(default_factory=dict)
    also: tuple[Mapping[str, int], ...] = ()
    validation: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    paper: tuple[Any, ...] = ()
    more_of_paper: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    alone: bool = False

    @property
    def trainings(self) -> tuple[Mapping[str, int], ...]:
        """Snapshots by run, for every training of the row."""
        return (self.train, *self.also)

    def training_for(self, test: str) -> Mapping[str, int]:
        """The training that a test belongs to: the one on that very run, else the first."""
        return next((t for t in self.trainings if list(t) == [test]), self.train)


@dataclass(frozen=True)
class Claim:
    """What the paper concludes: the first of each pair of entries (``row:column``) is less than the second."""

    text: str
    less: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """One table or figure of the paper."""

    name: str
    title: str
    text: str
    corner: str
    columns: tuple[str, ...]
    tests: tuple[str, ...]
    rows: tuple[Row, ...]
    kind: str = "errors"
    splits: tuple[str, ...] = ("block", "random")
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One training and what it is tested on.

    Args:
        parts: (run, snapshots to train on, snapshots to validate on) of each run.
        settings: flags of ``crystal train``.
        tests: what the model is tested on besides the test part of its own run; not part of the key.
    """

    method: str
    parts: tuple[tuple[str, int, int], ...]
    split: str
    seed: int
    scale: str
    settings: Mapping[str, Any]
    tests: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the cell's folder: readable, and different for different trainings."""
        spec = {k: v for k, v in asdict(self).items() if k != "tests"}
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:8]
        runs = "+".join(f"{run}x{n}" for run, n, _ in self.parts)
        return f"{self.method}_{runs}_{self.split}_s{self.seed}_{digest}"
