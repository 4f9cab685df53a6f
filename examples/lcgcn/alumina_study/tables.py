"""Journal → tables in Markdown, the paper's numbers beside ours, and what holds of its conclusions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from alumina_study.journal import Journal
from alumina_study.plan import Method, Row, Study, Table

DASH = "–"


def render(study: Study, table: Table, journal: Journal, command: str) -> str:
    """One table as Markdown; empty if nothing of it is done."""
    make = {"errors": _errors, "equilibrium": _equilibrium, "time": _times}[table.kind]
    lines = list(make(study, table, journal))
    if not lines:
        return ""
    head = [f"### {table.title}", "", table.text, "", *_said(study, table, command), ""]
    return "\n".join([*head, *lines]).rstrip() + "\n"


def _said(study: Study, table: Table, command: str) -> Iterator[str]:
    """Scale, counts, seeds and command, in words."""
    scale = study.scale
    size = f"at most {scale.snapshots} training snapshots" if scale.snapshots else "counts of the paper"
    seeds = ", ".join(map(str, scale.seeds))
    tests = f"at most {scale.probe} test snapshots each" if scale.probe else "all other snapshots as test"
    unit = "Milliseconds" if table.kind == "time" else "meV/atom"
    spread = " Mean ± standard deviation over the seeds." if len(scale.seeds) > 1 else ""
    yield f"Scale `{scale.name}`: {size}, {tests}; seeds {seeds}; `{command}`."
    if table.kind == "errors":
        own = any(list(t) == [test] for r in table.rows for t in r.trainings for test in table.tests)
        both = " Own test part: block split / random split." if own and "random" in table.splits else ""
        yield f"Mean absolute errors in {unit}; in brackets the snapshots of training.{both}{spread}"
    elif table.kind == "equilibrium":
        yield f"{unit}.{spread}"


def _errors(study: Study, table: Table, journal: Journal) -> Iterator[str]:
    body: list[str] = []
    values: dict[str, dict[str, float]] = {}
    done = False
    for row in table.rows:
        name = f"**{row.name}**"
        if row.paper:
            shown = [DASH if v == "" else f"{v:g}" for v in row.paper]
            body.append(_line([name, "paper", *shown, *[DASH] * (len(table.columns) - len(shown))]))
            _remember(values, "paper", row, table, [v if v != "" else None for v in row.paper])
            name = ""
        for method in study.methods_of(table, row):
            cells = [_cell(study, table, row, method, test, journal) for test in table.tests]
            if all(c[0] == DASH for c in cells):
                continue
            done = True
            count = _count(study, table, row, method, journal)
            body.append(_line([name, f"{method.label}{count}", *(text for text, _ in cells)]))
            _remember(values, method.label, row, table, [v for _, v in cells])
            name = ""
    if done:
        yield _line([table.corner, "model", *table.columns])
        yield _rule(2, len(table.columns))
        yield from body
        yield from _forces(study, table, journal)
        yield from _claims(table, values)


def _cell(
    study: Study, table: Table, row: Row, method: Method, test: str, journal: Journal
) -> tuple[str, float | None]:
    """Text of an entry, and its number for comparisons: that of the block split."""
    training = row.training_for(test)
    own = list(training) == [test]
    if test in training and not own:
        return DASH, None
    texts, number = [], None
    for split in table.splits if own else table.splits[:1]:
        found = []
        for seed in study.seeds(method):
            result = journal.read(study.cell(table, row, method, training, split, seed), "trained" if own else test)
            found += [result["mae"]] if result else []
        texts.append(_number(found))
        if split == table.splits[0] and found:
            number = float(np.mean(found))
    return (DASH if all(t == DASH for t in texts) else " / ".join(texts)), number


def _count(study: Study, table: Table, row: Row, method: Method, journal: Journal) -> str:
    """Snapshots that training really had."""
    counts = []
    for training in row.trainings:
        result = journal.read(study.cell(table, row, method, training, "block", study.seeds(method)[0]), "trained")
        counts += [str(result["counts"]["train"])] if result else []
    return f" ({', '.join(counts)})" if counts else ""


def _forces(study: Study, table: Table, journal: Journal) -> Iterator[str]:
    """Errors of the forces, of methods that have them, on the test part of their own run (block split)."""
    for method in study.methods:
        found = []
        for row in table.rows:
            for test in table.tests:
                training = row.training_for(test)
                if list(training) != [test] or method not in study.methods_of(table, row):
                    continue
                cells = (study.cell(table, row, method, training, "block", s) for s in study.seeds(method))
                errors = [1e3 * r["forces_mae"] for c in cells if (r := journal.read(c, "trained")) and r["forces_mae"]]
                column = f", {table.columns[table.tests.index(test)]}" if len(row.trainings) > 1 else ""
                found += [f"{row.name}{column}: {_number(errors)}"] if errors else []
        if found:
            yield ""
            yield f"Forces of {method.label} on its own test part, meV/Å: {'; '.join(found)}."


def _remember(
    values: dict[str, dict[str, float]], who: str, row: Row, table: Table, numbers: list[float | None]
) -> None:
    mine = values.setdefault(who, {})
    for column, number in zip(table.columns, numbers, strict=False):
        if number is not None:
            mine.setdefault(f"{row.name}:{column}", number)


def _claims(table: Table, values: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """For each conclusion of the paper: in whose numbers it holds."""
    for claim in table.claims:
        verdicts = []
        for who, numbers in sorted(values.items(), key=lambda item: item[0] != "paper"):
            known = [numbers[a] < numbers[b] for a, b in claim.less if a in numbers and b in numbers]
            if known and who != "mean":
                word = "holds" if all(known) else f"{sum(known)} of {len(known)}" if any(known) else "does not hold"
                verdicts.append(f"{who}: {word}")
        if verdicts:
            yield ""
            yield f"*{claim.text[0].upper()}{claim.text[1:]}?* {'; '.join(verdicts)}."


def _equilibrium(study: Study, table: Table, journal: Journal) -> Iterator[str]:
    row = table.rows[0]
    body = []
    for method in study.methods_of(table, row):
        cells = [study.cell(table, row, method, row.train, "block", s) for s in study.seeds(method)]
        found = [r["signed"] for c in cells if (r := journal.read(c, "equilibrium"))]
        if found:
            entries = []
            for k, test in enumerate(table.tests):
                own = _number([f[test] for f in found], signed=True)
                relative = _number([f[test] - f[table.tests[0]] for f in found], signed=True)
                entries.append(f"{own} ({relative})" if k else own)
            body.append(_line([method.label, *entries]))
    if body:
        first = row.paper[0]
        paper = [f"{v:+g} ({v - first:+.1f})" if k else f"{v:+g}" for k, v in enumerate(row.paper)]
        yield _line(["model", *table.columns])
        yield _rule(1, len(table.columns))
        yield _line(["paper", *paper, *[DASH] * (len(table.columns) - len(paper))])
        yield from body


def _times(study: Study, table: Table, journal: Journal) -> Iterator[str]:
    row = table.rows[0]
    body = []
    for method in study.methods_of(table, row):
        if method.baseline:
            continue
        cell = study.cell(table, row, method, row.train, "block", study.scale.seeds[0])
        found: dict[str, Any] | None = journal.read(cell, "time")
        if found:
            shown = [f"{found['ms'][n]:.3g}" for n in table.tests]
            body.append(_line([method.label, *shown, f"{found['r2']:.4f}"]))
    if body:
        yield _line(["model", *(f"{c} atoms" for c in table.columns), "R²"])
        yield _rule(1, len(table.columns) + 1)
        yield from body


def _number(values: list[float], *, signed: bool = False) -> str:
    """Three digits; mean ± deviation of several."""
    if not values:
        return DASH
    mean = float(np.mean(values))
    digits = 0 if abs(mean) >= 100 else 1 if abs(mean) >= 10 else 2 if abs(mean) >= 1 else 3
    text = f"{mean:{'+' if signed else ''}.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {np.std(values, ddof=1):.{digits}f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(texts: int, numbers: int) -> str:
    return "|" + "---|" * texts + "---:|" * numbers


def put(document: str, name: str, text: str) -> str:
    """``document`` with ``text`` between the markers of ``name``, appended if they are not there yet."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{text}\n{end}"
    head, found, rest = document.partition(begin)
    if not found:
        return document.rstrip() + f"\n\n{block}\n"
    _, closed, tail = rest.partition(end)
    if not closed:
        raise ValueError(f"'{begin}' without '{end}'")
    return head + block + tail
