"""Pictures of a molecular-dynamics run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.drawing import COLOURS, GREY, blank, canvas
from crystalcli.engine.drawing.plots import save

Array = NDArray[np.float64]


def curves(
    paths: Sequence[Path],
    found: Mapping[str, tuple[Array, Array]],
    *,
    x: str,
    y: str,
    title: str,
    level: float | None = None,
    filled: bool = False,
) -> None:
    """Draw one line for each name.

    Args:
        paths: files to write, the format by their endings.
        found: by name: abscissae and ordinates.
        x: label of the axis, with its unit.
        y: the same.
        title: what is drawn.
        level: height of a thin reference line.
        filled: colour the area below.
    """
    drawn, axes = canvas(6.0, 3.8)
    if level is not None:
        axes.axhline(level, color=GREY, lw=0.8, ls=":")
    for k, (name, (across, up)) in enumerate(found.items()):
        colour = COLOURS[k % len(COLOURS)]
        axes.plot(across, up, color=colour, lw=1.4, label=name, ls="-" if k < len(COLOURS) else "--")
        if filled:
            axes.fill_between(across, up, color=colour, alpha=0.15, lw=0)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0.0)
    axes.margins(x=0.0)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.locator_params(axis="x", nbins=7)
    if len(found) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.set_title(title, fontsize=10)
    save(drawn, paths)


def thermo(
    paths: Sequence[Path], time: Array, panels: Sequence[tuple[str, Mapping[str, Array]]], *, title: str
) -> None:
    """Draw the log of a run: one panel below the other over the same time.

    Args:
        paths: files to write, the format by their endings.
        time: (n,) ps.
        panels: label of the axis, and the lines by name; one called ``target`` is dashed.
        title: what was run.
    """
    drawn = blank(6.4, 1.2 + 1.6 * len(panels))
    every: Any = drawn.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (label, lines) in zip(every, panels, strict=True):
        for k, (name, values) in enumerate(lines.items()):
            if name == "target":
                axes.plot(time, values, color=GREY, lw=1.2, ls="--", label=name, zorder=3)
            else:
                axes.plot(time, values, color=COLOURS[k % len(COLOURS)], lw=0.9, label=name)
        axes.set_ylabel(label, fontsize=9)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.locator_params(axis="y", nbins=5)
        axes.margins(x=0.0)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    every[-1].set_xlabel("time (ps)")
    every[0].set_title(title, fontsize=10)
    save(drawn, paths)
