"""Pictures of a screening: hulls of binary and ternary systems, what its stages cost and find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from crystalcli.contracts.drawing import BLUE, GREY, ORANGE, canvas, lay_out
from crystalcli.engine.drawing.plots import save
from crystalcli.nouns.hulls import lower_hull
from crystalcli.screen.hull import ON_HULL, Phase
from crystalcli.screen.options import BEYOND, WITHIN
from crystalcli.screen.rule import Candidate, Decision

Floats = NDArray[np.float64]
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
Judged = tuple[Candidate, Decision]

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


def draw_hull(
    paths: Sequence[Path], elements: Sequence[str], judged: Sequence[Judged], references: Sequence[Phase]
) -> None:
    """Draw the hull of a binary or ternary system with all its candidates.

    Args:
        paths: files to write, the format by their endings.
        elements: two or three symbols.
        judged: candidates inside the system with what was decided.
        references: phases of known energy inside the system.
    """
    (_binary if len(elements) == 2 else _ternary)(paths, elements, judged, references)


def fractions(amounts: Mapping[str, float], elements: Sequence[str]) -> Floats:
    """Atomic fractions in the order of ``elements``."""
    row = np.array([amounts.get(e, 0.0) for e in elements])
    found: Floats = row / row.sum()
    return found


def _binary(
    paths: Sequence[Path], elements: Sequence[str], judged: Sequence[Judged], references: Sequence[Phase]
) -> None:
    figure, axes = canvas(6.0, 4.5)
    known = np.array([[fractions(p.amounts, elements)[1], p.energy] for p in references]).reshape(-1, 2)
    axes.plot([0, 1], [0, 0], "s", ms=5, color=GREY, clip_on=False)
    if len(known):
        axes.plot(known[:, 0], known[:, 1], "s", ms=4, mew=0, color=GREY, label="known energies")
    for kept, color, label in ((False, ORANGE, BEYOND), (True, BLUE, WITHIN)):
        some = [(fractions(c.amounts, elements)[1], c.energy, c.sigma) for c, d in judged if d.kept == kept]
        if some:
            x, y, s = np.array(some).T
            axes.errorbar(x, y, yerr=s, fmt="o", ms=4, lw=0.7, alpha=0.7, color=color, label=f"{len(some)} {label}")
    competing = [(fractions(c.amounts, elements)[1], c.energy) for c, d in judged if d.competes]
    corner = np.array(lower_hull([(0.0, 0.0), (1.0, 0.0), *map(tuple, known.tolist()), *competing]))
    axes.plot(corner[:, 0], corner[:, 1], "-", lw=1.2, color="black", zorder=0, label="hull")
    axes.set(xlabel=f"fraction of {elements[1]} in {elements[0]}–{elements[1]}", ylabel="formation energy (eV/atom)")
    bars = ", bars are σ" if any(c.sigma > 0.0 for c, _ in judged) else ""
    axes.set_title(f"{elements[0]}–{elements[1]}: {len(judged)} candidates{bars}", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    save(figure, paths)


def _ternary(
    paths: Sequence[Path], elements: Sequence[str], judged: Sequence[Judged], references: Sequence[Phase]
) -> None:
    figure, axes = canvas(6.4, 5.4)
    amounts = [*(c.amounts for c, _ in judged), *(p.amounts for p in references)]
    window = _occupied(np.array([_place(a, elements) for a in amounts]))
    key = axes if window is None else axes.inset_axes((0.8, 0.83, 0.2, 0.18))
    for place in {axes, key}:
        _frame(place, elements, size=11 if place is axes and window is None else 7, named=place is key)
    _facets(axes, elements, judged, references)
    kept = sorted(((c, d) for c, d in judged if d.kept), key=lambda j: -j[1].above)  # the lowest on top
    if kept:
        xy = np.array([_place(c.amounts, elements) for c, _ in kept])
        height = 1000 * np.array([max(d.above, 0.0) for _, d in kept])
        top = colour_limit(height)
        drawn = axes.scatter(
            *xy.T, c=height, s=40, cmap="viridis_r", vmin=0.0, vmax=top, zorder=3, label=f"{len(kept)} {WITHIN}"
        )
        beyond = "max" if height.max() > top else "neither"
        figure.colorbar(drawn, ax=axes, label="above the hull (meV/atom)", shrink=0.7, extend=beyond)
    out = np.array([_place(c.amounts, elements) for c, d in judged if not d.kept]).reshape(-1, 2)
    if len(out):  # above the kept ones: polymorphs share a place
        axes.plot(out[:, 0], out[:, 1], "x", ms=4, mew=1.0, color=ORANGE, zorder=5, label=f"{len(out)} {BEYOND}")
    axes.set(xlim=(-0.08, 1.08), ylim=(-0.1, 0.98))
    if window is not None:
        (left, low), (right, high) = window
        axes.set(xlim=(left, right), ylim=(low, high))
        ring = np.array([[left, low], [right, low], [right, high], [left, high], [left, low]])
        key.plot(ring[:, 0], ring[:, 1], "-", lw=1.0, color=BLUE, clip_on=False)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    axes.set_title(f"{'–'.join(elements)}: {len(judged)} candidates, {len(references)} known phases", fontsize=10)
    save(figure, paths)


def colour_limit(heights: Floats) -> float:
    """Where the colours end: at the largest of ``heights`` (n,), or far lower where few lie far above the others.

    Tukey's fence: what lies more than 1.5 interquartile ranges above the upper quartile is drawn as the last colour.
    """
    lower, upper = np.percentile(heights, [25, 75])
    inside = heights[heights <= upper + 1.5 * (upper - lower)]
    return float(inside.max()) or float(heights.max()) or 1.0


def _occupied(points: Floats) -> tuple[Floats, Floats] | None:
    """The lower left and the upper right of a square around (n, 2) ``points``; none where they fill the triangle."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.6 * float((high - low).max())
    if not 0.02 < half < 0.36:
        return None
    middle = (low + high) / 2
    return middle - half, middle + half


