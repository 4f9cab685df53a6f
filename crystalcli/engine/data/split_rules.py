"""How structures are dealt into three parts: pure functions of plain arrays and a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.data.splits import NAMES, Fractions, Index, Split, made
from crystalcli.vocabulary.errors import UsageError


def _counts(n: int, fractions: Fractions) -> tuple[int, int]:
    """Sizes of validation and test part of ``n`` groups: at least one each where asked for and possible."""
    test = min(max(round(n * fractions.test), 1), max(n - 1, 0))
    val = max(round(n * fractions.val), 1) if fractions.val > 0 else 0
    return min(val, max(n - test - 1, 0)), test


def _training(n: int, fractions: Fractions, n_val: int, n_test: int) -> int:
    """Size of the training part: all the rest, unless the fractions leave something out."""
    rest = n - n_val - n_test
    whole = fractions.train + fractions.val + fractions.test > 1.0 - 1e-9
    return rest if whole else max(1, min(round(n * fractions.train), rest))


def grouped(usable: Index, groups: NDArray[np.int64], fractions: Fractions, seed: int, how: str) -> Split:
    """Shuffle whole groups into the three parts, so that no group is in two.

    Args:
        usable: structures that take part.
        groups: (len(usable),) group number of each.
        fractions: shares, reached as nearly as whole groups allow.
        seed: fixes the shuffle.
        how: the rule in words.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 1]).permutation(len(names))
    if len(names) == len(usable):
        n_val, n_test = _counts(len(usable), fractions)
        n_train = _training(len(usable), fractions, n_val, n_test)
        ends = [n_test, n_test + n_val, n_test + n_val + n_train]
    else:
        filled = np.cumsum(sizes[order])
        shares = np.cumsum([fractions.test, fractions.val, fractions.train]) * len(usable)
        ends = [int(np.searchsorted(filled, s - 1e-9) + 1) for s in shares]
        ends[0] = min(ends[0], max(len(names) - 2, 1))
        ends[1] = min(max(ends[1], ends[0] + (fractions.val > 0)), max(len(names) - 1, ends[0]))
        ends[2] = min(max(ends[2], ends[1] + 1), len(names))
    place = np.full(len(names), 3)
    for k, (a, b) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        place[order[a:b]] = k
    taken = np.bincount(place, weights=sizes, minlength=3)[:2]
    wished = np.array([fractions.test, fractions.val]) * len(usable)
    if (taken > 1.5 * wished + 1).any():  # a few large groups: they belong where most structures are
        place = _fitted(order, sizes, wished)
    part = place[inverse]
    return made(usable[part == 2], usable[part == 1], usable[part == 0], how)


def _fitted(order: NDArray[np.int64], sizes: NDArray[np.int64], wished: NDArray[np.float64]) -> NDArray[np.int64]:
    """Part of each group (0 test, 1 validation, 2 training): in ``order``, those that fit into the first two parts.

    A part that nothing fits into gets the smallest group that is left.
    """
    place = np.full(len(sizes), 2)
    for k, wish in enumerate(wished):
        if wish <= 0:
            continue
        filled = 0
        for g in order[place[order] == 2]:
            if filled + sizes[g] <= 1.1 * wish:
                place[g], filled = k, filled + int(sizes[g])
        left = order[place[order] == 2]
        if not filled and len(left) > 1:
            place[left[np.argmin(sizes[left])]] = k
    return place


def stratified(
    usable: Index,
    kinds: NDArray[np.int64],
    groups: NDArray[np.int64],
    values: NDArray[np.float64],
    fractions: Fractions,
    *,
    seed: int,
    how: str,
) -> Split:
    """Deal the structures at random into the three parts, each kind and each range of values by its share.

    Args:
        usable: structures that take part.
        kinds: (len(usable),) kind of each; kinds of fewer than :data:`FEW_OF_A_KIND` structures are dealt together.
        groups: (len(usable),) structures of one group, copies of each other, stay together.
        values: (len(usable),) a label, of which the parts get low and high ones alike; NaN where there is none.
        fractions: shares of every kind, reached as nearly as whole groups allow.
        seed: fixes the shuffle.
        how: the rule in words.
    """
    order, sizes, inverse = _in_strata(kinds, groups, values, seed)
    # walking through the strata, a part takes the next group whenever it has less than its share of what has passed
    place, passed = np.full(len(order), 2), 0
    taken = np.zeros(2)
    leave = 1.0 - min(fractions.train + fractions.val + fractions.test, 1.0)
    wished, left_out = np.array([fractions.test, fractions.val]), 0.0
    for g in order:
        passed += sizes[g]
        missing = wished * passed - taken - (sizes[g] - 1) / 2
        k = int(np.argmax(missing))
        if missing[k] >= 0.5:
            place[g] = k
            taken[k] += sizes[g]
        elif leave * passed - left_out >= 0.5 and leave > 1e-9:
            place[g] = 3
            left_out += sizes[g]
    for k in (0, 1):  # a set too small for its shares
        if wished[k] > 0 and not taken[k] and (place == 2).sum() > 1:
            place[order[place[order] == 2][0]] = k
    part = place[inverse]
    return made(usable[part == 2], usable[part == 1], usable[part == 0], how)


