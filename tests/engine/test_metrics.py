import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import error_measures

from crystalcli.engine.evaluate import metrics
from crystalcli.vocabulary.errors import UsageError

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=50))
def test_regression_equals_its_naive_twin(pairs: list[tuple[float, float]]) -> None:
    predicted, true = (np.array(x) for x in zip(*pairs, strict=True))
    ours = metrics.regression(predicted, true).to_json()
    twin = error_measures.errors(list(predicted), list(true))
    assert ours.pop("n") == len(pairs)
    for name in ("mae", "rmse", "bias", "max_error"):
        assert ours[name] == pytest.approx(twin[name], rel=1e-9, abs=1e-9)
    if np.ptp(true) > 1e-3:
        assert ours["r2"] == pytest.approx(twin["r2"], rel=1e-6)


def test_r2_is_undefined_for_constant_truth() -> None:
    assert metrics.regression(np.array([1.0, 2.0]), np.array([3.0, 3.0])).r2 is None


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 1000))
def test_classification_equals_its_naive_twin(classes: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), size=n)
    true = rng.integers(classes, size=n)
    ours = metrics.classification(probabilities, true.astype(float)).to_json()
    twin = error_measures.class_errors(probabilities.tolist(), true.tolist())
    assert ours.pop("n") == n
    assert ours.pop("confusion") == twin.pop("confusion")
    assert ours == pytest.approx(twin)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(UsageError):
        metrics.regression(np.zeros(0), np.zeros(0))
    with pytest.raises(UsageError):
        metrics.classification(np.zeros((0, 2)), np.zeros(0))


def test_the_area_under_the_curve_counts_ties_as_half_and_needs_two_classes() -> None:
    p = np.array([0.9, 0.5, 0.5, 0.1])
    found = metrics.classification(np.stack([1 - p, p], axis=1), np.array([1.0, 1.0, 0.0, 0.0]))
    assert found.roc_auc == 0.875
    assert metrics.classification(np.array([[0.2, 0.8]]), np.array([1.0])).roc_auc is None
