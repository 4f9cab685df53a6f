"""Pictures of predicted places: how far atoms are from the truth before and after, and the worst structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

from crystalcli.contracts.drawing import BLUE, GREY, blank
from crystalcli.engine.drawing import plots
from crystalcli.vocabulary.display import number

Floats = NDArray[np.float64]

BINS = (8, 50)
"""Fewest and most bars of a histogram: three times the cube root of its numbers between them."""
COLUMNS = 5
LONGEST = 28
"""Letters of an id above a panel."""
ELEMENTS = 14
"""More elements than this have no room in the legend."""
SHARE = 0.5
"""Of the covalent radius, as which an atom is drawn: so small that atoms hide few others."""
OUTLINE = "0.3"
COLOURS = np.where(jmol_colors.sum(1, keepdims=True) > 2.99, [0.75, 0.87, 1.0], jmol_colors)
"""Of elements, by atomic number; what is white (H) could not be told from an open circle."""
SMALLEST = 6.0
"""Å, what a panel shows at least, so that few atoms are no balloons."""
BAR = 2.0
"""Å, the length of the bar in a panel."""


@dataclass(frozen=True)
class Moved:
    """A structure before and after.

    Args:
        id: of the structure.
        numbers: (n,) atomic numbers. held: (n,) atoms that stay.
        start, predicted, true: (n, 3) Å; NaN where no label is.
        cell: (3, 3) Å. pbc: (3,).
        before, after: mean distance to the labels, Å.
    """

    id: str
    numbers: NDArray[np.int64]
    held: NDArray[np.bool_]
    start: Floats
    predicted: Floats
    true: Floats
    cell: Floats
    pbc: NDArray[np.bool_]
    before: float
    after: float


def distances(paths: Sequence[Path], groups: Mapping[str, tuple[Floats, Floats]], *, title: str) -> None:
    """Draw the distribution of distances at the start and as predicted, as Fig. 3 of J. Yoon and Z. W. Ulissi.

    Args:
        paths: files to write, the format by their endings.
        groups: by name (``slab``, ``adsorbate``; ``atoms`` where nothing tells them apart) the distances of its atoms
            to their labels, Å: at the start, and as predicted.
        title: what was trained.
    """
    figure = blank(0.6 + 4.2 * len(groups), 3.9)
    for k, (name, (before, after)) in enumerate(groups.items()):
        axes = figure.add_subplot(1, len(groups), k + 1)
        bins = int(np.clip(3 * len(before) ** (1 / 3), *BINS))
        edges = np.linspace(0.0, max(float(before.max()), float(after.max()), 1e-3), bins + 1)
        counts = [np.histogram(values, edges)[0] for values in (before, after)]
        axes.stairs(counts[0], edges, fill=True, color=GREY, alpha=0.4, label=_mean("start", before))
        axes.stairs(counts[1], edges, color=BLUE, lw=1.5, label=_mean("predicted", after))
        for values, color in ((before, GREY), (after, BLUE)):
            axes.axvline(values.mean(), ls="--", lw=1, color=color)
        axes.set(xlim=(0.0, edges[-1]), ylim=(0.7, 3.0 * max(c.max() for c in counts)))
        plots.plain_log(axes)
        axes.locator_params(axis="x", nbins=6)
        axes.set(xlabel="distance to the relaxed position (Å)", ylabel="atoms")
        axes.set_title(f"{name}, n = {len(before)}" if len(groups) > 1 else f"n = {len(before)}", fontsize=9)
        axes.legend(fontsize=8, frameon=False, loc="upper right")
    figure.suptitle(title, fontsize=10)
    plots.save(figure, paths)


def _mean(name: str, values: Floats) -> str:
    return f"{name}: mean {number(float(values.mean()))} Å"


def structures(paths: Sequence[Path], drawn: Sequence[Moved], *, title: str) -> None:
    """Draw structures from the side, a panel each: start, predicted and true places.

    Args:
        paths: files to write, the format by their endings.
        drawn: one structure at least.
        title: what was trained, and which structures these are.
    """
    from matplotlib.lines import Line2D

    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = blank(max(2.5 * columns, 5.0), 3.0 * rows + 1.1)
    for k, one in enumerate(drawn):
        _panel(figure.add_subplot(rows, columns, k + 1), one)
    every = np.unique(np.concatenate([one.numbers[~one.held] for one in drawn])).tolist()
    handles: list[Any] = [
        _dot(Line2D, "start", "none", GREY),
        _dot(Line2D, "true", "none", "black", 1.6),
        *(
            [_dot(Line2D, f"{chemical_symbols[z]} predicted", COLOURS[z], OUTLINE) for z in every]
            if len(every) <= ELEMENTS
            else [_dot(Line2D, "predicted, in the colour of the element", BLUE, OUTLINE)]
        ),
        *([_dot(Line2D, "held", "0.9", "0.75")] if any(one.held.any() for one in drawn) else []),
    ]
    figure.legend(
        handles=handles, fontsize=8, frameon=False, loc="outside lower center", ncols=min(len(handles), 2 + columns)
    )
    figure.suptitle(title, fontsize=10)
    plots.save(figure, paths)


def _dot(kind: Any, label: str, face: Any, edge: Any, width: float = 0.8) -> Any:
    return kind([], [], ls="", marker="o", ms=7, mfc=face, mec=edge, mew=width, label=label)


def _panel(axes: Any, one: Moved) -> None:
    """One structure: held and predicted atoms, those near the eye last; above them the true places, joined to them."""
    from matplotlib.collections import LineCollection, PatchCollection
    from matplotlib.patches import Circle

    axis = view(one)
    home = _into_cell(one)
    start, predicted, true = (p @ axis.T + home @ axis.T for p in (one.start, one.predicted, one.true))
    radius = SHARE * covalent_radii[one.numbers]
    free, known = ~one.held, np.isfinite(true).all(1) & ~one.held

    def circles(places: Floats, which: NDArray[np.int64], **how: Any) -> None:
        found = [Circle((places[i, 0], places[i, 1]), radius[i]) for i in which.tolist()]
        axes.add_collection(PatchCollection(found, **how))

    order = np.argsort(predicted[:, 2], kind="stable")
    colour = np.where(one.held[:, None], 0.9, COLOURS[one.numbers])[order]
    circles(start, np.flatnonzero(free), facecolor="none", edgecolor=GREY, lw=0.8, alpha=0.7)
    circles(predicted, order, facecolor=colour, edgecolor=np.where(one.held, "0.75", OUTLINE)[order], lw=0.4)
    circles(true, np.flatnonzero(known), facecolor="none", edgecolor="black", lw=0.9)
    pairs = np.stack([predicted[known, :2], true[known, :2]], axis=1)
    axes.add_collection(LineCollection(list(pairs), color="black", lw=0.6))  # which ring is whose
    seen = np.concatenate([start, predicted, true[known]])[:, :2]
    margin = radius.max() + 0.2
    lack = np.maximum(0.0, SMALLEST - np.ptp(seen, axis=0) - 2 * margin) / 2
    low, high = seen.min(0) - margin - lack, seen.max(0) + margin + lack
    low[1] -= 0.9  # for the bar
    axes.plot([low[0], low[0] + BAR], [low[1] + 0.3] * 2, "-", lw=1.5, color=GREY, solid_capstyle="butt")
    axes.text(low[0] + BAR + 0.2, low[1] + 0.3, f"{BAR:g} Å", va="center", fontsize=6, color=GREY)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", anchor="N")
    axes.set_axis_off()
    name = one.id if len(one.id) <= LONGEST else f"{one.id[: LONGEST - 1]}…"
    axes.set_title(f"{name}\n{number(one.before)} → {number(one.after)} Å", fontsize=8)


def view(one: Moved) -> Floats:
    """Unit vectors (3, 3) to the right, upwards and towards the eye.

    A surface is seen from the side, its normal upwards, to the right the one of its two axes along which the
    prediction errs more. Anything else shows the two Cartesian axes along which it is longest.
    """
    upward = np.cross(one.cell[0], one.cell[1])
    if one.pbc.tolist() == [True, True, False] and upward.any():
        upward = upward / np.linalg.norm(upward) * (-1.0 if upward @ one.cell[2] < 0 else 1.0)
        error = np.nan_to_num(one.predicted - one.true)
        along = one.cell[:2] / np.linalg.norm(one.cell[:2], axis=1)[:, None]
        right = along[int(np.square(error @ along.T).sum(0).argmax())]
        return np.stack([right, upward, np.cross(right, upward)])
    longest = np.argsort(-np.ptp(one.start, axis=0), kind="stable")[:2]
    right, upward = np.eye(3)[np.sort(longest)]
    return np.stack([right, upward, np.cross(right, upward)])


def _into_cell(one: Moved) -> Floats:
    """(n, 3) Å, the lattice vectors that bring every atom's start into the cell; its other places go with it."""
    if not one.pbc.any():
        return np.zeros_like(one.start)
    whole = np.where(one.pbc[:, None], one.cell, 0.0)
    share = one.start @ np.linalg.pinv(whole)
    found: Floats = -np.floor(share + 1e-6) * one.pbc @ whole
    return found
