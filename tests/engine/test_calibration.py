"""Uncertainties that are right, too small or useless, drawn from known distributions."""

import math

import numpy as np
import pytest

from crystalcli.engine.evaluate.calibration import calibration, conformal, quantile, scale
from crystalcli.vocabulary.errors import UsageError

RNG = np.random.default_rng(0)
SIGMA = np.exp(RNG.normal(-2.0, 0.7, 40_000))
ERROR = SIGMA * RNG.normal(size=len(SIGMA))


def test_right_uncertainties() -> None:
    found = calibration(ERROR, SIGMA)
    assert found is not None
    assert found.mean_z2 == pytest.approx(1.0, abs=0.03)
    assert found.within_1_sigma == pytest.approx(0.6827, abs=0.01)
    assert found.within_2_sigma == pytest.approx(0.9545, abs=0.005)
    assert found.within_90 == pytest.approx(0.9, abs=0.006)
    assert found.miscalibration_area < 0.01
    assert found.ence < 0.03
    assert found.spearman is not None
    assert 0.35 < found.spearman < 0.65
    # entropy of a Gaussian: ln(σ √(2πe))
    assert found.nll == pytest.approx(np.log(SIGMA).mean() + 0.5 * math.log(2 * math.pi * math.e), abs=0.02)


def test_too_small_by_a_factor_is_found_and_cured() -> None:
    found = calibration(ERROR, SIGMA / 3)
    assert found is not None
    assert found.mean_z2 == pytest.approx(9.0, rel=0.03)
    assert found.miscalibration_area > 0.2
    assert scale(ERROR, SIGMA / 3) == pytest.approx(3.0, rel=0.02)
    assert calibration(ERROR, scale(ERROR, SIGMA / 3) * SIGMA / 3).mean_z2 == pytest.approx(1.0)


def test_independent_uncertainties_have_no_rank_correlation() -> None:
    found = calibration(RNG.normal(size=40_000), SIGMA)
    assert abs(found.spearman) < 0.02
    assert calibration(ERROR, np.full(len(ERROR), 0.1)).spearman is None


def test_conformal_intervals_hold_for_any_distribution() -> None:
    heavy = SIGMA * RNG.standard_t(2, len(SIGMA))
    width = conformal(heavy[:1000], SIGMA[:1000], 0.9)
    assert (np.abs(heavy[1000:]) <= width * SIGMA[1000:]).mean() == pytest.approx(0.9, abs=0.03)
    assert conformal(np.arange(1.0, 20.0), np.ones(19), 0.9) == 18.0  # the 18th of 19
    assert conformal(np.arange(1.0, 75.0), np.ones(74), 0.68) == 51.0  # 75 · 0.68, which is 51.00000000000001 in floats
    with pytest.raises(UsageError, match="needs 9 labels"):
        conformal(np.ones(8), np.ones(8), 0.9)


def test_nothing_to_compare() -> None:
    assert calibration(np.array([]), np.array([])) is None
    assert calibration(np.array([1.0, np.nan]), np.array([0.0, 1.0])) is None
    with pytest.raises(UsageError, match="ten labels"):
        scale(np.ones(3), np.ones(3))


def test_quantile() -> None:
    assert quantile(0.6826894921370859) == pytest.approx(1.0)
    assert quantile(0.9) == pytest.approx(1.6448536269514722)
