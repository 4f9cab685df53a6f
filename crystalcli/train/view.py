"""What a person sees of a training, a series or a learning curve: the plan, the tables and lines at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from crystalcli.contracts.workflow import Shown, Table
from crystalcli.engine.evaluate import metrics
from crystalcli.vocabulary.display import number, unit_for
from crystalcli.vocabulary.quantities import Quantity

FEW = 12
"""Classes whose table of confusions fits a terminal."""
LINES = 15
"""Elements that fit a terminal; all are in report.json."""
NUMBERS = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "macro_mae": "MAE, mean over crystals"}
PLACES = {
    "mae": "atoms",
    "macro_mae": "structures",
    "slab_mae": "slab",
    "adsorbate_mae": "adsorbate",
    "within_0.1": "≤ 0.1 Å",
    "adwt": "ADwT",
}
"""Mean distances over all atoms, over the means of structures, over parts; shares of structures."""
CLASSES = {"accuracy": "accuracy", "roc_auc": "ROC-AUC", "f1": "F1", "log_loss": "log loss"}
IN_UNITS = ("mae", "rmse", "macro_mae", "slab_mae", "adsorbate_mae")
IN_PERCENT = ("within_0.1", "adwt")


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    lines = []
    for name, part in found["parts"].items():
        options = ", ".join(f"{k}={v}" for k, v in part["options"].items())
        lines.append(f"{name}: {part['name']} ({options})")
    lines.append(f"parameters: {found['parameters']}")
    lines.append("recipe: " + ", ".join(f"{k}={v}" for k, v in found["recipe"].items()))
    if found["beside"]:
        lines.append(f"trained beside it: {', '.join(found['beside'])}; --no-compare leaves it out")
    if "runs" in found:
        lines.append(f"runs: {', '.join(found['runs'])}")
    return Shown([*lines, f"device: {found['device']}"])


def headline(report: Mapping[str, Any]) -> str:
    """For lists of runs: the test error of every target."""
    if "curves" in report:
        return "; ".join(f"{name}: {len(one['points'])} sizes" for name, one in report["curves"].items())
    known = {name: row for name, row in report["test"].items() if row["model"] is not None}
    return "; ".join(f"{name} {_in_short(row)}" for name, row in known.items())


def _in_short(row: Mapping[str, Any]) -> str:
    """``MAE 45.2 ± 1.3 meV/atom``, ``accuracy 0.91``."""
    model = row["model"]
    key = next(k for k in ("mae", "accuracy") if k in model)
    value = model[key]["mean"] if isinstance(model[key], Mapping) else model[key]
    spread = model[key]["std"] if isinstance(model[key], Mapping) else None
    unit = model.get("unit", row.get("unit", ""))
    factor, unit = unit_for(value, Quantity("x", unit)) if key == "mae" else (1.0, "")
    more = "" if spread is None else f" ± {number(spread * factor)}"
    return f"{key.upper() if key == 'mae' else key} {number(value * factor)}{more} {unit}".rstrip()


def shown(report: Mapping[str, Any]) -> Shown:
    """What came out."""
    if "curves" in report:
        tables = [_of_curve(name, one) for name, one in report["curves"].items()]
        return Shown([f"runs, tables, pictures -> {report['folder']}"], tables=tables)
    known = {name: row for name, row in report["test"].items() if row["model"] is not None}
    warnings = [f"the test part has no labels '{name}'" for name in report["test"] if name not in known]
    if "runs" in report:
        tables = [_of_series(name, row, report["architecture"]) for name, row in known.items()]
        return Shown([f"runs -> {report['folder']}"], tables=tables, warnings=warnings)
    lines = []
    several = len(known) > 1
    for target, row in known.items():
        skipped = {n: r["skipped"] for n, r in _others(row).items() if r is not None and "skipped" in r}
        of = f" of {target}" if several else ""
        lines += [f"baseline {n}{of}: skipped, {why}" for n, why in skipped.items()]
        warnings += [
            f"baseline {n}: {k} test structures have distances that training never has; they count 0"
            for n, k in row["extrapolated"].items()
        ]
    tables = [table for row in known.values() for table in _of_target(row)]
    if "replay" in report:
        tables.append(replay_table(report["replay"]))
    return Shown([*lines, f"model -> {report['model']}"], tables=tables, warnings=warnings)


def replay_table(found: Mapping[str, Any]) -> Table:
    """How much the answers at structures that were to be remembered are others now."""
    rows = []
    for name, change in found["changed"].items():
        factor, unit = unit_for(change["mae"], Quantity(name, change["unit"]))
        cells = (number(change[k] * factor) for k in ("mae", "rmse", "max_error"))
        rows.append([f"{name} ({unit})" if unit else name, *cells])
    title = f"replay: answers changed since the start, {found['aside']} structures that were not learned"
    return Table(("", "mean", "RMS", "largest"), rows, title)


def _others(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row["compared"], **row["baselines"]}


def _of_target(row: Mapping[str, Any]) -> Iterator[Table]:
    """Errors of the model and of what stands beside it; of classes the confusions, of sites the elements."""
    q, model = Quantity.from_json(row["quantity"]), metrics.from_json(row["model"])
    rows = {n: metrics.from_json(r) for n, r in _others(row).items() if r is not None and "skipped" not in r}
    rows = {"model": model, **rows}
    if isinstance(model, metrics.ClassErrors):
        cells = [
            [n, *("" if v is None else f"{v:.4f}" for v in (r.accuracy, r.roc_auc, r.f1, r.log_loss))]
            for n, r in rows.items()
            if isinstance(r, metrics.ClassErrors)
        ]
        yield Table(("", *CLASSES.values()), cells, f"test: {q.name}, {model.n} labels")
        if q.classes <= FEW:
            yield _confusion(q, model)
    elif q.meaning == "position":
        yield _of_places(q, row)
        if row["by_element"]:
            yield _moved_elements(q, row["by_element"])
    else:
        factor, unit = unit_for(model.mae, replace(q, unit=model.unit or q.unit))
        title = f"test: {q.name}" + (f" ({unit})" if unit else "") + f", {model.n} labels"
        found = [_numbers(n, r, factor) for n, r in rows.items() if isinstance(r, metrics.Errors)]
        yield Table(("", model.word, "RMSE", "R²", "max error"), found, title)
    if q.level == "site" and q.meaning != "position" and row["by_element"]:
        yield _of_elements(q, row)


def _numbers(name: str, r: metrics.Errors, factor: float) -> list[str]:
    cells = [number(v * factor) for v in (r.mae, r.rmse, r.max_error)]
    return [name, cells[0], cells[1], "" if r.r2 is None else f"{r.r2:.4f}", cells[2]]


def _of_places(q: Quantity, found: Mapping[str, Any]) -> Table:
    """Mean distances of everything that stands beside each other, and which shares of structures are near enough."""
    rows = {"model": found["model"], **_others(found)}
    known = {n: r for n, r in rows.items() if r is not None and "skipped" not in r}
    keys = [k for k in PLACES if any(k in r for r in known.values())]
    cells = [[n, *(_shown(k, r.get(k)) for k in keys)] for n, r in known.items()]
    title = f"test: {q.name}, mean distance ({q.unit}), {found['model']['n']} atoms"
    caption = "ADwT: share of structures within 0.01, 0.011, … 0.5 Å, on average"
    return Table(("", *(PLACES[k] for k in keys)), cells, title, caption if "adwt" in keys else "")


def _shown(key: str, value: Any, factor: float = 1.0) -> str:
    """The number ``key`` of a report: multiplied with ``factor`` where it has the target's unit, shares in percent."""
    if key not in IN_PERCENT:
        return _cell(value, factor if key in IN_UNITS else 1.0)
    return f"{_cell(value, 100.0)} %" if value is not None else ""


