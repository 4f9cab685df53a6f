"""Means of elements by hand, and what they may look at."""

from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest
from common.some_datasets import dataset

from crystalcli.engine.baselines import site_baselines
from crystalcli.engine.baselines.site_baselines import COORDINATION, ELEMENT
from crystalcli.engine.evaluate import site_errors
from crystalcli.vocabulary.quantities import Quantity

CHARGE = Quantity("charge", "e", "site")


def salts(folder: Path):
    """Rocksalt and zincblende of the same elements, one with an element that the others lack; a label is missing."""
    atoms = [
        ase.build.bulk("NaCl", "rocksalt", a=5.6),
        ase.build.bulk("NaCl", "zincblende", a=5.9),
        ase.build.bulk("NaCl", "rocksalt", a=5.7),
        ase.build.bulk("KCl", "zincblende", a=6.2),
    ]
    labels = np.array([0.9, -0.9, 0.6, np.nan, 0.8, -0.7, 1.0, -0.5])
    return dataset(folder, atoms, {"charge": labels}, charge=CHARGE), np.arange(2), np.array([2, 3])


def test_by_hand(tmp_path: Path) -> None:
    data, train, test = salts(tmp_path)
    found = site_baselines.predictions(data, "charge", train, test, paper_mode=False)
    mean = (0.9 - 0.9 + 0.6) / 3
    np.testing.assert_allclose(found[ELEMENT], [0.75, -0.9, mean, -0.9])
    # Na with six neighbors is 0.9; K is unseen; Cl with four has no label, so all of Cl counts
    np.testing.assert_allclose(found[COORDINATION], [0.9, -0.9, mean, -0.9])


def test_coordination_numbers(tmp_path: Path) -> None:
    data, train, _ = salts(tmp_path)
    assert site_baselines.sites_of(data, train, "charge").coordination.tolist() == [6, 6, 4, 4]


def test_the_test_part_is_looked_at_in_the_paper_s_mode_only(tmp_path: Path) -> None:
    data, train, test = salts(tmp_path)
    before = site_baselines.predictions(data, "charge", train, test, paper_mode=False)
    paper = site_baselines.predictions(data, "charge", train, test, paper_mode=True)
    data.columns["charge"].values[4:] += 100.0
    after = site_baselines.predictions(data, "charge", train, test, paper_mode=False)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_allclose(paper[ELEMENT], [(0.9 + 0.6 + 0.8) / 3, -0.7, 1.0, -0.7])


def test_of_one_element_the_element_mean_errs_by_the_mean_deviation() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=50)
    sites = site_baselines.Sites(np.full(50, 14), np.full(50, 4), y, np.ones(50, dtype=bool))
    error = np.abs(site_baselines.means(sites, sites) - y).mean()
    assert error == pytest.approx(np.abs(y - y.mean()).mean())


def test_errors_over_sites_crystals_and_sums_by_hand() -> None:
    true = np.array([1.0, -1.0, 2.0, np.nan, 0.05])
    predicted = np.array([1.2, -1.1, 1.0, 7.0, 0.0])
    mask = np.isfinite(true)
    found = site_errors.more_errors(CHARGE, predicted, true, mask, np.array([2, 2, 1]))
    assert found["macro_mae"] == pytest.approx((0.15 + 1.0 + 0.05) / 3)
    assert found["sum_mae"] == pytest.approx((0.1 + 0.05) / 2)
    assert "magnetic_mae" not in found
    moment = Quantity("m", "µB", "site")
    found = site_errors.more_errors(moment, predicted, true, mask, np.array([2, 2, 1]))
    assert found["magnetic_mae"] == pytest.approx((0.2 + 0.1 + 1.0) / 3)
    rows = site_errors.by_element(np.array([3, 9, 3, 3, 9]), predicted, true, mask, frozenset({9}))
    assert rows["Li"] == pytest.approx(
        {"n": 2, "mae": 0.6, "bias": -0.4, "mean": 1.5, "deviation": 0.5, "in_training": 0}
    )
    assert list(rows) == ["Li", "F"]
