"""Choose the split of a training run, by what was asked or by what the data are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers as number_of
from numpy.typing import NDArray

from crystalcli.engine.data import frames, leaks, splits
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Fractions, Split
from crystalcli.train.options import SplitOptions, TrainOptions
from crystalcli.vocabulary.errors import UsageError, did_you_mean

ENOUGH_FORMULAS, RUN_LENGTH, ROUNDS = 10, 20, 10
"""Formulas needed to group by them; frames that make a run; repeats of the pattern of time blocks in a ramp."""


@dataclass(frozen=True)
class Material:
    """The data set as splits see it.

    Args:
        data: all structures. usable: those with a label, sorted.
        values: (S,) a label of every structure, for trends in time; NaN where there is none.
        ids: unique names.
    """

    data: GraphDataset
    usable: NDArray[np.int64]
    values: NDArray[np.float64]
    ids: Sequence[str]

    @cached_property
    def series(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Runs of the usable structures and their places in time; looked for once, for positions are read."""
        return frames.series(self.data, self.usable)


def choose(material: Material, o: TrainOptions) -> Split:
    """Make the split that ``o`` asks for; that of a later member of an ensemble has the same test part.

    Raises:
        UsageError: contradictory or impossible wishes.
    """
    whole = _chosen(material, o)
    split = _limited(whole, o)
    if not o.member:
        return split
    few = round(len(whole.val) * len(split.train) / len(whole.train))
    return _dealt_anew(material, split, few, o)


def _limited(split: Split, o: TrainOptions) -> Split:
    """The split with so many training structures only; a smaller set is part of a larger one."""
    if not o.train_size or o.train_size >= len(split.train):
        return split
    order = np.random.default_rng([o.seed_of_split, 9]).permutation(split.train)
    chosen = np.sort(order[: o.train_size])
    return Split(chosen, split.val, split.test, f"{split.how}; {o.train_size} of {len(split.train)} to train")


def _dealt_anew(material: Material, split: Split, few: int, o: TrainOptions) -> Split:
    """Other training and validation structures of the same numbers, whole formulas together.

    Of the validation part ``few`` are dealt, as many as belong to the training structures that there are: members
    taught by 60 structures of many must not see hundreds between them. Frames of runs stay as they are: a random half
    of a run knows the other half.
    """
    order = np.random.default_rng([o.seed_of_split, 10]).permutation(split.val)
    dealt, others = order[:few], order[few:]
    pool = np.sort(np.concatenate([split.train, dealt]))
    groups = leaks.numbered(material.data.formulas())[pool]
    if not len(dealt) or len(np.unique(groups)) < ENOUGH_FORMULAS:
        return Split(split.train, split.val, split.test, f"{split.how}; the same for all members")
    share = len(dealt) / len(pool)
    seed = int(np.random.SeedSequence([o.seed_of_split, 8, o.member]).generate_state(1)[0])
    inner = splits.grouped(pool, groups, Fractions(1 - share, 0.0, share), seed, "")
    how = f"{split.how}; train and validation dealt anew for member {o.member}"
    return splits.made(inner.train, np.sort(np.concatenate([inner.test, others])), split.test, how)


def _chosen(material: Material, o: TrainOptions) -> Split:
    if o.train:
        return _by_cache(material, o)
    if o.split_file is not None:
        return _by_file(material, o.split_file)
    tags = material.data.tags
    if o.split_column or (o.split == "auto" and not o.folds and _is_split_column(tags.get("split", ()))):
        column = o.split_column or "split"
        return splits.by_column(material.usable, _tag(tags, column), column)
    return _by_rule(material, o, o.seed_of_split)


def _is_split_column(words: Sequence[str]) -> bool:
    return len(words) > 0 and all(w.strip().lower() in splits.WORDS for w in words)


def _by_rule(material: Material, wish: SplitOptions, seed: int) -> Split:
    usable, fractions = material.usable, Fractions.parse(wish.fractions)
    alone = (material.data.atom_counts()[usable] == 1) & (material.data.edge_counts()[usable] == 0)
    if alone.any() and not alone.all():  # isolated atoms fix the energies of elements: they are there to learn from
        rest = _by_rule(replace(material, usable=usable[~alone]), wish, seed)
        how = f"{rest.how}; {int(alone.sum())} isolated atoms in training"
        return splits.made(np.concatenate([rest.train, usable[alone]]), rest.val, rest.test, how)
    if wish.split == "element" or wish.leave_out:
        return _without_element(material, wish, seed)
    kind: str = "group" if wish.group and wish.split == "auto" else wish.split
    why = ""
    if kind == "auto":
        kind, why = _suited(material)
    if kind == "time":
        if wish.folds:
            raise UsageError("folds of time blocks are not offered; use --split stratified or group with --folds")
        return _by_time(material, wish, fractions, why)
    if kind == "stratified":
        return _by_kind(material, wish, fractions, seed, why)
    groups, how = np.arange(len(usable)), "random"
    if kind == "formula":
        groups = leaks.numbered(material.data.formulas())[usable]
        how = f"random, grouped by formula ({len(np.unique(groups))} formulas)"
    elif kind == "group":
        if not wish.group:
            known = ", ".join(material.data.tags) or "the caches have none"
            raise UsageError(f"split 'group' needs a text column: --group NAME ({known})")
        groups = leaks.numbered(_tag(material.data.tags, wish.group))[usable]
        how = f"random, grouped by '{wish.group}' ({len(np.unique(groups))} groups)"
    if wish.folds:
        made = splits.kfold(usable, groups, folds=wish.folds, fold=wish.fold, fractions=fractions, seed=seed)
        return Split(made.train, made.val, made.test, f"{made.how}, {how}")
    if len(np.unique(groups)) < 2:
        raise UsageError(f"split '{kind}' has one group only; use --split random or time")
    return splits.grouped(usable, groups, fractions, seed, how + why)