FEW_OF_A_KIND, NEIGHBORS = 3, 10
"""A kind of fewer structures cannot be in all parts; among so many of neighboring values chance decides."""


def _in_strata(
    kinds: NDArray[np.int64], groups: NDArray[np.int64], values: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Groups kind after kind, by value in pieces of random order; their sizes; the group of every structure."""
    _, first, inverse, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    names, kind, numbers = np.unique(kinds[first], return_inverse=True, return_counts=True)
    kind = np.where(numbers[kind] < FEW_OF_A_KIND, len(names), kind)
    rng = np.random.default_rng([seed, 11])
    chance, rank = rng.random(len(sizes)), rng.permutation(len(names) + 1)
    value = np.where(np.isfinite(values[first]), values[first], chance)
    order = np.lexsort((chance, value, rank[kind]))
    place = np.empty(len(sizes), dtype=np.int64)  # among its kind
    place[order] = np.arange(len(order)) - np.searchsorted(rank[kind][order], rank[kind][order])
    return np.lexsort((chance, place // NEIGHBORS, rank[kind])), sizes, inverse


def kfold(
    usable: Index,
    groups: NDArray[np.int64],
    *,
    folds: int,
    fold: int,
    fractions: Fractions,
    seed: int,
    kinds: NDArray[np.int64] | None = None,
    values: NDArray[np.float64] | None = None,
) -> Split:
    """Fold ``fold`` of ``folds`` is the test part; validation is drawn from the other folds; groups stay whole.

    With ``kinds`` and ``values``, both (len(usable),), every fold has its share of each, see :func:`stratified`.

    Raises:
        UsageError: fewer groups than folds, or no such fold.
    """
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if not 2 <= folds <= len(names):
        raise UsageError(f"{folds} folds of {len(names)} groups are not possible")
    if not 0 <= fold < folds:
        raise UsageError(f"fold {fold} is not one of 0 … {folds - 1}")
    order = np.random.default_rng([seed, 2]).permutation(len(names))
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    home = np.empty(len(names), dtype=np.int64)
    home[order] = np.minimum((middle * folds / len(usable)).astype(np.int64), folds - 1)
    if kinds is not None and values is not None:
        order, _, inverse = _in_strata(kinds, groups, values, seed)
    if kinds is not None or len(np.unique(home)) < folds:  # very unequal groups: deal them out instead
        home[order] = np.arange(len(names)) % folds
    test = usable[home[inverse] == fold]
    rest = home[inverse] != fold
    how = f"fold {fold} of {folds}"
    if fractions.val <= 0 or len(np.unique(groups[rest])) < 2:
        return made(usable[rest], usable[:0], test, how)
    share = fractions.val / max(fractions.train + fractions.val, 1e-9)
    shares = Fractions(1 - share, 0.0, share)
    if kinds is not None and values is not None:
        inner = stratified(usable[rest], kinds[rest], groups[rest], values[rest], shares, seed=seed + fold, how=how)
    else:
        inner = grouped(usable[rest], groups[rest], shares, seed + fold, how)
    return made(inner.train, inner.test, test, how)


def time_blocks(
    usable: Index, run: NDArray[np.int64], frame: NDArray[np.int64], fractions: Fractions, *, gap: int, rounds: int = 1
) -> Split:
    """Cut every run in time: train, gap, validation, gap, test; ``rounds`` > 1 repeats the pattern (for ramps).

    Args:
        usable: structures that take part.
        run: (len(usable),) run of each.
        frame: (len(usable),) place of each in time.
        fractions: shares of train, validation, test of every run.
        gap: frames left out between two parts, at least the correlation time.
        rounds: how often the pattern is repeated along a run.
    """
    parts: dict[str, list[Index]] = {name: [] for name in NAMES}
    for r in np.unique(run):
        mine = usable[run == r][np.argsort(frame[run == r], kind="stable")]
        for piece in np.array_split(mine, rounds):
            n = len(piece) - gap * (1 + (fractions.val > 0) + (rounds > 1))
            if n < 3:
                raise UsageError(f"a run of {len(mine)} frames is too short for {rounds} round(s) with a gap of {gap}")
            n_val, n_test = _counts(n, fractions)
            n_train = _training(n, fractions, n_val, n_test)
            start = n_train + (gap if n_val else 0)
            parts["train"].append(piece[:n_train])
            parts["val"].append(piece[start : start + n_val])
            parts["test"].append(piece[start + n_val + gap : start + n_val + gap + n_test])
    how = f"time blocks with a gap of {gap} frames" + (f", interleaved {rounds} times" if rounds > 1 else "")
    first, second, third = (np.concatenate(parts[name]) for name in NAMES)
    return made(first, second, third, how)
