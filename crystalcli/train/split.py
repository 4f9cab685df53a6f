"""Choose the split of a training run: by caches, a file, a column that says it, or a rule that draws it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from crystalcli.engine.data import splits
from crystalcli.engine.data.splits import Split
from crystalcli.train import further_starts
from crystalcli.train.material import Index, Material, words
from crystalcli.train.options import SplitOptions, TrainOptions
from crystalcli.train.split_drawn import by_rule, validation
from crystalcli.train.split_members import dealt_anew
from crystalcli.vocabulary.errors import UsageError

COLUMN = "split"
"""Text column that is followed unasked, where it says train, val or test of every structure."""


def choose(material: Material, o: TrainOptions) -> Split:
    """Make the split that ``o`` asks for; that of a later member of an ensemble has the same test part.

    Raises:
        UsageError: contradictory or impossible wishes.
    """
    if o.split_file is not None:  # names everything that is in a part
        return _member(material, o)
    plain, further, owners = further_starts.dealt(material)
    return further_starts.added(_member(plain, o), further, owners)


def _member(material: Material, o: TrainOptions) -> Split:
    whole, together = _chosen(material, o)
    split = _limited(whole, o)
    if not o.member:
        return split
    if together is None:
        return Split(split.train, split.val, split.test, f"{split.how}; as given, the same for all members")
    few = round(len(whole.val) * len(split.train) / len(whole.train))
    plain, further, owners = further_starts.dealt(material)  # a file may name some
    mine = np.isin(further, split.train)
    train, val = (part[~np.isin(part, further)] for part in (split.train, split.val))
    anew = dealt_anew(plain, replace(split, train=train, val=val), few, o, together)
    return further_starts.added(anew, further[mine], owners[mine])


def _limited(split: Split, o: TrainOptions) -> Split:
    """The split with so many training structures only; a smaller set is part of a larger one."""
    if not o.train_size or o.train_size == len(split.train):
        return split
    if o.train_size > len(split.train):
        return replace(split, how=f"{split.how}; all {len(split.train)} to train, fewer than {o.train_size}")
    order = np.random.default_rng([o.seed_of_split, 9]).permutation(split.train)
    chosen = np.sort(order[: o.train_size])
    return Split(chosen, split.val, split.test, f"{split.how}; {o.train_size} of {len(split.train)} to train")


def _chosen(material: Material, o: TrainOptions) -> tuple[Split, str | None]:
    """The split, and what members of an ensemble deal anew whole: values of a column, or formulas (empty).

    None where the user says what trains and what validates: no member may be taught by what is to judge it.
    """
    if o.train:
        return _by_cache(material, o), None if o.val else o.group
    if o.split_file is not None:
        return _by_file(material, o, o.split_file)
    if o.split_column:
        return _and_unused(_by_column(material, o.split_column), o), None
    unused = ""
    said = _says_parts(material)
    if len(said):
        if wish := _own_wish(o):
            unused = f"; column '{COLUMN}' is not used, because {wish} is asked for"
        elif len(said) < len(material.usable):
            lacks = np.setdiff1d(material.usable, said)
            raise UsageError(
                f"column '{COLUMN}' says train, val or test of {len(said)} of {len(material.usable)} structures, and "
                f"not of {len(lacks)}, e.g. '{material.ids[lacks[0]]}'; complete it, or say how to deal without it: "
                "--split formula, random, stratified or time"
            )
        else:
            return _by_column(material, COLUMN), None
    made = by_rule(material, o, o.seed_of_split)
    return replace(made, how=made.how + unused), o.group


def _says_parts(material: Material) -> Index:
    """Usable structures of which the column :data:`COLUMN` says train, val or test."""
    found = material.data.tags.get(COLUMN)
    if found is None:
        return material.usable[:0]
    return material.usable[[found[i].strip().lower() in splits.WORDS for i in material.usable]]


def _by_column(material: Material, column: str) -> Split:
    return splits.by_column(material.usable, words(material.data, column), column)


def _own_wish(o: SplitOptions) -> str:
    """The option that asks for another split than that of a column; empty if there is none."""
    plain = SplitOptions()
    names = ("split", "leave_out", "group", "kinds", "folds", "fractions", "gap", "rounds")
    asked = [n for n in names if getattr(o, n) != getattr(plain, n)]
    return f"--{asked[0].replace('_', '-')} {getattr(o, asked[0])}" if asked else ""


def _and_unused(split: Split, o: SplitOptions) -> Split:
    """The split, and that wishes for another are not followed, where all parts are given."""
    wish = _own_wish(o)
    return replace(split, how=f"{split.how}; {wish} is not used") if wish else split


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
    if o.val:
        return _and_unused(splits.made(train, val, test, "given caches"), o)
    val, train, drawn = validation(material, train, o, o.seed_of_split)
    made = splits.made(train, val, test, f"given caches; of the training cache, {drawn}")
    return made if o.split == "auto" else replace(made, how=f"{made.how}; --split {o.split} is not used")


def _by_file(material: Material, o: TrainOptions, path: Path) -> tuple[Split, str | None]:
    try:
        named = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"cannot be read as a split: {problem.strerror}", path=path) from problem
    except ValueError as problem:
        raise UsageError(f"cannot be read as a split: {problem}", path=path) from problem
    good = isinstance(named, dict) and all(
        isinstance(named.get(n, []), list) and all(isinstance(i, str) for i in named.get(n, [])) for n in splits.NAMES
    )
    drawn = named.get(splits.DRAWN) if good else None
    if not good or not isinstance(drawn, str | None):
        raise UsageError('must be {"train": [ids], "val": [ids], "test": [ids]}', path=path)
    made = splits.given(material.usable, material.ids, named, f"file {path.name}")
    return _and_unused(made, o), drawn
