"""Shuffling by blocks: every structure once an epoch, few places of the file at a time, other orders every epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.train.progress import RUNS, epoch_order


@given(n=st.integers(1, 400), window=st.integers(0, 500), seed=st.integers(0, 5))
def test_every_structure_once(n, window, seed):
    train = np.random.default_rng(seed).choice(3 * n, n, replace=False)
    order = epoch_order(train, np.random.default_rng(seed), window)
    assert sorted(order.tolist()) == sorted(train.tolist())


def test_without_a_window_it_is_the_permutation():
    train = np.arange(50)[::-1].copy()
    assert (epoch_order(train, np.random.default_rng(3)) == np.random.default_rng(3).permutation(train)).all()


@pytest.mark.parametrize("window", [640, 3200])
def test_few_places_of_the_file_at_a_time(window):
    train = np.arange(32_000)
    order = epoch_order(train, np.random.default_rng(0), window)
    length = window // RUNS
    for start in range(0, len(train), window):
        part = np.sort(order[start : start + window])
        assert (np.diff(part) > 1).sum() <= 2 * RUNS, "runs of neighbors"
    assert not (epoch_order(train, np.random.default_rng(1), window) == order).all()
    steps = np.abs(np.diff(order))
    assert np.median(steps) > 50 * length, "structures that follow each other come from far apart"


def test_batches_are_as_mixed_as_from_a_whole_shuffle():
    """Labels that drift along the file: means of batches scatter as those of random batches do."""
    labels = np.linspace(0, 1, 20_000)
    spread = {}
    for window in (0, 2000):
        order = epoch_order(np.arange(20_000), np.random.default_rng(5), window)
        spread[window] = labels[order].reshape(-1, 50).mean(1).std()
    assert spread[2000] < 1.5 * spread[0]
