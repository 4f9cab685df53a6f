"""What a staged screening costs and what it finds, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.mechanisms.drawing.plots import BLUE, GREY, canvas, save


def cost_and_recall(path: Path, rows: Sequence[Mapping[str, Any]], *, stages: str) -> None:
    """Draw the share of true hull phases that are found against the share of the whole cost, one point for every κ.

    Args:
        path: PNG to write.
        rows: with kappa, share and recall.
        stages: their names, for the title.
    """
    figure, axes = canvas(5.6, 4.2)
    x, y = (100.0 * np.array([r[k] for r in rows]) for k in ("share", "recall"))
    axes.plot(x, y, "-", lw=1.0, color=GREY, zorder=1)
    axes.plot(x, y, "o", ms=5, color=BLUE, zorder=2)
    for k, (a, b, row) in enumerate(zip(x, y, rows, strict=True)):
        near = k and abs(a - x[k - 1]) < 4.0 and abs(b - y[k - 1]) < 3.0
        place = (6, 6) if near and k % 2 else (6, -11)
        axes.annotate(f"{row['kappa']:g}", (a, b), textcoords="offset points", xytext=place, fontsize=8)
    axes.set(
        xlabel="cost (% of relaxing everything)",
        ylabel="true hull phases found (%)",
        xlim=(0.0, 107.0),
        ylim=(min(float(y.min()), 90.0) - 5.0, 107.0),
    )
    axes.set_title(f"threshold κσ, numbers are κ; {stages}", fontsize=10)
    save(figure, path)
