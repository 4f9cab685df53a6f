"""Pictures of uncertainties beside errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.drawing import BLUE, GREY, canvas
from crystalcli.engine.drawing.plots import save
from crystalcli.engine.evaluate import calibration


def reliability(paths: Sequence[Path], error: NDArray[np.float64], sigma: NDArray[np.float64], *, title: str) -> None:
    """Draw which share of errors lies inside the Gaussian interval of every level; the diagonal is calibrated.

    Args:
        paths: files to write, the format by their endings.
        error: (n,).
        sigma: (n,) in the same unit; where one is not positive, nothing is drawn.
        title: what was evaluated.
    """
    found = calibration.calibration(error, sigma)
    if found is None:
        return
    figure, axes = canvas(5.0, 5.0)
    observed = calibration.reliability(error, sigma)
    axes.fill_between(calibration.LEVELS, calibration.LEVELS, observed, color=BLUE, alpha=0.15, lw=0)
    axes.plot(calibration.LEVELS, observed, "-", lw=1.5, color=BLUE, label="observed")
    axes.plot([0, 1], [0, 1], "--", lw=1, color=GREY, label="calibrated")
    axes.set(
        xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="interval of the predicted σ", ylabel="share of errors inside"
    )
    axes.legend(frameon=False, loc="upper left")
    text = f"mean z² {found.mean_z2:.2f}   area {found.miscalibration_area:.3f}   n = {found.n}"
    axes.set_title(f"{title}\n{text}", fontsize=10)
    save(figure, paths)
