"""Errors of predicted places: a hand-made case, and a twin in plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crystalcli.engine.evaluate import position_errors
from crystalcli.engine.evaluate.position_errors import WITHIN


def naive(distance, mask, counts, adsorbate):
    """The same in loops."""
    means, parts, k = [], {True: [], False: []}, 0
    for n in counts:
        mine = [distance[i] for i in range(k, k + n) if mask[i]]
        for i in range(k, k + n):
            if mask[i]:
                parts[bool(adsorbate[i])].append(distance[i])
        if mine:
            means.append(sum(mine) / len(mine))
        k += n
    found = {"macro_mae": sum(means) / len(means)}
    for name, values in (("slab_mae", parts[False]), ("adsorbate_mae", parts[True])):
        if values:
            found[name] = sum(values) / len(values)
    for t in WITHIN:
        found[f"within_{t:g}"] = sum(m <= t for m in means) / len(means)
    thresholds = [k / 1000 for k in range(10, 501)]
    found["adwt"] = sum(sum(m <= t for m in means) / len(means) for t in thresholds) / len(thresholds)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_twin_in_loops(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, 13)
    n = int(counts.sum())
    distance, mask = rng.exponential(0.12, n), rng.random(n) < 0.7
    mask[: counts[0]] = False  # a structure without labels
    distance[~mask] = np.nan
    adsorbate = rng.random(n) < 0.3
    found = position_errors.more_errors(distance, mask, counts, adsorbate)
    assert found == pytest.approx(naive(distance, mask, counts, adsorbate), rel=1e-12)
    assert found["macro_mae"] != pytest.approx(distance[mask].mean())
    means = position_errors.of_structures(distance, mask, counts)
    assert math.isnan(means[0])


def test_shares_by_hand():
    """Means of 0.02 exactly, 0.25 and 0.75 Å: of the 491 thresholds 481, 251 and none are no smaller."""
    distance = np.array([0.02, 0.125, 0.375, 9.0, 0.75])
    mask = np.array([True, True, True, False, True])
    found = position_errors.more_errors(distance, mask, np.array([1, 3, 1]), None)
    shares = {t: found[f"within_{t:g}"] for t in WITHIN}
    assert shares == {0.02: 1 / 3, 0.05: 1 / 3, 0.1: 1 / 3, 0.2: 1 / 3, 0.3: 2 / 3, 0.5: 2 / 3}
    assert found["adwt"] == pytest.approx((481 + 251 + 0) / 491 / 3, rel=1e-12)
    assert found["macro_mae"] == pytest.approx(0.34)
    assert "slab_mae" not in found
    assert "adsorbate_mae" not in found


def test_a_lost_structure_is_not_left_out():
    found = position_errors.more_errors(np.array([0.1, np.nan]), np.ones(2, dtype=bool), np.array([1, 1]), None)
    assert math.isnan(found["macro_mae"])
    assert found["within_0.5"] == 0.5


def test_parts_without_a_label_are_not_reported():
    mask, adsorbate = np.array([True, False]), np.array([False, True])
    found = position_errors.more_errors(np.array([0.1, 0.4]), mask, np.array([2]), adsorbate)
    assert found["slab_mae"] == 0.1
    assert "adsorbate_mae" not in found


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (None, None),
        ([0, 1, 1], None),  # bare
        ([0, 1, 2], [False, False, True]),
        ([0, 1, 2, 3], None),  # layers from the top, the adsorbate 0
        ([-1, 1, 2], None),
    ],
)
def test_who_is_an_adsorbate_is_said_by_tags_as_open_catalyst_has_them(tags, expected):
    found = position_errors.adsorbates(None if tags is None else np.array(tags, dtype=float))
    assert (None if found is None else found.tolist()) == expected


def test_elements_before_and_after():
    numbers = np.array([47, 1, 47, 8, 1])
    before, after = np.array([0.1, 0.8, 0.3, 0.5, 9.0]), np.array([0.0, 0.4, 0.1, 0.6, 9.0])
    mask = np.array([True, True, True, True, False])
    rows = position_errors.by_element(numbers, before, after, mask, frozenset({1, 47}))
    assert list(rows) == ["H", "O", "Ag"]
    assert rows["H"] == {"n": 1, "before": 0.8, "mae": 0.4, "in_training": 1}
    assert rows["O"] == {"n": 1, "before": 0.5, "mae": 0.6, "in_training": 0}
    assert rows["Ag"] == pytest.approx({"n": 2, "before": 0.2, "mae": 0.05, "in_training": 1})
