"""What the page of a training shows: errors beside baselines, learning curves, test part, elements, the worst."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crystalcli.contracts.sections import (
    Axis,
    Block,
    Facts,
    Fold,
    Geometries,
    Guide,
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
from crystalcli.train.view import replay_table
from crystalcli.vocabulary.display import number, unit_for
from crystalcli.vocabulary.quantities import Quantity

KEYS = {
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "bias": "bias",
    "max_error": "max error",
    "accuracy": "accuracy",
    "log_loss": "log loss",
}
IN_UNITS = frozenset({"mae", "rmse", "bias", "max_error"})
PLAIN = 12
"""Runs of a series whose learning curves are drawn."""


def sections(run: ReportedRun) -> list[Section]:
    """All of them; of a run that is not finished what there is."""
    report = run.report
    test: Mapping[str, Any] = report.get("test", {})
    classes = {name for name, row in test.items() if dict(row).get("quantity", {}).get("classes")}
    values = predicted.of(run, list(test), classes)
    known = run.inputs(error_blocks.named_first(list(values.values()))) if values else {}
    found = [Section("Result", [*_result(run, test), *_runs(run), *_learning_curves(report)])]
    curves = list(_curves(run, test))
    if curves:
        found.append(Section("Learning", curves))
    for name, one in values.items():
        moves = (
            test[name].get("quantity", {}).get("meaning") == "position" if isinstance(test[name], Mapping) else False
        )
        if moves and not known:
            continue  # of places only what atoms moved by says anything
        blocks: list[Block] = list(error_blocks.of_target(one.from_start(known) if moves else one))
        rows, caption = _elements(run, name, one, known)
        if len(rows) > 1:
            blocks.append(error_blocks.elements(name, one.unit, rows, caption))
        blocks += error_blocks.worst(one, known, places=moves)
        found.append(Section(f"Test part: {name.replace('_', ' ')}" if len(test) > 1 else "Test part", blocks))
    if known and values:
        found[-1] = Section(found[-1].title, [*found[-1].blocks, Geometries(known)])
    return [s for s in found if s.blocks]


def _result(run: ReportedRun, test: Mapping[str, Any]) -> Iterator[Block]:
    report, cards = run.report, list[Number]()
    for name, row in test.items():
        model = _of_ensemble(report, name) or row.get("model")
        if not isinstance(model, Mapping):
            yield Note(f"the test part has no labels '{name}'", warning=True)
            continue
        cards += _cards(report, name, row, model)
    if cards:
        yield Numbers(cards)
    for name, row in test.items():
        if isinstance(row.get("model"), Mapping):
            yield from _table(report, name, row)
    if "replay" in report:
        yield replay_table(report["replay"])
    split = report.get("split") or {}
    facts = [("split", said) for one in (split if isinstance(split, list) else [split]) if (said := _split(one))]
    if facts:
        if "parameters" in report:
            facts.append(("parameters", f"{report['parameters']:,}"))
        if "best_epoch" in report:
            facts.append(("epochs", f"{report.get('epochs')}, kept: {report['best_epoch']}"))
        yield Facts(facts)
    yield from _leaks(report.get("leaks"))


def _split(split: Mapping[str, Any]) -> str:
    """Of one fold, where a series has several."""
    sizes = dict(split.get("sizes", {}))
    said = ", ".join(f"{sizes[k]:,} {k}" for k in ("train", "val", "test") if k in sizes)
    return f"{said}; {split.get('how', '')}" if said else ""


def _cards(report: Mapping[str, Any], name: str, row: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Number]:
    """The test error beside what it is measured by; where the model has one target, how sure it is, too."""
    yield _card(name, row, model)
    if len(report["test"]) > 1:
        return
    for key in ("rmse", "r2"):
        if math.isfinite(value := _mean(model.get(key))):
            factor, unit = unit_for(value, Quantity(name, _unit(row))) if key == "rmse" else (1.0, "")
            yield Number(f"{number(value * factor)} {unit}", KEYS[key])
    calibrated = report.get("ensemble", {}).get(name, {}).get("calibration")
    if isinstance(calibrated, Mapping):
        yield Number(f"{calibrated['within_1_sigma']:.0%}", "of the errors within 1σ", "68 % if σ is right")


def _card(name: str, row: Mapping[str, Any], model: Mapping[str, Any]) -> Number:
    """The test error, beside what it is measured by."""
    key = "mae" if "mae" in model else next((k for k in KEYS if k in model), "n")
    size, unit = _mean(model.get(key)), _unit(row)
    others = {n: _mean(r.get(key)) for n, r in {**row.get("compared", {}), **row.get("baselines", {})}.items() if r}
    known = {n: v for n, v in others.items() if math.isfinite(v)}
    factor, shown = unit_for(size, Quantity(name, unit)) if key in IN_UNITS else (1.0, "")
    beside = ", ".join(f"{n} {number(v * factor)}" for n, v in known.items())
    return Number(f"{number(size * factor)} {shown}", f"{KEYS.get(key, key)}, {name.replace('_', ' ')}", beside)


def _table(report: Mapping[str, Any], name: str, row: Mapping[str, Any]) -> Iterator[Block]:
    """The model, what was trained beside it, the baselines: all errors."""
    together = _of_ensemble(report, name)
    label = "model, one run" if "runs" in report else "model"
    rows = {
        **({"ensemble": together} if together else {}),
        label: row["model"],
        **row.get("compared", {}),
        **row.get("baselines", {}),
    }
    keys = [k for k in KEYS if any(isinstance(r, Mapping) and k in r for r in rows.values())]
    unit = _unit(row)
    cells = [
        [n, *(_cell(r.get(k)) for k in keys)] for n, r in rows.items() if isinstance(r, Mapping) and "skipped" not in r
    ]
    heads = [f"{KEYS[k]} ({unit})" if k in IN_UNITS and unit else KEYS[k] for k in keys]
    n = row["model"].get("n")
    yield Table(("test part", *heads), cells, f"{name.replace('_', ' ')}, {n:,} labels" if isinstance(n, int) else name)
    for other, r in rows.items():
        if isinstance(r, Mapping) and "skipped" in r:
            yield Note(f"baseline {other}: {r['skipped']}")
    for other, n in dict(row.get("extrapolated", {})).items():
        yield Note(
            f"baseline {other}: {n} test structures have distances that training never has; they count 0", warning=True
        )


def _unit(row: Mapping[str, Any]) -> str:
    """In which the errors of a target are told: the head may count them in another unit than the target's."""
    model = row.get("model")
    said = model.get("unit") if isinstance(model, Mapping) else None
    return str(said or row.get("unit", ""))


