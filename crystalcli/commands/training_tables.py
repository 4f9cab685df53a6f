"""Tables at the end of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crystalcli.mechanisms.running.display import number, unit_for
from crystalcli.vocabulary.quantities import Quantity

if TYPE_CHECKING:
    from rich.table import Table

    from crystalcli.workflows.train.training_report import TargetReport

LINES = 15
"""Elements that fit a terminal; all are in report.json."""

NUMBERS = {"mae": "MAE", "rmse": "RMSE", "r2": "R²", "macro_mae": "MAE, mean over crystals"}
CLASSES = {"accuracy": "accuracy", "roc_auc": "ROC-AUC", "f1": "F1", "log_loss": "log loss"}
IN_UNITS = ("mae", "rmse", "macro_mae")


def series_table(name: str, found: Mapping[str, Any], architecture: str) -> Table:
    """Mean ± spread over the runs of every architecture, and the baselines beside them."""
    from rich.table import Table

    model = found["model"]
    headings = NUMBERS if "mae" in model else CLASSES
    factor, unit = 1.0, ""
    if "mae" in model:
        factor, unit = unit_for(model["mae"]["mean"], Quantity(name, found["unit"]))
    keys = [k for k in headings if k in model]
    title = f"test: {name}" + (f" ({unit})" if unit else "") + f", {model['n']} labels, {model['runs']} runs"
    table = Table("", *(headings[k] for k in keys), title=title)
    rows = {architecture: model, **found["compared"], **found["baselines"]}
    for label, row in rows.items():
        if row is not None and "skipped" not in row:
            table.add_row(label, *(_cell(row.get(k), factor if k in IN_UNITS else 1.0) for k in keys))
    return table


def curve_table(name: str, curve: Mapping[str, Any]) -> Table:
    """Test errors by number of training structures, a column for every beginning."""
    from rich.table import Table

    points = curve["points"]
    known = [p["error"] for p in points if p["error"] is not None]
    of_error = curve["measure"] == "MAE" and bool(known)
    factor, unit = unit_for(min(known), Quantity(name, curve["unit"])) if of_error else (1.0, "")
    beginnings = list(dict.fromkeys(p["beginning"] for p in points))
    title = f"test {curve['measure']}: {name}" + (f" ({unit})" if unit else "")
    table = Table("training structures", *beginnings, title=title)
    for n in dict.fromkeys(p["structures"] for p in points):
        row = {p["beginning"]: {"mean": p["error"], "std": p["spread"]} for p in points if p["structures"] == n}
        table.add_row(str(n), *(_cell(row[b] if row[b]["mean"] is not None else None, factor) for b in beginnings))
    if curve["mean"] is not None:
        table.add_row("mean of them", *[number(curve["mean"] * factor)] * len(beginnings))
    return table


def _cell(value: Any, factor: float) -> str:
    if value is None:
        return ""
    if not isinstance(value, Mapping):
        return number(value * factor)
    said = number(value["mean"] * factor)
    return said if value["std"] is None else f"{said} ± {value['std'] * factor:.2g}"


def element_table(report: TargetReport) -> Table:
    """Errors of the elements with most labels, and what they say of every crystal and its sum."""
    from rich.table import Table

    q, rows = report.quantity, report.by_element
    most = sorted(rows, key=lambda e: -rows[e]["n"])[:LINES]
    factor, unit = unit_for(min((rows[e]["mae"] for e in most), default=0.0), q)
    more = report.more.get("model", {})
    caption = [f"mean over crystals {number(more['macro_mae'] * factor)}"] if "macro_mae" in more else []
    caption += [f"sum over a crystal {number(more['sum_mae'] * factor)}"] if "sum_mae" in more else []
    caption += [f"moments above 0.1: {number(more['magnetic_mae'] * factor)}"] if "magnetic_mae" in more else []
    title = f"test: {q.name} by element" + (f" ({unit})" if unit else "")
    table = Table("", "labels", "MAE", "bias", "mean", "deviation", title=title, caption="MAE: " + ", ".join(caption))
    for e in (e for e in rows if e in most):
        row = rows[e]
        cells = [number(row[k] * factor) for k in ("mae", "bias", "mean", "deviation")]
        table.add_row(e if row["in_training"] else f"{e} (new)", str(row["n"]), *cells)
    if len(rows) > len(most):
        table.add_row(f"{len(rows) - len(most)} more", "", "", "", "", "", style="dim")
    return table
