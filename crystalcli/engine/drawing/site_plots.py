"""Pictures of site values, element by element: parity, and how true and predicted values are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.drawing import BLUE, GREY, ORANGE, blank, canvas
from crystalcli.engine.drawing import plots
from crystalcli.vocabulary.display import number, unit_for
from crystalcli.vocabulary.pictures import DEFAULT, paths
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.texts import file_word

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

PANELS, COLUMNS, BODIES = 12, 4, 30
"""Elements with a parity panel of their own; panels in a row; elements whose distributions are drawn."""
SMALLEST = 5
"""Fewer labels than this make no distribution."""
BODY = 30
"""Fewer labels than this are drawn one by one: a smoothed histogram of six values shows the smoothing."""
MANY = 3000
"""Points of a panel; of more, so many are drawn, evenly spaced."""


def parity_by_element(
    paths: Sequence[Path], quantity: Quantity, numbers: Numbers, true: Floats, predicted: Floats, *, title: str
) -> None:
    """Draw predicted against true values, a panel for each of the elements with most labels.

    Args:
        paths: files to write, the format by their endings.
        quantity: name and unit.
        numbers: (n,) atomic numbers of the sites.
        true: (n,) labels.
        predicted: (n,) values.
        title: what was trained.
    """
    kinds, counts = np.unique(numbers, return_counts=True)
    shown = sorted(kinds[np.argsort(-counts, kind="stable")][:PANELS].tolist())
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = blank(2.6 * columns + 0.4, 2.7 * rows + 0.7)
    for k, z in enumerate(shown):
        axes = figure.add_subplot(rows, columns, k + 1)
        mine = numbers == z
        _panel(axes, quantity, chemical_symbols[z], true[mine], predicted[mine])
    rest = len(kinds) - len(shown)
    said = f"; {rest} rarer elements not drawn" if rest > 0 else ""
    figure.suptitle(f"{title}\n{_named(quantity)}: predicted over true{said}", fontsize=10)
    plots.save(figure, paths)


def _panel(axes: Any, quantity: Quantity, symbol: str, true: Floats, predicted: Floats) -> None:
    low, high = float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))
    margin = 0.06 * ((high - low) or 1.0)
    ends = (low - margin, high + margin)
    step = -(-len(true) // MANY)
    axes.plot(ends, ends, "-", lw=1, color=GREY, zorder=0)
    few = len(true) < 200
    axes.plot(true[::step], predicted[::step], "o", ms=3 if few else 1.5, mew=0, alpha=0.6 if few else 0.3, color=BLUE)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=7)
    axes.ticklabel_format(useOffset=False)
    mae = float(np.abs(predicted - true).mean())
    factor, unit = unit_for(mae, quantity)
    axes.set_title(f"{symbol}: MAE {number(mae * factor)} {unit}".rstrip() + f", n = {len(true)}", fontsize=8)


def distributions(
    paths: Sequence[Path], quantity: Quantity, numbers: Numbers, true: Floats, predicted: Floats, *, title: str
) -> None:
    """Draw the distribution of the true values of every element beside that of the predicted ones.

    As Fig. 2a of J. Karaguesian et al.: half a violin each, points where labels are few, elements in the order of the
    table. Of very many elements those with most labels. Widths do not compare numbers of sites.

    Args:
        paths: files to write, the format by their endings.
        quantity: name and unit.
        numbers: (n,) atomic numbers of the sites.
        true: (n,) labels.
        predicted: (n,) values.
        title: what was trained.
    """
    kinds, counts = np.unique(numbers, return_counts=True)
    enough = kinds[counts >= SMALLEST] if (counts >= SMALLEST).any() else kinds
    counts = np.array([np.sum(numbers == z) for z in enough])
    shown = sorted(enough[np.argsort(-counts, kind="stable")][:BODIES].tolist())
    figure, axes = canvas(max(4.5, 0.55 * len(shown) + 1.6), 4.2)
    for side, values, colour in ((-1, true, BLUE), (1, predicted, ORANGE)):
        for place, z in enumerate(shown):
            _half(axes, place, side, values[numbers == z], colour)
    for name, colour in (("true", BLUE), ("predicted", ORANGE)):
        axes.fill_between([], [], color=colour, alpha=0.7, lw=0, label=name)
    labels = [f"{chemical_symbols[z]}\n{np.sum(numbers == z):,}" for z in shown]
    axes.set_xticks(range(len(shown)), labels, fontsize=8)
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.set_ylabel(_named(quantity))
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(f"{title}\nnumbers of labels below the elements", fontsize=10)
    plots.save(figure, paths)


def _half(axes: Any, place: int, side: int, values: Floats, colour: str) -> None:
    """Half a violin: a histogram smoothed a little, and the median as a line; few values as points beside it."""
    median = float(np.median(values))
    if len(values) < BODY:
        at = place + side * (0.1 + 0.06 * (np.arange(len(values)) % 5))  # so that equal values do not hide each other
        axes.plot(at, np.sort(values), "o", ms=3, mew=0, alpha=0.7, color=colour)
        axes.plot([place, place + 0.4 * side], [median, median], "-", lw=1, color="black")
        return
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(1.0, abs(high)):
        axes.plot([place, place + 0.4 * side], [low, low], "-", lw=2, color=colour)
        return
    bins = int(np.clip(2 * len(values) ** (1 / 3), 6, 60))
    counts, edges = np.histogram(values, bins=bins)
    padded = np.concatenate([[0], counts, [0]]).astype(np.float64)
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    heights = np.concatenate([[0.0], smooth, [0.0]]) / smooth.max() * 0.4
    at = np.concatenate([[edges[0]], (edges[1:] + edges[:-1]) / 2, [edges[-1]]])
    axes.fill_betweenx(at, place, place + side * heights, color=colour, alpha=0.7, lw=0)
    axes.plot([place, place + side * float(np.interp(median, at, heights))], [median, median], "-", lw=1, color="black")


def _named(quantity: Quantity) -> str:
    unit = f" ({quantity.unit})" if quantity.unit else ""
    return quantity.name.replace("_", " ") + unit


def names(stem: str, quantity: Quantity) -> tuple[str, str]:
    """What the files of :func:`draw` are called, without their endings."""
    word = file_word(quantity.name)
    return f"{stem}parity-elements-{word}", f"{stem}distribution-{word}"


def draw(
    folder: Path,
    stem: str,
    quantity: Quantity,
    sites: tuple[Numbers, Floats, Floats],
    *,
    title: str,
    pictures: str = DEFAULT,
) -> list[Path]:
    """Draw both pictures of ``sites`` (atomic numbers, true, predicted) beside one another: their paths."""
    numbers, true, predicted = sites
    panels, bodies = (paths(folder / name, pictures) for name in names(stem, quantity))
    parity_by_element(panels, quantity, numbers, true, predicted, title=title)
    distributions(bodies, quantity, numbers, true, predicted, title=title)
    return [*panels, *bodies]
