"""Several runs beside each other: in which settings they differ, and what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crystalcli.contracts.sections import Axis, Block, Fold, Note, Numbers, Plot, Section, Series
from crystalcli.contracts.workflow import Table
from crystalcli.engine.report import asked
from crystalcli.engine.report.run_files import RunFiles

FEW = 8
"""Runs whose learning curves are drawn over each other."""


def section(runs: Sequence[RunFiles], names: Sequence[str], shown: Sequence[Sequence[Section]]) -> Section:
    """What stands out in each, settings that differ, learning curves, then all numbers that differ."""
    rows = [["command", *(r.command for r in runs)], ["state", *(asked.state(r)[0] for r in runs)]]
    blocks: list[Block] = [Table(("", *names), [*rows, *_outstanding(shown)])]
    differing = list(_differences(runs))
    same = "The runs have the same settings." if not differing else ""
    blocks.append(Note(same) if same else Table(("setting that differs", *names), differing))
    blocks += _curves(runs, names)
    rows = list(_numbers(runs))
    if rows:
        blocks.append(Fold("Numbers of their reports that differ", [Table(("", *names), rows)]))
    return Section("Side by side", blocks)


def _outstanding(shown: Sequence[Sequence[Section]]) -> Iterator[list[str]]:
    """The numbers that stand out on the pages of the runs, by what they are."""
    found = [
        {c.said: c.value for section in sections for b in section.blocks if isinstance(b, Numbers) for c in b.cards}
        for sections in shown
    ]
    for said in dict.fromkeys(s for one in found for s in one):
        yield [said, *(one.get(said, "") for one in found)]


def _numbers(runs: Sequence[RunFiles]) -> Iterator[list[str]]:
    """Numbers of report.json that more than one run has, and that differ; by their way in it."""
    flat = [dict(_flat(r.report)) for r in runs]
    keys = list(dict.fromkeys(k for f in flat for k in f))
    for key in keys:
        values = [f.get(key) for f in flat]
        if sum(v is not None for v in values) > 1 and len(set(values)) > 1:
            yield [key, *("" if v is None else f"{v:.5g}" for v in values)]


def _flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for key, value in data.items():
        name = f"{before} {key}".strip().replace("_", " ")
        if key in ("by_element", "runs", "rows", "structures", "some", "exit_code"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, name)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, value


def _differences(runs: Sequence[RunFiles]) -> Iterator[list[str]]:
    flat = [asked.settings(r) for r in runs]
    for key in sorted(k for k, n in Counter(k for f in flat for k in f).items() if n > 1):
        values = [f.get(key, "") for f in flat]
        if len(set(values)) > 1:
            yield [key, *values]


def _curves(runs: Sequence[RunFiles], names: Sequence[str]) -> Iterator[Block]:
    """The score of validation of every run."""
    series = []
    for run, name in list(zip(runs, names, strict=True))[:FEW]:
        lines = [m for m in run.metrics() if isinstance(m.get("val_score"), (int, float)) and "epoch" in m]
        if lines:
            series.append(Series(name, [m["epoch"] for m in lines], [m["val_score"] for m in lines], "line"))
    if len(series) > 1:
        yield Plot("Score of validation", Axis("epoch"), Axis("score", log=True), series, wide=True)
