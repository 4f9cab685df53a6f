"""The energy of two atoms alone over their distance, a panel for every pair of elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crystalcli.contracts.drawing import BLUE, GREY, ORANGE, blank
from crystalcli.engine.drawing.plots import save
from crystalcli.potential_checks.diatomics import CORE, Curve

MOST = 36
"""Panels of one picture."""


def draw(paths: Sequence[Path], curves: Sequence[Curve], edges: Mapping[str, float], *, title: str) -> int:
    """Draw ``curves``, those with a hole first; returns how many are drawn.

    Args:
        paths: files to write, the format by their endings.
        curves: of any number of pairs; of more than :data:`MOST` the first.
        edges: where a curve has a hole, by the pair's name, Å.
        title: what the potential is called.
    """
    drawn = sorted(curves, key=lambda c: c.name not in edges)[:MOST]
    columns = min(math.ceil(math.sqrt(len(drawn))), 6)
    rows = math.ceil(len(drawn) / columns)
    figure = blank(3.0 * columns + 0.6, 2.3 * rows + 0.7)
    for k, curve in enumerate(drawn):
        axes = figure.add_subplot(rows, columns, k + 1)
        axes.plot(curve.distances, np.arcsinh(curve.energies), "-", lw=1.5, color=BLUE)
        axes.axhline(0.0, lw=0.7, color=GREY)
        axes.axvspan(curve.distances[0], CORE * curve.covalent, color=GREY, alpha=0.12, lw=0)
        if curve.name in edges:
            axes.axvline(edges[curve.name], lw=1.2, ls="--", color=ORANGE)
        ticks = _ticks(float(curve.energies.min()), float(curve.energies.max()))
        axes.set_yticks(np.arcsinh(ticks), [f"{t:g}" for t in ticks])
        axes.set_title(curve.name + (" hole" if curve.name in edges else ""), fontsize=9)
        axes.tick_params(labelsize=7)
    figure.supxlabel("distance (Å); the core is grey", fontsize=9)
    figure.supylabel("energy (eV, arcsinh)", fontsize=9)
    figure.suptitle(title, fontsize=10)
    save(figure, paths)
    return len(drawn)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers of a scale that is linear about zero and logarithmic far from it."""
    steps = [1.0, 10.0, 100.0, 1e3, 1e4, 1e6, 1e8]
    all_ = [-s for s in reversed(steps)] + [0.0, *steps]
    return [t for t in all_ if low - 0.5 <= t <= high * 1.2 + 0.5]