def _of_ensemble(report: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    found = report.get("ensemble", {}).get(name, {}).get("model")
    return found if isinstance(found, Mapping) else None


def _mean(value: Any) -> float:
    if isinstance(value, Mapping):
        value = value.get("mean")
    return float(value) if isinstance(value, (int, float)) else math.nan


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        std = value.get("std")
        return number(_mean(value)) + (f" ± {std:.2g}" if isinstance(std, (int, float)) else "")
    return number(value) if isinstance(value, (int, float)) else ""


def _leaks(leaks: Any) -> Iterator[Block]:
    of_folds = [of for of in leaks or () if isinstance(of, list)]  # each has leaks of its own
    rows = [r for r in leaks or () if isinstance(r, Mapping)]
    rows += [{**r, "fold": k} for k, of in enumerate(of_folds) for r in of if isinstance(r, Mapping)]
    if not rows:
        if leaks is not None:
            yield Note("No leaks were found between the parts: no copies, no formula in two of them.")
        return
    cells = [
        [
            " and ".join(map(str, r.get("parts", ()))) + (f" of fold {r['fold']}" if "fold" in r else ""),
            str(r.get("kind", "")),
            f"{r.get('n', '')}",
            str(r.get("example", "")),
        ]
        for r in rows
    ]
    yield Note(
        "Structures of one part resemble those of another: errors on the test part tell less of new ones.", warning=True
    )
    yield Table(("parts", "what they share", "structures", "for example"), cells, "Leaks")


def _runs(run: ReportedRun) -> Iterator[Block]:
    """The runs of a series: where each ended."""
    rows = []
    for one in run.report.get("runs", ()):
        name = str(one.get("folder", "")).rpartition("/")[2]
        errors, test = dict[str, Mapping[str, Any]](), dict[str, Any]()
        if (run.path / name / "run.json").is_file():
            test = run.child(name).report.get("test", {})
            errors = {t: r["model"] for t, r in test.items() if isinstance(r.get("model"), Mapping)}
        said = [
            f"{t} {number(m[k])} {_unit(test[t]) if k in IN_UNITS else ''}".rstrip()
            for t, m in errors.items()
            for k in ("mae", "accuracy")
            if k in m
        ][: len(errors)]
        rows.append([name, str(one.get("seed", "")), str(one.get("best_epoch", "")), ", ".join(said)])
    if rows:
        yield Table(("run", "seed", "kept epoch", "error on its test part"), rows, "Runs")


def _learning_curves(report: Mapping[str, Any]) -> Iterator[Block]:
    """Test error over the number of training structures, a line for every beginning."""
    for name, curve in dict(report.get("curves", {})).items():
        points = [p for p in curve.get("points", ()) if p.get("error") is not None]
        series = []
        for way in dict.fromkeys(p["beginning"] for p in points):
            mine = [p for p in points if p["beginning"] == way]
            x, y = ([float(p[k]) for p in mine] for k in ("structures", "error"))
            spread = [float(p["spread"] or 0.0) for p in mine]
            low, high = ([v + sign * s for v, s in zip(y, spread, strict=True)] for sign in (-1, 1))
            series.append(
                Series(str(way), x, y, "line", low=low if any(spread) else (), high=high if any(spread) else ())
            )
        if series:
            mean = curve.get("mean")
            flat = [Guide("y", float(mean), "mean")] if isinstance(mean, (int, float)) else []
            unit = f" ({curve['unit']})" if curve.get("unit") else ""
            measure = Axis(f"test {curve.get('measure', 'error')}{unit}", log=True)
            title = f"Test error over training structures: {name.replace('_', ' ')}"
            yield Plot(title, Axis("training structures", log=True), measure, series, flat, wide=True)


def _elements(run: ReportedRun, name: str, one: Values, known: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    rows = run.report.get("test", {}).get(name, {}).get("by_element") or {}
    if rows:
        what = "atoms of the element" if one.sites else "test structures with the element"
        return rows, f"mean over {what}"
    if one.sites or one.words is not None or not known:
        return {}, ""
    return error_blocks.counted_elements(one, known), f"mean over the {len(known):,} test structures with the element"


def _curves(run: ReportedRun, test: Mapping[str, Any]) -> Iterator[Block]:
    """Every quantity of every run, epoch by epoch."""
    runs = _with_epochs(run)
    lines = {name: rows for name, r in runs.items() if (rows := r.metrics())}
    if not lines:
        return
    best = [r.report["best_epoch"] for r in runs.values() if r.report.get("best_epoch")]
    kept = [Guide("x", float(best[0]), f"kept: {best[0]}")] if len(best) == 1 else []
    both = _pairs(lines)
    yield _curve("Training loss and score of validation", "loss, score", both, kept)
    for target in dict.fromkeys(t for rows in lines.values() for m in rows for t in m.get("val") or {}):
        yield _validation(target, lines, test.get(target, {}), kept)
    rates, times = ([_over_epochs(n, rows, key) for n, rows in lines.items()] for key in ("lr", "seconds"))
    plots = [_curve("Learning rate", "learning rate", rates, []), _curve("Time of an epoch", "s", times, [])]
    yield Fold("Learning rate and time", plots)


def _with_epochs(run: ReportedRun) -> dict[str, ReportedRun]:
    """Those that were trained, by name: the run itself, those of a series, else the runs in it."""
    runs = {"": run} if run.metrics() else {}
    named = [str(one.get("folder", "")).rpartition("/")[2] for one in run.report.get("runs", ())][:PLAIN]
    runs |= {n: run.child(n) for n in named if (run.path / n / "run.json").is_file()}
    inside = list(run.record.get("children", ()))[:PLAIN]
    return runs or {n: run.child(n) for n in inside if (run.path / n / "run.json").is_file()}


def _validation(
    target: str, lines: Mapping[str, Sequence[Mapping[str, Any]]], row: Mapping[str, Any], kept: Sequence[Guide]
) -> Plot:
    """Errors of a target on the validation part, beside those of its baselines on the test part."""
    unit = _unit(row)
    said = [(m.get("val") or {}).get(target, {}) for rows in lines.values() for m in rows]
    keys = [k for k in ("mae", "rmse", "accuracy", "log_loss") if any(k in one for one in said)]
    series = [
        Series(
            " ".join(p for p in (name, KEYS[key]) if p),
            [m["epoch"] for m in rows],
            [_mean(m["val"].get(target, {}).get(key)) for m in rows],
            "line",
        )
        for name, rows in lines.items()
        for key in keys[: 1 if len(lines) > 1 else 2]
        if all("val" in m for m in rows)
    ]
    flat = {n: r.get("mae") for n, r in dict(row.get("baselines", {})).items() if isinstance(r, Mapping)}
    guides = [Guide("y", float(v), f"{n} (test)") for n, v in flat.items() if isinstance(v, (int, float))]
    title = f"Validation of {target.replace('_', ' ')}"
    return _curve(title, f"error ({unit})" if unit else "error", series, [*kept, *guides])


def _over_epochs(name: str, rows: Sequence[Mapping[str, Any]], key: str) -> Series:
    return Series(name, [m["epoch"] for m in rows], [_mean(m.get(key)) for m in rows], "line")


def _pairs(lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Series]:
    words = {"train_loss": "training loss", "val_score": "score of validation"}
    return [
        _over_epochs(" ".join(p for p in (name, words[key]) if p), rows, key)
        for name, rows in lines.items()
        for key in (words if len(lines) <= 4 else ("val_score",))
    ]


def _curve(title: str, label: str, series: Sequence[Series], guides: Sequence[Guide]) -> Plot:
    return Plot(title, Axis("epoch"), Axis(label, log=True), series, guides)