def _frame(axes: Any, elements: Sequence[str], *, size: int, named: bool) -> None:
    """The triangle of the system, with its elements at the corners where ``named``."""
    corners = np.vstack([CORNERS, CORNERS[:1]])
    axes.plot(corners[:, 0], corners[:, 1], "-", lw=1, color=GREY)
    if named:
        for corner, symbol, place in zip(
            CORNERS, elements, ((-size, -size), (size, -size), (0, size / 2)), strict=True
        ):
            axes.annotate(symbol, corner, textcoords="offset points", xytext=place, ha="center", fontsize=size)
    axes.set_aspect("equal")
    axes.axis("off")


def _place(amounts: Mapping[str, float], elements: Sequence[str]) -> Floats:
    found: Floats = fractions(amounts, elements) @ CORNERS
    return found


def _facets(axes: Any, elements: Sequence[str], judged: Sequence[Judged], references: Sequence[Phase]) -> None:
    """Lines of coexistence: edges of the lower hull, and the phases on it."""
    phases = [*references, *(Phase(c.amounts, c.energy, c.id) for c, d in judged if d.competes)]
    x = np.vstack([np.eye(3), *(fractions(p.amounts, elements)[None] for p in phases)])
    energy = np.concatenate([np.zeros(3), [p.energy for p in phases]])
    below = energy <= ON_HULL
    flat, energy = (x @ CORNERS)[below], energy[below]
    try:
        hull = ConvexHull(np.column_stack([flat, energy]))
    except (QhullError, ValueError):  # nothing but the elements
        return
    lower = hull.simplices[hull.equations[:, 2] < -1e-12]
    for simplex in lower:
        ring = flat[np.append(simplex, simplex[0])]
        axes.plot(ring[:, 0], ring[:, 1], "-", lw=0.8, color="black", alpha=0.7, zorder=1)
    corners = flat[np.unique(lower)]
    axes.plot(corners[:, 0], corners[:, 1], "o", ms=7, mfc="none", mec="black", zorder=4, label="on the hull")


def draw_cost_and_recall(paths: Sequence[Path], rows: Sequence[Mapping[str, Any]], *, stages: str) -> None:
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