def _moved_elements(q: Quantity, rows: Mapping[str, Any]) -> Table:
    """Mean distances of the elements with most labels, at the start and as predicted."""
    made = [[*_element(e, rows[e]), *(number(rows[e][k]) for k in ("before", "mae"))] for e in _most(rows)]
    heads = ("", "atoms", "start", "predicted")
    return Table(heads, _and_more(made, rows, len(heads)), f"test: {q.name} by element, mean distance ({q.unit})")


def _most(rows: Mapping[str, Any]) -> list[str]:
    """The elements with most labels, in the order of ``rows``."""
    most = sorted(rows, key=lambda e: -rows[e]["n"])[:LINES]
    return [e for e in rows if e in most]


def _element(name: str, row: Mapping[str, Any]) -> list[str]:
    return [name if row["in_training"] else f"{name} (new)", str(row["n"])]


def _and_more(made: list[list[str]], rows: Mapping[str, Any], width: int) -> list[list[str]]:
    """``made`` and, where it is not all of ``rows``, a line that says so."""
    rest = len(rows) - len(made)
    return [*made, [f"{rest} more", *[""] * (width - 1)]] if rest else made


def _confusion(quantity: Quantity, errors: metrics.ClassErrors) -> Table:
    rows = [[w, *(str(n) for n in row)] for w, row in zip(quantity.words, errors.confusion, strict=True)]
    return Table(("true \\ predicted", *quantity.words), rows, f"test: {quantity.name}, structures")


