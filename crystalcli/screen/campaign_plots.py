"""What a staged screening costs and what it finds, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.drawing import BLUE, GREY, canvas, lay_out
from crystalcli.engine.drawing.plots import save

DrawnBox = tuple[float, float, float, float]
"""Left, lower, right, upper; points of the page."""
FONT, MARKER = 8.0, 5.0
"""Sizes of labels and of points, in points of the page."""
PLACES = [
    (dx * far, dy * far)
    for far in (1.0, 1.8, 2.8)
    for dx, dy in ((6.0, -9.0), (6.0, 9.0), (-6.0, 9.0), (-6.0, -9.0), (0.0, 11.0), (0.0, -11.0))
]
"""Where a label may stand beside its point, the best first."""


def cost_and_recall(paths: Sequence[Path], rows: Sequence[Mapping[str, Any]], *, stages: str) -> None:
    """Draw the share of true hull phases that are found against the share of the whole cost, one point for every κ.

    Args:
        paths: files to write, the format by their endings.
        rows: with kappa, share and recall.
        stages: their names, for the title.
    """
    figure, axes = canvas(5.6, 4.2)
    x, y = (100.0 * np.array([r[k] for r in rows]) for k in ("share", "recall"))
    axes.plot(x, y, "-", lw=1.0, color=GREY, zorder=1)
    axes.plot(x, y, "o", ms=MARKER, color=BLUE, zorder=2)
    axes.set(
        xlabel="cost (% of relaxing everything)",
        ylabel="true hull phases found (%)",
        xlim=(0.0, 107.0),
        ylim=(min(float(y.min()), 90.0) - 5.0, 107.0),
    )
    axes.set_title(f"threshold κσ, numbers are κ; {stages}", fontsize=10)
    _label(figure, axes, np.column_stack([x, y]), [f"{r['kappa']:g}" for r in rows])
    save(figure, paths)


def _label(figure: Any, axes: Any, at: NDArray[np.float64], words: Sequence[str]) -> None:
    """Write ``words`` beside their points (n, 2), none on another or on a point.

    Points under one marker share a label.
    """
    lay_out(figure)  # points have no place before
    dots = axes.transData.transform(at) * 72.0 / figure.dpi
    groups: list[list[int]] = []
    for k, dot in enumerate(dots):
        if groups and np.hypot(*(dot - dots[groups[-1][0]])) < MARKER:
            groups[-1].append(k)
        else:
            groups.append([k])
    taken = [(*(dot - MARKER / 2), *(dot + MARKER / 2)) for dot in dots]
    for group in groups:
        word, dot = ", ".join(words[k] for k in group), dots[group[0]]
        boxes = [_box(dot, place, word) for place in PLACES]
        crossed = [sum(_overlap(box, other) for other in taken) for box in boxes]
        best = int(np.argmin(crossed))
        taken.append(boxes[best])
        place = np.array(boxes[best][:2]) - dot
        axes.annotate(word, at[group[0]], textcoords="offset points", xytext=place, fontsize=FONT, va="bottom")


def _box(dot: NDArray[np.float64], place: tuple[float, float], word: str) -> DrawnBox:
    """The room of ``word`` in points; ``place`` are its middle's offsets, of which x counts from its nearer end."""
    wide, high = 0.65 * FONT * len(word) + 4.0, 1.2 * FONT
    left = dot[0] + place[0] - wide * (0.5 if place[0] == 0.0 else float(place[0] < 0.0))
    low = dot[1] + place[1] - high / 2
    return left, low, left + wide, low + high


def _overlap(one: DrawnBox, other: DrawnBox) -> float:
    """Common area of two boxes, square points."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)
