"""Pictures of errors against the number of training structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystalcli.contracts.drawing import BLUE, GREY, ORANGE, canvas
from crystalcli.engine.drawing.plots import save
from crystalcli.engine.run.display import unit_for
from crystalcli.vocabulary.quantities import Quantity

LOOKS = {"scratch": (BLUE, "o", "from scratch"), "transfer": (ORANGE, "s", "from a trained model")}


def draw(paths: Sequence[Path], name: str, curve: Mapping[str, Any]) -> None:
    """Draw the errors of a learning curve, both axes logarithmic; nothing without errors.

    Args:
        paths: files to write, the format by their endings.
        name: of the target.
        curve: ``unit``, ``measure`` (MAE, accuracy), ``mean`` (that of the training mean, or none) and ``points`` with
            ``beginning`` (scratch, transfer), ``structures``, ``error`` and ``spread``.
    """
    points = [p for p in curve["points"] if p["error"] is not None]
    if not points:
        return
    quantity = Quantity(name, curve["unit"])
    factor, unit = unit_for(min(p["error"] for p in points), quantity) if curve["measure"] == "MAE" else (1.0, "")
    figure, axes = canvas(5.5, 4.0)
    for beginning, (color, mark, label) in LOOKS.items():
        mine = [p for p in points if p["beginning"] == beginning]
        if mine:
            x, y = [p["structures"] for p in mine], [factor * p["error"] for p in mine]
            spread = [factor * (p["spread"] or 0.0) for p in mine]
            axes.errorbar(x, y, spread, fmt=f"{mark}-", ms=6, lw=1.5, color=color, capsize=3, label=label)
    if curve["mean"] is not None:
        axes.axhline(factor * curve["mean"], ls="--", lw=1, color=GREY, label="mean of the training part")
    axes.set_xscale("log")
    if curve["measure"] == "MAE":
        _log_errors(axes)
    ticks = sorted({p["structures"] for p in points})
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axes.xaxis.minorticks_off()
    axes.set(xlabel="training structures", ylabel=f"test {curve['measure']}{f' ({unit})' if unit else ''}")
    figure.suptitle(name.replace("_", " "), fontsize=10)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    save(figure, paths)


def _log_errors(axes: Any) -> None:
    """A logarithmic axis with plain numbers, also where all lie in one decade."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
