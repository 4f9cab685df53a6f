"""What the page of a benchmark shows: the table, errors by fold, and of each architecture all that it predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crystalcli.benchmark import view
from crystalcli.benchmark.outputs import pooled
from crystalcli.benchmark.table import MODEL
from crystalcli.contracts.sections import (
    Axis,
    Block,
    Geometries,
    Geometry,
    Note,
    Number,
    Numbers,
    Plot,
    ReportedRun,
    Section,
    Series,
)
from crystalcli.contracts.workflow import Table
from crystalcli.engine.report import error_blocks, predicted
from crystalcli.engine.report.predicted import Values
from crystalcli.vocabulary.display import number

FULL = 4
"""Architectures whose predictions are drawn; of all there are tables in the folder."""


def sections(run: ReportedRun) -> list[Section]:
    """All of them; of a benchmark that is not finished none but what it says."""
    report = run.report
    if "targets" not in report:
        return [Section("Result", [Note("Not finished: there is no table yet.", warning=True)])]
    found = [Section("Result", [*_result(report), *_folds(report)])]
    known: dict[str, Geometry] = {}
    for label, values in _values(run).items():
        blocks: list[Block] = []
        known = known or run.inputs(error_blocks.named_first(list(values.values())))
        for name, one in values.items():
            moves = report["targets"][name]["quantity"].get("meaning") == "position"
            if moves and not known:
                continue  # of places only what atoms moved by says anything
            blocks += error_blocks.of_target(one.from_start(known) if moves else one)
            rows = error_blocks.counted_elements(one, known) if known and one.words is None and not one.sites else {}
            if len(rows) > 1:
                caption = f"mean over the {len(known):,} structures with the element"
                blocks.append(error_blocks.elements(one.name, one.unit, rows, caption))
            blocks += error_blocks.worst(one, known, places=moves)
        found.append(Section(f"All folds: {label}", blocks))
    if known:
        found[-1] = Section(found[-1].title, [*found[-1].blocks, Geometries(known)])
    return [s for s in found if s.blocks]


def _result(report: Mapping[str, Any]) -> Iterator[Block]:
    cards = [card for name, one in report["targets"].items() for card in _cards(name, one)]
    if cards:
        yield Numbers(cards)
    folds = [f["name"] for f in report["folds"]]
    for name, one in report["targets"].items():
        yield view.of_target(name, one, folds)
        yield from _by_fold(name, one, folds)
    for failed in report["failed"]:
        yield Note(f"{failed['architecture']}, fold {failed['fold']}: {failed['reason']}", warning=True)
    for line in view.skipped_lines(report):
        yield Note(line)
    if n := len(report["failed_structures"]):
        yield Note(f"{n:,} structures could not be used", warning=True)


def _cards(name: str, one: Mapping[str, Any]) -> Iterator[Number]:
    """Mean and spread of every architecture, beside all else in the table."""
    key, (factor, unit) = one["measure"], view.scale(one)
    whole = {view.KINDS[r["kind"]] + r["label"]: r for r in one["rows"] if r["mean"] and key in r["mean"]}
    for label, row in whole.items():
        if row["kind"] == MODEL:
            others = [f"{n} {number(r['mean'][key]['mean'] * factor)}" for n, r in whole.items() if n != label]
            said = f"{view.mean(row, key, factor)} {unit}".rstrip()
            yield Number(said, f"{view.MEASURES[key]}, {name.replace('_', ' ')}, {label}", ", ".join(others))


def _by_fold(name: str, one: Mapping[str, Any], folds: Sequence[str]) -> Iterator[Block]:
    key, (factor, unit) = one["measure"], view.scale(one)
    series = []
    for row in one["rows"]:
        there = [(k, f[key] * factor) for k, f in enumerate(row["folds"]) if key in f]
        if there:
            notes = {"fold": [folds[k] for k, _ in there]}
            x, y = ([float(v) for v in column] for column in zip(*there, strict=True))
            series.append(
                Series(view.KINDS[row["kind"]] + row["label"], x, y, hollow=row["kind"] != MODEL, notes=notes)
            )
    label = f"{view.MEASURES[key]} ({unit})" if unit else view.MEASURES[key]
    title = f"{view.MEASURES[key]} of every fold: {name.replace('_', ' ')}"
    yield Plot(title, Axis("fold, in their order"), Axis(label, log=key == "mae"), series)


def _folds(report: Mapping[str, Any]) -> Iterator[Block]:
    cells = [[f["name"], *(f"{f['sizes'][k]:,}" for k in ("train", "val", "test")), f["how"]] for f in report["folds"]]
    yield Table(("fold", "train", "validation", "test", "how"), cells, report["how"])
    leaks = list(view.leak_lines(report))
    for line in leaks:
        yield Note(line, warning=True)
    if not leaks:
        yield Note("No leaks were found between the parts of any fold: no copies, no formula in two of them.")
    if report["in_no_fold"]:
        yield Note(f"{report['in_no_fold']:,} structures are in no fold: they train in all, none of them is tested.")
    if report["missing"]:
        yield Note(
            f"{report['missing']:,} ids of the file of folds have no structure: the numbers are none of Matbench's.",
            warning=True,
        )


def _values(run: ReportedRun) -> dict[str, dict[str, Values]]:
    """Predictions of all folds, by architecture and target."""
    targets = run.report["targets"]
    classes = [n for n, one in targets.items() if one["quantity"].get("classes")]
    found: dict[str, dict[str, Values]] = {}
    for one in run.report["runs"]:
        label, word = one["architecture"], one["folder"].rpartition("-fold-")[0]
        if label in found or len(found) == FULL:
            continue
        mine: dict[str, Values] = {}
        for part in predicted.TABLES:
            mine |= dict(predicted.of_table(run.table(pooled(word, part)), list(targets), classes))
        if mine:
            found[label] = mine
    return found