def _suited(material: Material) -> tuple[str, str]:
    """Rule that suits the data, and why where that needs a word."""
    formulas = leaks.numbered(material.data.formulas())[material.usable]
    if _are_materials(formulas):
        return "formula", ""
    few = "there is one formula" if len(np.unique(formulas)) == 1 else "there are few formulas"
    run, _ = material.series
    lengths = np.unique(run, return_counts=True)[1]
    if lengths.min() >= RUN_LENGTH:
        return "time", f", because {few} and frames continue each other"
    return "stratified", f", because {few} and the frames are no steps of a run"


def _are_materials(formulas: NDArray[np.int64]) -> bool:
    """Whether there are formulas enough to group by: many, or several with few structures each."""
    n = len(np.unique(formulas))
    return n >= ENOUGH_FORMULAS or (n >= 3 and len(formulas) < RUN_LENGTH * n)


def _by_kind(material: Material, wish: SplitOptions, fractions: Fractions, seed: int, why: str) -> Split:
    """Every kind of configuration by its share, copies together."""
    data, usable = material.data, material.usable
    of_each, words = frames.kinds(data, usable)
    if wish.group:
        tag = _tag(data.tags, wish.group)
        of_each, words = [tag[i] for i in usable], f"'{wish.group}'"
    kinds = leaks.numbered(of_each)
    copies = leaks.shapes(data, usable)[usable]
    n = len(np.unique(kinds))
    how = f"random within {n} kinds of configurations (by {words})" if n > 1 else "random"
    n_copies = len(usable) - len(np.unique(copies))
    how += f", {n_copies} copies together with theirs" if n_copies else ""
    values = material.values[usable]
    if wish.folds:
        made = splits.kfold(
            usable, copies, folds=wish.folds, fold=wish.fold, fractions=fractions, seed=seed, kinds=kinds, values=values
        )
        return Split(made.train, made.val, made.test, f"{made.how}, {how}{why}")
    return splits.stratified(usable, kinds, copies, values, fractions, seed=seed, how=how + why)


