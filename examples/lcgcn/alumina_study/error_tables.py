"""Tables of errors: who was trained on what, tested on what, and what holds of the paper's conclusions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from alumina_study.journal import Journal
from alumina_study.markdown import DASH, line, number, rule
from alumina_study.plan import Study
from alumina_study.records import Method, Row, Table

Values = Mapping[str, Mapping[str, float]]
"""By model and ``row:column``, of the block split."""
YARDSTICK = "pairs"


def error_table(study: Study, table: Table, journal: Journal) -> Iterator[str]:
    """Lines of a table of mean absolute errors, with what follows from it below; none if nothing is done."""
    body: list[str] = []
    values: dict[str, dict[str, float]] = {}
    done = False
    for row in table.rows:
        name = f"**{row.name}**"
        if row.paper:
            shown = [DASH if v == "" else f"{v:g}" for v in row.paper]
            body.append(line([name, "paper", *shown, *[DASH] * (len(table.columns) - len(shown))]))
            _remember(values, "paper", row, table, [v if v != "" else None for v in row.paper])
            name = ""
        for method in study.methods_of(table, row):
            cells = [_cell(study, table, row, method, test, journal) for test in table.tests]
            if all(c[0] == DASH for c in cells):
                continue
            done = True
            count = _count(study, table, row, method, journal)
            body.append(line([name, f"{method.label}{count}", *(text for text, _ in cells)]))
            _remember(values, method.label, row, table, [v for _, v in cells])
            name = ""
    if done:
        yield line([table.corner, "model", *table.columns])
        yield rule(2, len(table.columns))
        yield from body
        yield from _forces(study, table, journal)
        yield from _claims(table, values)
        yield from _against_yardstick(study, values)


def _cell(
    study: Study, table: Table, row: Row, method: Method, test: str, journal: Journal
) -> tuple[str, float | None]:
    """Text of an entry, and its number for comparisons: that of the block split."""
    training = row.training_for(test)
    own = list(training) == [test]
    if test in training and not own:
        return DASH, None
    texts, error = [], None
    for split in table.splits if own else table.splits[:1]:
        found = []
        for seed in study.seeds(method):
            result = journal.read(study.cell(table, row, method, training, split, seed), "trained" if own else test)
            found += [result["mae"]] if result else []
        texts.append(number(found))
        if split == table.splits[0] and found:
            error = float(np.mean(found))
    return (DASH if all(t == DASH for t in texts) else " / ".join(texts)), error


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
                found += [f"{row.name}{column}: {number(errors)}"] if errors else []
        if found:
            yield ""
            yield f"Forces of {method.label} on its own test part, meV/Å: {'; '.join(found)}."


def _remember(
    values: dict[str, dict[str, float]], who: str, row: Row, table: Table, errors: list[float | None]
) -> None:
    mine = values.setdefault(who, {})
    for column, error in zip(table.columns, errors, strict=False):
        if error is not None:
            mine.setdefault(f"{row.name}:{column}", error)


def _claims(table: Table, values: Values) -> Iterator[str]:
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


def _against_yardstick(study: Study, values: Values) -> Iterator[str]:
    """How often each network is better than the linear baseline."""
    linear = next((m.label for m in study.methods if m.baseline == YARDSTICK), "")
    if linear not in values:
        return
    verdicts = []
    for method in study.methods:
        mine = values.get(method.label, {}) if method.arch else {}
        better = [error < values[linear][entry] for entry, error in mine.items() if entry in values[linear]]
        verdicts += [f"{method.label}: {sum(better)} of {len(better)}"] if better else []
    if verdicts:
        yield ""
        yield f"*Entries better than those of the {linear}:* {'; '.join(verdicts)}."
