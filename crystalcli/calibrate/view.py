"""What a person sees of a calibration: for every target the factor, what it was before, and the intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from crystalcli.contracts.workflow import Shown
from crystalcli.engine.evaluate.batches import percent


def planned(found: Mapping[str, Any]) -> Shown:
    """The resolved plan."""
    levels = f" of levels {', '.join(f'{level:g}' for level in found['levels'])}"
    lines = [
        f"would calibrate {found['model']} with the labels of {found['files']} files, into {found['output']}",
        f"method: {found['method']}{levels if found['method'] == 'conformal' else ''}",
        f"device: {found['device']}; nothing was written",
    ]
    return Shown(lines)


def shown(report: Mapping[str, Any]) -> Shown:
    """What was fitted."""
    return Shown(list(_lines(report)), warnings=[f"left out: {line}" for line in report["left_out"]])


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    if report["skipped"]:
        yield f"{report['skipped']} structures that trained or validated the model are left out"
    for name, fit in report["sigma"].items():
        yield _line(name, fit, report["before"].get(name))
    yield f"model -> {report['model']}"
    yield f"check it on other structures: crystal predict {report['model']} OTHERS -o FILE"


def _line(name: str, fit: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    factor = fit["factor"]
    was = f"sigma times {factor:.4g} (mean z² was {before['mean_z2']:.2f})" if before else f"sigma {factor:.4g}"
    widths = ", ".join(f"±{w / factor:.3g}σ holds {percent(level)} %" for level, w in fit["half_widths"].items())
    of = f"of {fit['n']} labels of {fit['structures']} structures"
    return f"{name}: {was}, {of}{'; ' + widths if widths else ''}"
