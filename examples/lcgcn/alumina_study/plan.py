"""What the study consists of, read from the TOML files beside it: methods, scales, tables → cells to compute."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
OWN_SHARE, VALIDATION_SHARE = 0.6, 1 / 3
"""6:2:2: the training part of a run, and validation snapshots per training snapshot."""


@dataclass(frozen=True)
class Method:
    """A column of the study: a baseline, or an architecture with flags of ``crystal train``."""

    name: str
    label: str
    baseline: str = ""
    arch: str = ""
    target: tuple[str, ...] = ("energy_per_atom",)
    takes: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
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
    """A row of a table: the trainings whose errors stand in it, and the paper's numbers (meV/atom)."""

    name: str
    train: Mapping[str, int] = field(default_factory=dict)
    also: tuple[Mapping[str, int], ...] = ()
    validation: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    paper: tuple[Any, ...] = ()
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


@dataclass(frozen=True)
class Study:
    """All there is to compute at one scale."""

    scale: Scale
    methods: tuple[Method, ...]
    tables: tuple[Table, ...]

    def cells(self) -> list[Cell]:
        """Every training once, with the tests that all tables together want."""
        found: dict[str, Cell] = {}
        tests: dict[str, dict[str, None]] = {}
        for table in self.tables:
            for row in table.rows:
                for method in self.methods_of(table, row):
                    for cell, test in self._cells_of(table, row, method):
                        found.setdefault(cell.key, cell)
                        tests.setdefault(cell.key, {})[test] = None
        return [Cell(**{**vars(c), "tests": tuple(t for t in tests[k] if t)}) for k, c in found.items()]

    def methods_of(self, table: Table, row: Row) -> Iterator[Method]:
        """Methods that have something to say in a row: a row with options is for methods that take them."""
        for m in self.methods:
            if m.only and table.name not in m.only:
                continue
            if (
                any(k in m.takes for k in row.flags)
                if row.flags
                else not (m.takes and any(r.flags for r in table.rows))
            ):
                yield m

    def _cells_of(self, table: Table, row: Row, method: Method) -> Iterator[tuple[Cell, str]]:
        for test in table.tests:
            training = row.training_for(test)
            own = list(training) == [test]
            if (test in training and not own) or (table.kind == "equilibrium" and test != table.tests[0]):
                continue
            word = {"equilibrium": "equilibrium", "time": "time"}.get(table.kind, "" if own else test)
            if table.kind == "time" and method.baseline:
                continue
            for split in table.splits if own else table.splits[:1]:
                for seed in self.seeds(method):
                    yield self.cell(table, row, method, training, split, seed), word

    def seeds(self, method: Method) -> tuple[int, ...]:
        """Baselines have nothing to draw."""
        return self.scale.seeds[:1] if method.baseline else self.scale.seeds

    def cell(self, table: Table, row: Row, method: Method, training: Mapping[str, int], split: str, seed: int) -> Cell:
        """The training of ``method`` in a row."""
        factor = self._factor(table, row)
        parts = []
        for run, n in training.items():
            count = max(2, round(n * factor))
            validation = row.validation.get(run, 0) if row.validation else n * VALIDATION_SHARE
            parts.append((run, count, self._validation(validation * factor)))
        settings = method.settings(self.scale.name, row.flags)
        if "steps" in settings:  # few snapshots are seen more often
            size = sum(n for _, n, _ in parts)
            settings["epochs"] = max(1, round(settings.pop("steps") * settings["batch-size"] / size))
        return Cell(method.name, tuple(parts), split, seed, self.scale.name, settings)

    def _factor(self, table: Table, row: Row) -> float:
        """By what the paper's counts are multiplied."""
        if not self.scale.snapshots:
            return 1.0
        rows = [row] if row.alone else [r for r in table.rows if not r.alone]
        return min(1.0, self.scale.snapshots / max(sum(t.values()) for r in rows for t in r.trainings))

    def _validation(self, wish: float) -> int:
        most = self.scale.validation or 10**9
        return min(most, max(1, round(wish))) if wish else 0


def load(scale: str, *, tables: Iterable[str] = (), methods: Iterable[str] = (), folder: Path = HERE) -> Study:
    """Read the study.

    Raises:
        ValueError: no such scale, table or method; says which there are.
    """
    scales = _toml(folder / "scales.toml")
    known_methods = {k: _method(k, v) for k, v in _toml(folder / "methods.toml").items()}
    known_tables = {p.stem: _table(p) for p in sorted(folder.glob("tables/*.toml"), key=_order)}
    _refuse_unknown("scale", [scale], scales)
    chosen = Scale(scale, **{k: tuple(v) if isinstance(v, list) else v for k, v in scales[scale].items()})
    named_tables, named_methods = list(tables) or list(known_tables), list(methods) or list(known_methods)
    _refuse_unknown("table", named_tables, known_tables)
    _refuse_unknown("method", named_methods, known_methods)
    return Study(chosen, tuple(known_methods[m] for m in named_methods), tuple(known_tables[t] for t in named_tables))


def _refuse_unknown(what: str, words: Iterable[str], known: Mapping[str, Any]) -> None:
    for word in words:
        if word not in known:
            raise ValueError(f"no {what} '{word}'; there are {', '.join(known)}")


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _order(path: Path) -> tuple[int, str]:
    romans = ("vi", "vii", "viii", "ix")
    order = ("table-ii", "table-iii", "figure-2", "table-iv", "table-v", "figure-3", *(f"table-{n}" for n in romans))
    return (order.index(path.stem) if path.stem in order else len(order), path.stem)


def _method(name: str, data: Mapping[str, Any]) -> Method:
    return Method(name, **{k: tuple(v) if isinstance(v, list) else v for k, v in data.items()})


def _table(path: Path) -> Table:
    data = _toml(path)
    rows = tuple(Row(**{k: tuple(v) if isinstance(v, list) else v for k, v in r.items()}) for r in data.pop("rows"))
    claims = tuple(Claim(c["text"], tuple((a, b) for a, b in c["less"])) for c in data.pop("claims", ()))
    lists = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Table(path.stem, **lists, rows=rows, claims=claims)