def _of_elements(q: Quantity, found: Mapping[str, Any]) -> Table:
    """Errors of the elements with most labels, and what they say of every crystal and its sum."""
    rows, model = found["by_element"], found["model"]
    most = _most(rows)
    factor, unit = unit_for(min((rows[e]["mae"] for e in most), default=0.0), q)
    words = {"macro_mae": "mean over crystals", "sum_mae": "sum over a crystal", "magnetic_mae": "moments above 0.1"}
    caption = [f"{word} {number(model[k] * factor)}" for k, word in words.items() if k in model]
    title = f"test: {q.name} by element" + (f" ({unit})" if unit else "")
    keys = ("mae", "bias", "mean", "deviation")
    made = [[*_element(e, rows[e]), *(number(rows[e][k] * factor) for k in keys)] for e in most]
    heads = ("", "labels", "MAE", "bias", "mean", "deviation")
    return Table(heads, _and_more(made, rows, len(heads)), title, "MAE: " + ", ".join(caption))


def _of_series(name: str, found: Mapping[str, Any], architecture: str) -> Table:
    """Mean ± spread over the runs of every architecture, and the baselines beside them."""
    model = found["model"]
    headings = PLACES if "adwt" in model else NUMBERS if "mae" in model else CLASSES
    factor, unit = 1.0, ""
    if "mae" in model:
        factor, unit = unit_for(model["mae"]["mean"], Quantity(name, found["unit"]))
    keys = [k for k in headings if k in model]
    title = f"test: {name}" + (f" ({unit})" if unit else "") + f", {model['n']} labels, {model['runs']} runs"
    rows = {architecture: model, **_others(found)}
    cells = [
        [label, *(_shown(k, row.get(k), factor) for k in keys)]
        for label, row in rows.items()
        if row is not None and "skipped" not in row
    ]
    return Table(("", *(headings[k] for k in keys)), cells, title)


def _of_curve(name: str, curve: Mapping[str, Any]) -> Table:
    """Test errors by number of training structures, a column for every beginning."""
    points = curve["points"]
    known = [p["error"] for p in points if p["error"] is not None]
    of_error = curve["measure"] == "MAE" and bool(known)
    factor, unit = unit_for(min(known), Quantity(name, curve["unit"])) if of_error else (1.0, "")
    ways = list(dict.fromkeys(p["beginning"] for p in points))
    rows = []
    for n in dict.fromkeys(p["structures"] for p in points):
        here = {p["beginning"]: {"mean": p["error"], "std": p["spread"]} for p in points if p["structures"] == n}
        rows.append([str(n), *(_cell(here[w] if here[w]["mean"] is not None else None, factor) for w in ways)])
    if curve["mean"] is not None:
        rows.append(["mean of them", *[number(curve["mean"] * factor)] * len(ways)])
    title = f"test {curve['measure']}: {name}" + (f" ({unit})" if unit else "")
    return Table(("training structures", *ways), rows, title)


def _cell(value: Any, factor: float) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        return number(value * factor)
    said = number(value["mean"] * factor)
    return said if value["std"] is None else f"{said} ± {value['std'] * factor:.2g}"
