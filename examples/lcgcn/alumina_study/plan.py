"""What is to be computed: the cells of all tables, each training once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from alumina_study.records import Cell, Method, Row, Scale, Table

VALIDATION_SHARE = 1 / 3
"""6:2:2: validation snapshots per training snapshot."""


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
        """Baselines and models that are given have nothing to draw."""
        return self.scale.seeds[:1] if method.baseline or method.given else self.scale.seeds

    def cell(self, table: Table, row: Row, method: Method, training: Mapping[str, int], split: str, seed: int) -> Cell:
        """The training of ``method`` in a row."""
        if method.given:
            return Cell(method.name, (), "given", seed, self.scale.name, {})
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
