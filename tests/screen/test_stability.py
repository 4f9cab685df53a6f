"""Stability by hand: twelve phases, one without a prediction."""

from dataclasses import asdict

import numpy as np
import pytest

from crystalcli.screen.stability import stability
from crystalcli.screen.view import shown


def test_by_hand() -> None:
    true = np.array([0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3])
    found = np.array([0.0, 0.0, 0.05, np.nan, 0.0, 0.2, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3])
    s = stability(found, true)
    assert (s.n, s.prevalence) == (12, pytest.approx(4 / 12))
    assert s.precision == pytest.approx(2 / 3)  # three called stable, two are
    assert s.recall == s.tpr == pytest.approx(2 / 4)  # the one without prediction counts as unstable
    assert s.f1 == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert (s.fpr, s.tnr, s.fnr) == (pytest.approx(1 / 8), pytest.approx(7 / 8), pytest.approx(0.5))
    assert s.daf == pytest.approx((2 / 3) / (4 / 12))
    assert s.mae == pytest.approx((0.05 + 0.1 + 0.1) / 11)


def test_perfect_and_nothing_found() -> None:
    true = np.array([0.0, 0.1, 0.2])
    assert stability(true, true).f1 == 1.0
    nothing = stability(true + 0.5, true)
    assert (nothing.precision, nothing.recall, nothing.daf) == (0.0, 0.0, 0.0)
    assert stability(true, true, threshold=0.15).prevalence == pytest.approx(2 / 3)


@pytest.mark.parametrize("above", [0.0, 0.1])
def test_where_nothing_is_stable_no_share_of_it_is_told(above: float) -> None:
    """0 of 0 is no recall of 0."""
    metrics = asdict(stability(np.array([0.2, 0.0]), np.array([above, 0.3])))
    told = {"candidates": 2, "kept": 1, "on_predicted_hull": 1, "removed": 1, "threshold": "2σ", "failed": []}
    report = {**told, "extrapolating": 0, "uncalibrated": 0, "output": "run", "stability": metrics}
    (line,) = (text for text in shown(report).lines if "beside the true energies" in text)
    assert ("recall 0.00" in line, "none is on the hull" in line) == (above == 0.0, above > 0.0)
    assert "MAE of E_hull" in line
