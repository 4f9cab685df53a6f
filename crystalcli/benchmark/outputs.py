"""What a benchmark leaves: its table as CSV, all predictions of each architecture, pictures, what report.json says."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.benchmark import table
from crystalcli.benchmark.folds import Folds
from crystalcli.benchmark.matbench_results import results
from crystalcli.contracts.workflow import Run
from crystalcli.engine.drawing import plots
from crystalcli.engine.report import predicted
from crystalcli.train.series import unit_of_errors
from crystalcli.vocabulary.display import number, shown
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.tables import csv_text
from crystalcli.vocabulary.texts import file_word

Reports = Mapping[str, Sequence[Mapping[str, Any]]]
TABLE = "benchmark.csv"
PREDICTIONS = "predictions-"
RESULTS = "matbench-"
KEYS = ("n", "mae", "rmse", "r2", "bias", "max_error", "accuracy", "log_loss", "f1", "roc_auc")


def write(
    run: Run,
    targets: Sequence[Quantity],
    folds: Folds,
    reports: Reports,
    found: Mapping[str, Sequence[table.Row]],
    words: Mapping[str, str],
    pictures: str,
) -> None:
    """Write table, predictions and pictures into the folder of the run.

    Args:
        run: it.
        targets: what is learned.
        folds: which are tested.
        reports: of all trainings.
        found: rows by target.
        words: names of files, by architecture.
        pictures: their formats.
    """
    units = {q.name: unit_of(q, reports) for q in targets}
    cells = _cells(found, [f.name for f in folds.all], units)
    run.write(TABLE, csv_text(("target", "unit", "row", "kind", "fold", *KEYS), cells))
    for label, of in reports.items():
        whole = [k for k, r in enumerate(of) if table.SKIPPED not in r]
        for part in predicted.TABLES:
            _pool(run, words[label], part, folds, whole)
        _draw(run, label, words[label], targets, found, pictures)
        if folds.task and len(whole) == len(folds.all):
            _write_results(run, words[label], targets, folds)


def unit_of(q: Quantity, reports: Reports) -> str:
    """In which the errors of a target are counted."""
    whole = (r for of in reports.values() for r in of if table.SKIPPED not in r)
    return next((unit_of_errors(r["test"][q.name]) for r in whole), q.unit)


def _cells(found: Mapping[str, Sequence[table.Row]], folds: Sequence[str], units: Mapping[str, str]) -> list[list[Any]]:
    """A line for every fold, then the mean, its spread and all folds together."""
    cells = []
    for target, rows in found.items():
        for row in rows:
            said = row.to_json()
            lines = dict(zip(folds, said["folds"], strict=True))
            if said["mean"] is not None:
                for word, key in (("mean", "mean"), ("deviation", "std")):
                    lines[f"({word})"] = {k: v[key] for k, v in said["mean"].items() if isinstance(v, Mapping)}
                lines["(all)"] = said["all"]
            cells += [
                [target, units[target], row.label, row.kind, fold, *map(of.get, KEYS)] for fold, of in lines.items()
            ]
    return cells


def _pool(run: Run, word: str, part: str, folds: Folds, whole: Sequence[int]) -> None:
    """One table of all that was predicted: rows fold after fold, as the trainings wrote them, with the fold's name."""
    heads: list[str] = []
    rows: list[list[str]] = []
    for k in whole:
        path = run.path / f"{word}-fold-{k}" / part
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            head, *mine = csv.reader(file)
        heads = [head[0], "fold", *head[1:]]
        rows += [[row[0], folds.all[k].name, *row[1:]] for row in mine]
    if rows:
        run.write(pooled(word, part), csv_text(heads, rows))


def pooled(word: str, part: str = predicted.TABLES[0]) -> str:
    """Name of the table of all predictions: of structures, or of sites."""
    return f"{PREDICTIONS}{word}{part.removeprefix('predictions-test')}"


