"""Tables that are not of errors on snapshots: signed errors of relaxed structures, and times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alumina_study.journal import Journal
from alumina_study.markdown import DASH, line, number, rule
from alumina_study.plan import Study
from alumina_study.records import Table


def equilibrium_table(study: Study, table: Table, journal: Journal) -> Iterator[str]:
    """Lines of signed errors of relaxed structures; none if nothing is done."""
    row = table.rows[0]
    body = []
    for method in study.methods_of(table, row):
        cells = [study.cell(table, row, method, row.train, "block", s) for s in study.seeds(method)]
        found = [r["signed"] for c in cells if (r := journal.read(c, "equilibrium"))]
        if found:
            own = [number([f[test] for f in found], signed=True) for test in table.tests]
            relative = [number([f[test] - f[table.tests[0]] for f in found], signed=True) for test in table.tests]
            body.append(line([method.label, *_entries(own, relative, absolute=not method.given)]))
    if body:
        yield line(["model", *table.columns])
        yield rule(1, len(table.columns))
        for who, errors in {"paper": row.paper, **{f"paper, {k}": v for k, v in row.more_of_paper.items()}}.items():
            own, relative = [f"{e:+g}" for e in errors], [f"{e - errors[0]:+.1f}" for e in errors]
            rest = [DASH] * (len(table.columns) - len(errors))
            yield line([who, *_entries(own, relative, absolute=who == "paper"), *rest])
        yield from body


def _entries(own: list[str], relative: list[str], *, absolute: bool) -> list[str]:
    """Errors, and in brackets those relative to the first structure; the latter alone unless ``absolute``."""
    if not absolute:
        return ["(0)", *(f"({r})" for r in relative[1:])]
    return [own[0], *(f"{e} ({r})" for e, r in zip(own[1:], relative[1:], strict=True))]


def time_table(study: Study, table: Table, journal: Journal) -> Iterator[str]:
    """Lines of times of predictions; none if nothing is done."""
    row = table.rows[0]
    body = []
    for method in study.methods_of(table, row):
        if method.baseline:
            continue
        cell = study.cell(table, row, method, row.train, "block", study.scale.seeds[0])
        found: dict[str, Any] | None = journal.read(cell, "time")
        if found:
            shown = [f"{found['ms'][n]:.3g}" for n in table.tests]
            body.append(line([method.label, *shown, f"{found['r2']:.4f}"]))
    if body:
        yield line(["model", *(f"{c} atoms" for c in table.columns), "R²"])
        yield rule(1, len(table.columns) + 1)
        yield from body