def _runs(material: Material) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs, and places in time: pieces of files that continue each other, else whole files."""
    run, place = material.series
    if np.unique(run, return_counts=True)[1].min() >= RUN_LENGTH:
        return run, place
    names, place = material.data.runs()
    return leaks.numbered(leaks.numbered(names)[material.usable]), place[material.usable]


def _by_time(material: Material, wish: SplitOptions, fractions: Fractions, why: str) -> Split:
    run, frame = _runs(material)
    series = [material.values[material.usable[run == r][np.argsort(frame[run == r])]] for r in np.unique(run)]
    ramp = any(abs(_trend(s)) > 0.5 for s in series)
    shortest = min(len(s) for s in series)
    rounds = wish.rounds or (max(1, min(ROUNDS, shortest // RUN_LENGTH)) if ramp else 1)
    gap = wish.gap if wish.gap >= 0 else max(1, min(max(memory(s) for s in series), shortest // rounds // 20))
    made = splits.time_blocks(material.usable, run, frame, fractions, gap=gap, rounds=rounds)
    why += " and the label drifts with time" if ramp and not wish.rounds else ""
    return Split(made.train, made.val, made.test, made.how + why)


def _trend(series: NDArray[np.float64]) -> float:
    if len(series) < 3 or np.ptp(series) == 0 or not np.isfinite(series).all():
        return 0.0
    return float(np.corrcoef(np.arange(len(series)), series)[0, 1])


def memory(series: NDArray[np.float64]) -> int:
    """Lag in frames at which the autocorrelation of ``series``, freed of its linear trend, falls below 0.1."""
    n = len(series)
    if n < 4 or not np.isfinite(series).all():
        return 1
    time = np.arange(n)
    rest = series - np.polyval(np.polyfit(time, series, 1), time)
    power = np.abs(np.fft.rfft(rest, 2 * n)) ** 2
    correlation = np.fft.irfft(power)[:n]
    if correlation[0] <= 0:
        return 1
    below = np.flatnonzero(correlation / correlation[0] < 0.1)
    return int(below[0]) if len(below) else n


def _without_element(material: Material, wish: SplitOptions, seed: int) -> Split:
    if not wish.leave_out:
        raise UsageError("split 'element' needs the element: --leave-out O")
    if wish.leave_out not in number_of:
        raise UsageError(f"'{wish.leave_out}' is no element; --leave-out takes a symbol such as O")
    data, usable = material.data, material.usable
    owner = np.repeat(np.arange(len(data)), data.atom_counts())
    with_it = np.unique(owner[data.atomic_numbers() == number_of[wish.leave_out]])
    test, rest = usable[np.isin(usable, with_it)], usable[~np.isin(usable, with_it)]
    if not len(test) or not len(rest):
        raise UsageError(f"{len(test)} of {len(usable)} structures contain {wish.leave_out}; nothing to leave out")
    val, train, how = _validation(material, rest, wish, seed)
    return splits.made(train, val, test, f"leave out {wish.leave_out}; {how}")


def nested(
    material: Material, test: NDArray[np.int64], rest: NDArray[np.int64], wish: SplitOptions, seed: int, how: str
) -> Split:
    """A test part that is given; of ``rest``, what trains and what chooses the epoch, dealt as beside any test part.

    Args:
        material: the data.
        test: structures that are tested.
        rest: others, of which validation is drawn.
        wish: its share (``fractions``), and what stays together (``group``).
        seed: fixes the draw.
        how: what the test part is, in words.

    Raises:
        UsageError: nothing to train on or to test, or one group only.
    """
    val, train, drawn = _validation(material, rest, wish, seed)
    return splits.made(train, val, test, f"{how}; {drawn}")


def _validation(
    material: Material, rest: NDArray[np.int64], wish: SplitOptions, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Draw validation structures from ``rest``: whole groups where that is wished, whole formulas where there are many.

    Else of every kind its share.
    """
    fractions = Fractions.parse(wish.fractions)
    if fractions.val <= 0 or len(rest) < 2:
        return rest[:0], rest, "no validation"
    share = fractions.val / (fractions.train + fractions.val)
    shares = Fractions(1 - share, 0.0, share)
    groups = leaks.numbered(material.data.formulas())[rest]
    if wish.group:
        groups = leaks.numbered(_tag(material.data.tags, wish.group))[rest]
        if len(np.unique(groups)) < 2:
            raise UsageError(
                f"beside the test part there is one group of '{wish.group}' only, and no validation part; leave --group"
                " away, or the validation part: --fractions 0.9,0,0.1"
            )
        inner = splits.grouped(rest, groups, shares, seed, f"validation grouped by '{wish.group}'")
    elif _are_materials(groups):
        inner = splits.grouped(rest, groups, shares, seed, "validation grouped by formula")
    else:
        part = Material(material.data, rest, material.values, material.ids)
        inner = _by_kind(part, SplitOptions(), shares, seed, "")
        inner = Split(inner.train, inner.val, inner.test, f"validation {inner.how}")
    return inner.test, inner.train, inner.how


def _by_cache(material: Material, o: TrainOptions) -> Split:
    if not o.test:
        raise UsageError("--train needs --test: the caches of the test part")
    if o.caches:
        raise UsageError("give caches either as arguments or by --train, --val and --test, not both")
    ends = np.cumsum([len(o.train), len(o.val), len(o.test)])
    first, second, third = material.data.offsets[ends]
    usable = material.usable
    train, val = usable[usable < first], usable[(usable >= first) & (usable < second)]
    test = usable[(usable >= second) & (usable < third)]
    how = "given caches"
    if not o.val:
        val, train, drawn = _validation(material, train, o, o.seed_of_split)
        how += f"; of the training cache, {drawn}"
    return splits.made(train, val, test, how)


def _by_file(material: Material, path: Path) -> Split:
    try:
        named = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"cannot be read as a split: {problem.strerror}", path=path) from problem
    except ValueError as problem:
        raise UsageError(f"cannot be read as a split: {problem}", path=path) from problem
    good = isinstance(named, dict) and all(
        isinstance(named.get(n, []), list) and all(isinstance(i, str) for i in named.get(n, [])) for n in splits.NAMES
    )
    if not good:
        raise UsageError('must be {"train": [ids], "val": [ids], "test": [ids]}', path=path)
    return splits.given(material.usable, material.ids, named, f"file {path.name}")


def _tag(tags: dict[str, list[str]], name: str) -> list[str]:
    if name not in tags:
        raise UsageError(f"the caches have no text column '{name}'; {did_you_mean(name, list(tags))}")
    return tags[name]
