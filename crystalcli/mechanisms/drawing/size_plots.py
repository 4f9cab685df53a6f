"""Pictures of errors against the number of training structures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crystalcli.mechanisms.drawing.plots import BLUE, GREY, ORANGE, canvas, save
from crystalcli.mechanisms.running.display import unit_for
from crystalcli.vocabulary.quantities import Quantity

LOOKS = {"scratch": (BLUE, "o", "from scratch"), "transfer": (ORANGE, "s", "from a trained model")}


def draw(path: Path, name: str, curve: Mapping[str, Any]) -> None:
    """Draw the errors of a learning curve, both axes logarithmic; nothing without errors.

    Args:
        path: PNG to write.
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
        axes.set_yscale("log")
    ticks = sorted({p["structures"] for p in points})
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axes.minorticks_off()
    axes.set(xlabel="training structures", ylabel=f"test {curve['measure']}{f' ({unit})' if unit else ''}")
    axes.set_title(name.replace("_", " "), fontsize=10)
    axes.legend(frameon=False)
    save(figure, path)
