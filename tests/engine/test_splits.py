import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalcli.engine.data import split_rules, splits
from crystalcli.engine.data.splits import Fractions, Split
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
    split = split_rules.grouped(usable, np.arange(n), HALVES, seed, "random")
    check(split, usable, complete=True)
    assert abs(len(split.test) - 0.1 * n) <= 1
    assert abs(len(split.val) - 0.1 * n) <= 1


@given(st.lists(st.integers(0, 12), min_size=3, max_size=200), st.integers(0, 100))
def test_groups_stay_whole(groups: list[int], seed: int) -> None:
    keys = np.array(groups)
    usable = np.arange(len(keys)) * 2
    if len(set(groups)) < 3:
        return
    split = split_rules.grouped(usable, keys, HALVES, seed, "by group")
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
    made = [split_rules.kfold(usable, keys, folds=folds, fold=k, fractions=HALVES, seed=seed) for k in range(folds)]
    assert sorted(np.concatenate([s.test for s in made]).tolist()) == usable.tolist()
    for split in made:
        check(split, usable, complete=True)
        assert not set(keys[split.train].tolist()) & set(keys[split.test].tolist())
        assert not set(keys[split.val].tolist()) & set(keys[split.test].tolist())
        assert not set(keys[split.val].tolist()) & set(keys[split.train].tolist())


@pytest.mark.parametrize("kinds", [False, True])
def test_validation_of_a_fold_has_no_copy_in_training(kinds: bool) -> None:
    """Groups of one to seven structures, each in one part of every fold, which all have a validation part."""
    sizes = np.random.default_rng(5).integers(1, 8, 40)
    keys = np.arange(40).repeat(sizes) * 3
    usable = np.arange(len(keys)) * 2 + 1
    more = {"kinds": keys % 2, "values": keys * 0.1} if kinds else {}
    for k in range(4):
        split = split_rules.kfold(usable, keys, folds=4, fold=k, fractions=Fractions(0.6, 0.2, 0.2), seed=k, **more)
        check(split, usable, complete=True)
        train, val, test = (set(keys[p // 2].tolist()) for p in split.parts().values())
        assert min(map(len, (train, val, test))) >= 3
        assert len(train | val | test) == len(train) + len(val) + len(test) == 40


@given(st.lists(st.integers(0, 4), min_size=5, max_size=150), st.integers(0, 1000), st.sampled_from([1, 3]))
def test_every_kind_gets_its_share_of_every_part(kinds: list[int], seed: int, copies: int) -> None:
    kind = np.array(kinds).repeat(copies)
    usable, groups = np.arange(len(kind)) * 2, np.arange(len(kinds)).repeat(copies) * 7
    values = np.random.default_rng(seed).normal(size=len(kinds)).repeat(copies)
    split = split_rules.stratified(usable, kind, groups, values, HALVES, seed=seed, how="stratified")
    check(split, usable, complete=True)
    assert len(split.val) > 0
    parts = [p // 2 for p in split.parts().values()]
    assert not set(groups[parts[0]]) & set(groups[parts[2]])
    assert not set(groups[parts[0]]) & set(groups[parts[1]])
    if len(kinds) < 40:
        return
    for k in set(kinds):
        n = (kind == k).sum() / copies
        for part in parts[1:]:
            assert abs((kind[part] == k).sum() / copies - 0.1 * n) <= (
                1.0 + 0.1 * 10 if n >= split_rules.FEW_OF_A_KIND else 3
            )
    for part in parts[1:]:
        assert abs(len(part) / copies - 0.1 * len(kinds)) <= 1


def test_low_and_high_values_are_in_every_part() -> None:
    values = np.random.default_rng(1).permutation(200.0 * np.arange(200))
    usable = np.arange(200)
    for seed in range(5):
        split = split_rules.stratified(usable, usable * 0, usable, values, HALVES, seed=seed, how="")
        for part in (split.val, split.test):
            assert len(part) == 20
            assert np.bincount((values[part] // 4000).astype(int), minlength=10).tolist() == pytest.approx(
                [2] * 10, abs=1
            )
    assert (
        split.test.tolist()
        != split_rules.stratified(usable, usable * 0, usable, values, HALVES, seed=9, how="").test.tolist()
    )
    missing = split_rules.stratified(usable, usable * 0, usable, values * np.nan, HALVES, seed=0, how="")
    check(missing, usable, complete=True)


def test_folds_of_kinds_cover_everything_once() -> None:
    kinds, usable = np.repeat([0, 1, 2], [50, 20, 5]), np.arange(75)
    made = [
        split_rules.kfold(usable, usable, folds=5, fold=k, fractions=HALVES, seed=3, kinds=kinds, values=usable * 1.0)
        for k in range(5)
    ]
    assert sorted(np.concatenate([s.test for s in made]).tolist()) == usable.tolist()
    for s in made:
        assert np.bincount(kinds[s.test], minlength=3).tolist() == [10, 4, 1]
        assert set(s.val.tolist()).isdisjoint(s.test.tolist())


def test_a_part_of_the_whole_may_be_left_out() -> None:
    usable = np.arange(100)
    split = split_rules.stratified(usable, usable % 2, usable, usable * 1.0, Fractions(0.4, 0.1, 0.1), seed=0, how="")
    assert [len(p) for p in split.parts().values()] == pytest.approx([40, 10, 10], abs=1)


@given(st.integers(1, 3), st.integers(60, 200), st.integers(0, 5), st.integers(1, 3))
def test_time_blocks_keep_their_gap_in_every_run(n_runs: int, length: int, gap: int, rounds: int) -> None:
    run = np.repeat(np.arange(n_runs), length)
    frame = np.tile(np.arange(length), n_runs)
    usable = np.arange(n_runs * length)
    split = split_rules.time_blocks(usable, run, frame, HALVES, gap=gap, rounds=rounds)
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
        split_rules.time_blocks(frames, frames * 0, frames, HALVES, gap=4)


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
    made = [split_rules.grouped(usable, usable, HALVES, seed, "random").test.tolist() for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]


@given(st.permutations([9, 8, 6, 6, 5, 3, 2, 2, 2, 1, 1]), st.integers(0, 1000))
def test_a_few_large_groups_do_not_fill_the_small_parts(sizes: list[int], seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    split = split_rules.grouped(np.arange(45), groups, Fractions.parse("0.8,0.1,0.1"), seed, "")
    check(split, np.arange(45), complete=True)
    assert 1 <= len(split.test) <= 7
    assert 1 <= len(split.val) <= 7
    parts = [set(groups[p]) for p in split.parts().values()]
    assert sum(len(p) for p in parts) == len(sizes)
