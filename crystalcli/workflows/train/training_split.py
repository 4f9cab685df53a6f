"""Choose the split of a training run, by what was asked or by what the data are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers as number_of
from numpy.typing import NDArray

from crystalcli.mechanisms.datasets import leaks, splits
from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.datasets.splits import Fractions, Split
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.workflows.train.training_plan import SplitPlan, TrainingPlan

KINDS = ("auto", "random", "formula", "group", "element", "time")
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


def choose(material: Material, plan: TrainingPlan) -> Split:
    """Make the split that ``plan`` asks for; that of a later member of an ensemble has the same test part.

    Raises:
        UsageError: contradictory or impossible wishes.
    """
    whole = _chosen(material, plan)
    split = _limited(whole, plan)
    if not plan.member:
        return split
    few = round(len(whole.val) * len(split.train) / len(whole.train))
    return _dealt_anew(material, split, few, plan)


def _limited(split: Split, plan: TrainingPlan) -> Split:
    """The split with so many training structures only; a smaller set is part of a larger one."""
    if not plan.train_size or plan.train_size >= len(split.train):
        return split
    order = np.random.default_rng([plan.seed_of_split, 9]).permutation(split.train)
    chosen = np.sort(order[: plan.train_size])
    return Split(chosen, split.val, split.test, f"{split.how}; {plan.train_size} of {len(split.train)} to train")


def _dealt_anew(material: Material, split: Split, few: int, plan: TrainingPlan) -> Split:
    """Other training and validation structures of the same numbers, whole formulas together.

    Of the validation part ``few`` are dealt, as many as belong to the training structures that there are: members
    taught by 60 structures of many must not see hundreds between them. Frames of runs stay as they are: a random half
    of a run knows the other half.
    """
    order = np.random.default_rng([plan.seed_of_split, 10]).permutation(split.val)
    dealt, others = order[:few], order[few:]
    pool = np.sort(np.concatenate([split.train, dealt]))
    groups = leaks.numbered(material.data.formulas())[pool]
    if not len(dealt) or len(np.unique(groups)) < ENOUGH_FORMULAS:
        return Split(split.train, split.val, split.test, f"{split.how}; the same for all members")
    share = len(dealt) / len(pool)
    seed = int(np.random.SeedSequence([plan.seed_of_split, 8, plan.member]).generate_state(1)[0])
    inner = splits.grouped(pool, groups, Fractions(1 - share, 0.0, share), seed, "")
    how = f"{split.how}; train and validation dealt anew for member {plan.member}"
    return splits.made(inner.train, np.sort(np.concatenate([inner.test, others])), split.test, how)


def _chosen(material: Material, plan: TrainingPlan) -> Split:
    wish = plan.split
    if plan.train:
        return _by_cache(material, plan)
    if wish.file:
        return _by_file(material, Path(wish.file))
    tags = material.data.tags
    if wish.column or (wish.kind == "auto" and not wish.folds and _is_split_column(tags.get("split", ()))):
        column = wish.column or "split"
        return splits.by_column(material.usable, _tag(tags, column), column)
    return _by_rule(material, wish, plan.seed_of_split)


def _is_split_column(words: Sequence[str]) -> bool:
    return len(words) > 0 and all(w.strip().lower() in splits.WORDS for w in words)


def _by_rule(material: Material, wish: SplitPlan, seed: int) -> Split:
    usable, fractions = material.usable, Fractions.parse(wish.fractions)
    if wish.kind not in KINDS:
        raise UsageError(f"no split '{wish.kind}'; {did_you_mean(wish.kind, KINDS)}")
    if wish.kind == "element" or wish.element:
        return _without_element(material, wish, seed)
    kind = "group" if wish.group and wish.kind == "auto" else wish.kind
    why = ""
    if kind == "auto":
        kind, why = _suited(material)
    if kind == "time":
        if wish.folds:
            raise UsageError("folds of time blocks are not offered; use --split random, formula or group with --folds")
        return _by_time(material, wish, fractions, why)
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
    formulas = np.unique(np.array(material.data.formulas())[material.usable])
    if len(formulas) >= ENOUGH_FORMULAS:
        return "formula", ""
    run, _ = _runs(material)
    if np.bincount(run).min() >= RUN_LENGTH:
        return "time", f", because there {'is one formula' if len(formulas) == 1 else 'are few formulas'}"
    if len(formulas) >= 3:
        return "formula", ""
    return "random", ", because there are too few formulas to group by and no runs; near copies may be on both sides"


def _runs(material: Material) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    names, frames = material.data.runs()
    _, run = np.unique(leaks.numbered(names)[material.usable], return_inverse=True)
    return run, frames[material.usable]


def _by_time(material: Material, wish: SplitPlan, fractions: Fractions, why: str) -> Split:
    run, frame = _runs(material)
    series = [material.values[material.usable[run == r][np.argsort(frame[run == r])]] for r in np.unique(run)]
    ramp = any(abs(_trend(s)) > 0.5 for s in series)
    rounds = wish.rounds or (ROUNDS if ramp else 1)
    shortest = min(len(s) for s in series) // rounds
    gap = wish.gap if wish.gap >= 0 else max(1, min(max(memory(s) for s in series), shortest // 20))
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


def _without_element(material: Material, wish: SplitPlan, seed: int) -> Split:
    if not wish.element:
        raise UsageError("split 'element' needs the element: --leave-out O")
    if wish.element not in number_of:
        raise UsageError(f"'{wish.element}' is no element; --leave-out takes a symbol such as O")
    data, usable = material.data, material.usable
    owner = np.repeat(np.arange(len(data)), data.atom_counts())
    with_it = np.unique(owner[data.atomic_numbers() == number_of[wish.element]])
    test, rest = usable[np.isin(usable, with_it)], usable[~np.isin(usable, with_it)]
    if not len(test) or not len(rest):
        raise UsageError(f"{len(test)} of {len(usable)} structures contain {wish.element}; nothing to leave out")
    val, train = _validation(material, rest, Fractions.parse(wish.fractions), seed)
    return splits.made(train, val, test, f"leave out {wish.element}; validation grouped by formula")


def _validation(
    material: Material, rest: NDArray[np.int64], fractions: Fractions, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw validation structures from ``rest``, whole formulas where there are several."""
    groups = leaks.numbered(material.data.formulas())[rest]
    if len(np.unique(groups)) < 2:
        groups = np.arange(len(rest))
    if fractions.val <= 0 or len(rest) < 2:
        return rest[:0], rest
    share = fractions.val / (fractions.train + fractions.val)
    inner = splits.grouped(rest, groups, Fractions(1 - share, 0.0, share), seed, "validation")
    return inner.test, inner.train


def _by_cache(material: Material, plan: TrainingPlan) -> Split:
    if not plan.test:
        raise UsageError("--train needs --test: the caches of the test part")
    if plan.caches:
        raise UsageError("give caches either as arguments or by --train, --val and --test, not both")
    ends = np.cumsum([len(plan.train), len(plan.val), len(plan.test)])
    first, second, third = material.data.offsets[ends]
    usable = material.usable
    train, val = usable[usable < first], usable[(usable >= first) & (usable < second)]
    test = usable[(usable >= second) & (usable < third)]
    how = "given caches"
    if not plan.val:
        val, train = _validation(material, train, Fractions.parse(plan.split.fractions), plan.seed_of_split)
        how += "; validation drawn from the training cache, grouped by formula"
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
