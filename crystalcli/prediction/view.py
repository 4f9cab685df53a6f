"""What a person sees of a prediction beside the values: what was written, and errors where there were labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crystalcli.contracts.workflow import Shown
from crystalcli.engine.evaluate import metrics
from crystalcli.vocabulary.display import shown as with_unit
from crystalcli.vocabulary.quantities import Quantity


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    what = f"predicts {found['targets']}; {found['files']} files as {found['format']}"
    return Shown([f"{found['model']}: {what}; nothing was written"])


def shown(report: Mapping[str, Any]) -> Shown:
    """What was predicted, and how well where that is known."""
    lines, warnings = list(_lines(report)), []
    if n := report["without_column"]:
        warnings.append(
            f"{n} structures have labels that came too late for a column 'true'; "
            "they are in the errors; -o FILE.jsonl holds them"
        )
    if known := report["labelled_known"]:
        warnings.append(
            f"{known} of {report['labelled']} labelled structures, {report['known_how']}, trained or "
            "validated the model: errors on them say nothing of others"
        )
    if report["doubt"]:
        warnings.append(f"{report['model']}: {report['doubt']}")
    if report["failed"]:
        beside = f"; see {report['failures_file']}" if report["failures_file"] else ""
        warnings.append(f"{report['n']} predicted, {len(report['failed'])} failed{beside}")
    elif report["output"] is not None:
        lines.append(f"{report['n']} predicted -> {report['output']}")
    return Shown(lines, warnings=warnings)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    if (latent := report["latent"]) is not None:
        yield f"{latent['sites']} vectors of {latent['width']} numbers -> {latent['file']}"
    if report["similar"] is not None:
        yield f"similar sites -> {report['similar']}"
    for name, row in report["errors"].items():
        yield f"{name}: {_errors(name, row)} ({row['n']} labels)"
        yield from sigma_lines(name, row, report["calibrations"])
        kind = "parity" if "mae" in row else "confusion"
        yield from (f"{kind} plot -> {path}" for path in row["pictures"])
        yield from (f"plot by element -> {path}" for path in row["pictures_by_element"])
    yield from report["files_said"]
    if report["extrapolating"]:
        yield f"{report['extrapolating']} of {report['n']} are extrapolations; each row says why"


def _errors(name: str, row: Mapping[str, Any]) -> str:
    errors, quantity = metrics.from_json(row), Quantity(name, row["unit"])
    if isinstance(errors, metrics.Errors):
        return (
            f"{errors.word} {with_unit(errors.mae, quantity)}, RMSE {with_unit(errors.rmse, quantity)}, "
            f"max error {with_unit(errors.max_error, quantity)}"
        )
    area = "" if errors.roc_auc is None else f"ROC-AUC {errors.roc_auc:.4f}, "
    return f"accuracy {errors.accuracy:.4f}, {area}log loss {errors.log_loss:.4f}"


def sigma_lines(name: str, found: Mapping[str, Any], calibrations: Mapping[str, str]) -> list[str]:
    """What errors say of the σ of target ``name``: how many lie inside, and whether it was calibrated."""
    said: list[str] = []
    if (c := found.get("calibration")) is not None:
        rank = "" if c["spearman"] is None else f", rank correlation with the error {c['spearman']:.2f}"
        said.append(
            f"sigma of {name} ({calibrations[name]}): {c['within_1_sigma']:.1%} within 1σ, {c['within_2_sigma']:.1%} "
            f"within 2σ, mean z² {c['mean_z2']:.2f}{rank}"
        )
    if found.get("intervals"):
        shares = ", ".join(f"of {level} % {share:.1%}" for level, share in found["intervals"].items())
        said.append(f"intervals of {name} hold: {shares}")
    return said
