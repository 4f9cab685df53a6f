"""Whether predicted uncertainties are as large as the errors are, and how to make them so.

z = error/σ. V. Kuleshov et al., ICML 2018 (arXiv:1807.00263) for reliability; D. Levi et al., Sensors 22, 5540 (2022)
for ENCE; J. Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018) for conformal intervals.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import UsageError

Floats = NDArray[np.float64]
LEVELS = np.linspace(0.0, 1.0, 101)
BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Errors beside uncertainties.

    Args:
        n: labels that count.
        mean_z, mean_z2: of z = error/σ; 0 and 1 if calibrated.
        within_1_sigma, within_2_sigma, within_90: share of errors inside the interval; 0.683, 0.954, 0.9 if Gaussian.
        miscalibration_area: area between the reliability curve and the diagonal, 0 … 0.5.
        spearman: rank correlation of |error| with σ; none if all σ are equal.
        nll: mean negative log-likelihood of a Gaussian.
        ence: expected normalised calibration error over ten bins of σ.
        sharpness: root mean square of σ, in the unit of the target.
    """

    n: int
    mean_z: float
    mean_z2: float
    within_1_sigma: float
    within_2_sigma: float
    within_90: float
    miscalibration_area: float
    spearman: float | None
    nll: float
    ence: float
    sharpness: float

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def calibration(error: Floats, sigma: Floats) -> Calibration | None:
    """Compare errors (n,) with standard deviations (n,); none without numbers or where a σ is not positive."""
    known = np.isfinite(error) & np.isfinite(sigma)
    error, sigma = error[known], sigma[known]
    if not len(error) or not (sigma > 0.0).all():
        return None
    z = error / sigma
    size = np.abs(z)
    found = reliability(error, sigma)
    return Calibration(
        n=len(z),
        mean_z=float(z.mean()),
        mean_z2=float(np.square(z).mean()),
        within_1_sigma=float((size <= 1.0).mean()),
        within_2_sigma=float((size <= 2.0).mean()),
        within_90=float((size <= quantile(0.9)).mean()),
        miscalibration_area=float(np.trapezoid(np.abs(found - LEVELS), LEVELS)),
        spearman=_spearman(np.abs(error), sigma),
        nll=float((0.5 * np.square(z) + np.log(sigma) + 0.5 * math.log(2 * math.pi)).mean()),
        ence=_ence(error, sigma),
        sharpness=float(np.sqrt(np.square(sigma).mean())),
    )


def reliability(error: Floats, sigma: Floats) -> Floats:
    """Observed share of errors inside the central Gaussian interval of each of :data:`LEVELS`, (101,)."""
    from scipy.special import erf

    inside = erf(np.abs(error) / sigma / math.sqrt(2.0))  # smallest interval that holds each error
    found: Floats = np.searchsorted(np.sort(inside), LEVELS, side="right") / len(inside)
    return found


def quantile(level: float) -> float:
    """Half width, in σ, of the central Gaussian interval that holds ``level``."""
    from scipy.special import erfinv

    return float(math.sqrt(2.0) * erfinv(level))


def scale(error: Floats, sigma: Floats) -> float:
    """Factor s with which s·σ has mean z² = 1 on these errors.

    Raises:
        UsageError: fewer than ten labels, or a σ that is not positive.
    """
    found = calibration(error, sigma)
    if found is None or found.n < 10:
        raise UsageError("calibration needs ten labels or more, and predictions with a positive sigma")
    return math.sqrt(found.mean_z2)


def conformal(error: Floats, sigma: Floats, level: float = 0.9) -> float:
    """Half width, in σ, of intervals that hold a new label with chance ``level`` or more, whatever the distribution.

    The ⌈(n + 1)·level⌉-th smallest |z|; holds if new structures are drawn as these were.

    Raises:
        UsageError: too few labels for such a level.
    """
    size = np.sort(np.abs(error / sigma))
    rank = math.ceil((len(size) + 1) * level - 1e-9)  # 75 · 0.68 is 51 and a rounding
    if rank > len(size):
        need = math.ceil(level / (1.0 - level) - 1e-9)
        raise UsageError(f"an interval of {level:.4g} needs {need} labels or more; there are {len(size)}")
    return float(size[rank - 1])


def _spearman(size: Floats, sigma: Floats) -> float | None:
    if np.ptp(sigma) == 0.0 or np.ptp(size) == 0.0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(size, sigma).statistic)


def _ence(error: Floats, sigma: Floats) -> float:
    bins = np.array_split(np.argsort(sigma, kind="stable"), min(BINS, len(sigma)))
    expected = np.array([np.sqrt(np.square(sigma[b]).mean()) for b in bins])
    observed = np.array([np.sqrt(np.square(error[b]).mean()) for b in bins])
    return float((np.abs(observed - expected) / expected).mean())
