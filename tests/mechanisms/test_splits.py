import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalcli.mechanisms.datasets import splits
from crystalcli.mechanisms.datasets.splits import Fractions, Split
from crystalcli.vocabulary.errors import UsageError

HALVES = Fractions(0.8, 0.1, 0.1)


def check(split: Split, usable: np.ndarray, *, complete: bool) -> None:
    """Disjoint, inside what may be used, sorted, and nothing left out where nothing should be."""
    every = np.concatenate([split.train, split.val, split.test])
    assert len(set(every.tolist())) == len(every)
    assert set(every.tolist()) <= set(usable.tolist())
    assert len(split.train) > 0
    assert len(split.test) > 0
    for part in split.parts().values():
        assert (np.diff(part) > 0).all()
    if complete:
        assert set(every.tolist()) == set(usable.tolist())


@given(st.integers(3, 300), st.integers(0, 10_000))
def test_random_is_disjoint_complete_and_of_the_right_size(n: int, seed: int) -> None:
    usable = np.sort(np.random.default_rng(seed).choice(1000, n, replace=False))
    split = splits.grouped(usable, np.arange(n), HALVES, seed, "random")
    check(split, usable, complete=True)
    assert abs(len(split.test) - 0.1 * n) <= 1
    assert abs(len(split.val) - 0.1 * n) <= 1


@given(st.lists(st.integers(0, 12), min_size=3, max_size=200), st.integers(0, 100))
def test_groups_stay_whole(groups: list[int], seed: int) -> None:
    keys = np.array(groups)
    usable = np.arange(len(keys)) * 2
    if len(set(groups)) < 3:
        return
    split = splits.grouped(usable, keys, HALVES, seed, "by group")
    check(split, usable, complete=True)
    owners = [set(keys[part // 2].tolist()) for part in split.parts().values()]
    assert not (owners[0] & owners[1])
    assert not (owners[0] & owners[2])
    assert not (owners[1] & owners[2])


@given(st.integers(2, 6), st.lists(st.integers(0, 30), min_size=40, max_size=120), st.integers(0, 100))
@settings(max_examples=40)
def test_folds_cover_everything_once(folds: int, groups: list[int], seed: int) -> None:
    keys, usable = np.array(groups), np.arange(len(groups))
    if len(set(groups)) < folds + 1:
        return
    made = [splits.kfold(usable, keys, folds=folds, fold=k, fractions=HALVES, seed=seed) for k in range(folds)]
    assert sorted(np.concatenate([s.test for s in made]).tolist()) == usable.tolist()
    for split in made:
        check(split, usable, complete=True)
        assert not set(keys[split.train].tolist()) & set(keys[split.test].tolist())
        assert not set(keys[split.val].tolist()) & set(keys[split.test].tolist())


@given(st.integers(1, 3), st.integers(60, 200), st.integers(0, 5), st.integers(1, 3))
def test_time_blocks_keep_their_gap_in_every_run(n_runs: int, length: int, gap: int, rounds: int) -> None:
    run = np.repeat(np.arange(n_runs), length)
    frame = np.tile(np.arange(length), n_runs)
    usable = np.arange(n_runs * length)
    split = splits.time_blocks(usable, run, frame, HALVES, gap=gap, rounds=rounds)
    check(split, usable, complete=False)
    part = np.full(len(usable), -1)
    for k, index in enumerate(split.parts().values()):
        part[index] = k
    for r in range(n_runs):
        mine = part[run == r]
        placed = np.flatnonzero(mine >= 0)
        for a, b in itertools.pairwise(placed):
            if mine[a] != mine[b]:
                assert b - a > gap
        if rounds == 1:
            assert mine[placed].tolist() == sorted(mine[placed].tolist())


def test_a_run_too_short_for_its_gap_is_refused() -> None:
    frames = np.arange(10)
    with pytest.raises(UsageError, match="too short"):
        splits.time_blocks(frames, frames * 0, frames, HALVES, gap=4)


def test_ids_come_back_and_unknown_ids_are_refused() -> None:
    ids = [f"x,{k}" for k in range(10)]
    usable = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    named = {"train": ids[:5], "val": ids[5:6], "test": ids[6:]}
    split = splits.given(usable, ids, named, "file")
    assert split.test.tolist() == [6, 7]
    written = split.to_json(ids)
    again = splits.given(usable, ids, {k: written[k] for k in splits.NAMES}, "file")  # type: ignore[misc]
    assert again.to_json(ids)["sha256"] == written["sha256"]
    with pytest.raises(UsageError, match="'nobody'"):
        splits.given(usable, ids, {**named, "val": ["nobody"]}, "file")
    with pytest.raises(UsageError, match="two parts"):
        splits.given(usable, ids, {**named, "val": ids[:1]}, "file")


def test_columns_speak_common_words() -> None:
    words = ["Train", "valid", "test", "training", "holdout"]
    split = splits.by_column(np.arange(5), words, "fold")
    assert (split.train.tolist(), split.val.tolist(), split.test.tolist()) == ([0, 3], [1], [2, 4])
    with pytest.raises(UsageError, match="'maybe'"):
        splits.by_column(np.arange(2), ["train", "maybe"], "fold")


@pytest.mark.parametrize("text", ["", "1", "a,b,c", "0,0.5,0.5", "0.8,0.2,0", "0.5,-1,0.5", "nan,1,1", "inf,1,1"])
def test_fractions_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError):
        Fractions.parse(text)


def test_fractions_as_percent() -> None:
    assert Fractions.parse("60,20,20") == Fractions(0.6, 0.2, 0.2)


def test_seed_zero_is_a_seed() -> None:
    usable = np.arange(100)
    made = [splits.grouped(usable, usable, HALVES, seed, "random").test.tolist() for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]


@given(st.permutations([9, 8, 6, 6, 5, 3, 2, 2, 2, 1, 1]), st.integers(0, 1000))
def test_a_few_large_groups_do_not_fill_the_small_parts(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = splits.grouped(np.arange(45), groups, Fractions.parse("0.8,0.1,0.1"), seed, "")
    check(split, np.arange(45), complete=True)
    assert 1 <= len(split.test) <= 7
    assert 1 <= len(split.val) <= 7
    parts = [set(groups[p]) for p in split.parts().values()]
    assert sum(len(p) for p in parts) == len(sizes)