def _draw(
    run: Run,
    label: str,
    word: str,
    targets: Sequence[Quantity],
    found: Mapping[str, Sequence[table.Row]],
    pictures: str,
) -> None:
    """Predicted over true, all folds, for numbers of structures."""
    path = run.path / pooled(word)
    if not path.is_file():
        return
    columns = columns_of(path)
    numbers = [q for q in targets if q.level == "structure" and not q.classes and not q.shape]
    for name, values in predicted.of_table(columns, [q.name for q in numbers], ()):
        q = next(q for q in numbers if q.name == name)
        true, value = values.true[""], values.predicted[""]
        known = np.isfinite(true) & np.isfinite(value)
        if not known.any():
            continue
        row = next(r.to_json()["all"] for r in found[name] if r.label == label and r.kind == table.MODEL)
        if row is None or "mae" not in row:
            continue
        mean = next((r.to_json()["all"] for r in found[name] if (r.label, r.kind) == ("mean", table.BASELINE)), None)
        end = "" if len(targets) == 1 else f"-{file_word(name)}"
        plots.parity(
            paths(run.path / f"parity-{word}{end}", pictures), q, true[known], value[known], mae=row["mae"],
            title=f"{label}, all folds", baseline=mean["mae"] if mean else None,
        )  # fmt: skip


def _write_results(run: Run, word: str, targets: Sequence[Quantity], folds: Folds) -> None:
    """The file that Matbench reads, of a whole task that is one number per structure."""
    (q, *others) = targets
    path = run.path / pooled(word)
    if others or folds.missing or q.classes or q.shape or q.extensive or not path.is_file():
        return
    columns = columns_of(path)
    ((_, values),) = predicted.of_table(columns, [q.name], ())
    true, value = values.true[""], values.predicted[""]
    if not (np.isfinite(true) & np.isfinite(value)).all() or len(true) < len(folds.official):
        return
    made = {
        fold: ([folds.official[columns["id"][k]] for k in rows], value[rows], true[rows])
        for fold, rows in by_fold(columns["fold"]).items()
    }
    with run.writing(f"{RESULTS}{word}.json.gz") as file:
        file.write(results(folds.task, made))


def by_fold(names: Sequence[str]) -> dict[str, list[int]]:
    """Rows of every fold."""
    found: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        found.setdefault(name, []).append(k)
    return found


def of_folds(folds: Folds) -> dict[str, Any]:
    """What the folds are, for plan and report."""
    made = [
        {"name": f.name, "how": f.split.how, "sizes": {n: len(p) for n, p in f.split.parts().items()}}
        for f in folds.all
    ]
    more = {"in_no_fold": folds.in_none, "missing": len(folds.missing)} | ({"task": folds.task} if folds.task else {})
    return {"how": folds.how, "folds": made, **more}


def of_targets(
    targets: Sequence[Quantity], found: Mapping[str, Sequence[table.Row]], reports: Reports
) -> dict[str, Any]:
    """The tables, by target, and what measures: the MAE, or the accuracy of classes."""
    return {
        q.name: {
            "quantity": q.to_json(),
            "unit": unit_of(q, reports),
            "measure": "accuracy" if q.classes else "mae",
            "rows": [{"label": row.label, **row.to_json()} for row in found[q.name]],
        }
        for q in targets
    }


def leaks(reports: Reports) -> list[list[Mapping[str, Any]]]:
    """What the parts of every fold share; the same for all that were trained on them."""
    for of in reports.values():
        if all(table.SKIPPED not in r for r in of):
            return [list(r["leaks"]) for r in of]
    return []


def runs(reports: Reports, folds: Folds, words: Mapping[str, str]) -> list[dict[str, Any]]:
    """Where each training is."""
    return [
        {"architecture": label, "fold": fold.name, "folder": f"{words[label]}-fold-{k}"}
        | {key: r[key] for key in ("best_epoch", "parameters") if key in r}
        for label, of in reports.items()
        for k, (fold, r) in enumerate(zip(folds.all, of, strict=True))
    ]


def in_short(report: Mapping[str, Any], targets: Sequence[Quantity]) -> str:
    """The test error of every target in a few words."""
    of = report["ensemble"] if "ensemble" in report else report["test"]
    said = []
    for q in targets:
        model = of[q.name]["model"]
        if model is None:
            said.append(f"{q.name}: no labels")
        elif "mae" in model:
            unit = model.get("unit", q.unit)
            said.append(f"{q.name} MAE {shown(model['mae'], Quantity(q.name, unit))}")
        else:
            said.append(f"{q.name} accuracy {number(model['accuracy'])}")
    return "; ".join(said)


def columns_of(path: Path) -> dict[str, list[str]]:
    """Columns of a CSV file, as texts."""
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return {h: [row[k] for row in rows] for k, h in enumerate(head)}
