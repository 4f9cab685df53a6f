"""Pictures of energies: differences from another theory (Fig. 4 and Table 1 of Aykol et al.), and voltages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystal_glass.comparison import Errors
from crystal_glass.voltage import Plateau
from crystalcli.contracts.drawing import BLUE, COLOURS, GREY, ORANGE, blank, canvas, rendered

MEV = 1e3


def draw_comparison(
    pairs: Sequence[Mapping[str, Any]],
    apart: NDArray[np.float64] | None,
    classes: Mapping[str, Errors],
    title: str,
    endings: Sequence[str],
) -> dict[str, bytes]:
    """Histogram of the differences, as they are and by a line that was fitted to other compositions; MAE by class."""
    figure = blank(8.6, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=[1.3, 1.0])
    off = MEV * np.array([p["difference"] for p in pairs])
    better = None if apart is None else MEV * (apart - np.array([p["reference"] for p in pairs]))
    every = off if better is None else np.concatenate([off, better])
    edges = np.linspace(every.min() - 1e-6, every.max() + 1e-6, int(np.clip(3 * len(off) ** 0.5, 8, 60)) + 1)
    left.hist(off, edges, color=BLUE, alpha=0.75, label=f"as they are, MAE {np.abs(off).mean():.1f}")
    if better is not None:
        label = f"affine, left out, MAE {np.abs(better).mean():.1f}"
        left.hist(better, edges, histtype="step", color=ORANGE, lw=1.4, label=label)
    left.axvline(0.0, color=GREY, lw=0.8, ls=":")
    left.set_xlabel("energy − reference (meV/atom)")
    left.set_ylabel("boxes")
    left.set_title(title, fontsize=10)
    left.legend(frameon=False, fontsize=8)
    names = list(classes)
    right.barh(range(len(names)), [MEV * classes[n].mae for n in names], color=BLUE, alpha=0.75)
    right.set_yticks(range(len(names)), [f"{n} ({classes[n].boxes})" for n in names], fontsize=8)
    right.invert_yaxis()
    right.set_xlabel("mean absolute error (meV/atom)")
    return rendered(figure, endings)


def draw_voltages(curves: Mapping[str, Sequence[Plateau]], ion: str, endings: Sequence[str]) -> dict[str, bytes]:
    """Voltage against the amount of ``ion``, in steps, of every host."""
    figure, axes = canvas(6.0, 3.8)
    for k, (host, plateaus) in enumerate(curves.items()):
        x = [v for p in plateaus for v in (p.start, p.end)]
        y = [p.volts for p in plateaus for _ in range(2)]
        axes.plot(x, y, "-", lw=1.4, color=COLOURS[k % len(COLOURS)], label=f"{ion}(x){host}")
    axes.axhline(0.0, color=GREY, lw=0.8, ls=":")
    axes.set_xlabel(f"x, {ion} for one atom of the other element")
    axes.set_ylabel(f"voltage against {ion} (V)")
    axes.set_xlim(left=0.0)
    axes.legend(frameon=False, fontsize=8)
    return rendered(figure, endings)
