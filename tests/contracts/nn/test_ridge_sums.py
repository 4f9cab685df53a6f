"""Ridge regression from sums: numpy's least squares, whatever the batches; a penalty for each part left out."""

import numpy as np
import pytest
import torch
from reference.ridge_head import ridge

from crystalcli.contracts.nn.ridge_sums import FOLDS, PENALTIES, RidgeSums


def rows(n: int = 60, dim: int = 7, seed: int = 0):
    """Features that vary by a thousandth of their mean and nearly alike; labels with noise, some unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim)) @ np.diag(10.0 ** -np.arange(dim)) @ rng.normal(size=(dim, dim))
    x = 5.0 + 1e-3 * x
    y = 40.0 * (x @ rng.normal(size=dim)) + 0.01 * rng.normal(size=n) - 6.3
    return x, y, rng.random(n) > 0.2


def solved(x, y, known, batch: int = 60):
    sums = RidgeSums(x.shape[1], len(x))
    for k in range(0, len(x), batch):
        part = slice(k, k + batch)
        sums.add(*(torch.as_tensor(v[part]) for v in (x, np.where(known, y, np.nan), known)))
    return sums.solve()


@pytest.mark.parametrize("batch", [60, 7, 1])
def test_it_is_least_squares(batch: int) -> None:
    x, y, known = rows()
    found = solved(x, y, known, batch)
    weight, intercept = ridge(x[known], y[known], found.penalty)
    predicted = x @ found.weight.numpy() + float(found.intercept)
    np.testing.assert_allclose(predicted, x @ weight + intercept, atol=1e-7)
    assert np.abs(predicted - y).mean() < 0.02


def test_the_penalty_is_that_of_the_smallest_error_left_out() -> None:
    x, y, known = rows(40, 12, seed=3)
    y = y + 0.05 * np.random.default_rng(9).normal(size=len(y))
    fold = np.arange(len(x)) * FOLDS // len(x)
    errors = []
    spread = x[known].std(axis=0)
    for penalty in PENALTIES:
        total = 0.0
        for k in range(FOLDS):
            rest, here = known & (fold != k), known & (fold == k)
            z = (x - x.mean(axis=0)) / spread
            n, dim = rest.sum(), x.shape[1]  # the spread is that of all rows, for every part
            stacked = np.block([[z[rest], np.ones((n, 1))], [np.sqrt(n * penalty) * np.eye(dim), np.zeros((dim, 1))]])
            w = np.linalg.lstsq(stacked, np.concatenate([y[rest], np.zeros(dim)]), rcond=None)[0]
            total += ((y[here] - z[here] @ w[:-1] - w[-1]) ** 2).sum()
        errors.append(total)
    for batch in (40, 7):
        assert solved(x, y, known, batch).penalty == PENALTIES[int(np.argmin(errors))]
    assert 0 < np.argmin(errors) < len(PENALTIES) - 1


def test_what_is_constant_unknown_or_alone() -> None:
    x, y, known = rows()
    same = np.concatenate([x, np.full((len(x), 1), 1 / 3)], axis=1)
    found = solved(same, y, known)
    assert float(found.weight[-1]) == 0.0
    torch.testing.assert_close(found.weight[:-1], solved(x, y, known).weight)
    for few in (np.zeros(60, dtype=bool), np.arange(60) == 4, np.arange(60) < 0):
        alone = solved(x, y, few)
        assert not alone.weight.any()
        assert float(alone.intercept) == pytest.approx(y[few].mean() if few.any() else 0.0)
    flat = solved(np.ones((60, 2)), y, known)
    assert not flat.weight.any()
    assert float(flat.intercept) == pytest.approx(y[known].mean())
