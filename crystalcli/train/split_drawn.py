"""Draw the parts of a split by a rule: that which is asked for, or that which suits the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase.data import atomic_numbers as number_of
from numpy.typing import NDArray

from crystalcli.engine.data import frames, leaks, split_rules, splits
from crystalcli.engine.data.splits import Fractions, Split
from crystalcli.train import split_time
from crystalcli.train.material import Index, Material, words
from crystalcli.train.options import SplitOptions
from crystalcli.train.split_members import ENOUGH_FORMULAS
from crystalcli.train.split_time import RUN_LENGTH
from crystalcli.vocabulary.errors import UsageError


def by_rule(material: Material, wish: SplitOptions, seed: int) -> Split:
    """The split that is drawn; how it was drawn is said in it, with the reason where nobody asked for the rule.

    Raises:
        UsageError: contradictory or impossible wishes.
    """
    usable, fractions = material.usable, Fractions.parse(wish.fractions)
    if wish.split == "element" or wish.leave_out:
        return _without_element(material, wish, seed)
    alone = material.alone(usable)
    if alone.any() and not alone.all():  # isolated atoms fix the energies of elements: they are there to learn from
        rest = by_rule(replace(material, usable=usable[~alone]), wish, seed)
        how = f"{rest.how}; {int(alone.sum())} isolated atoms in training"
        return splits.made(np.concatenate([rest.train, usable[alone]]), rest.val, rest.test, how)
    kind, why = _kind(material, wish)
    if kind == "time":
        return _by_time(material, wish, fractions, seed, why)
    if kind == "stratified":
        return _by_kind(material, wish, fractions, seed, why)
    groups, how = np.arange(len(usable)), "random"
    if kind == "formula":
        groups = material.formulas(usable)
        how = f"random, grouped by formula ({len(np.unique(groups))} formulas)"
    elif kind == "group":
        if not wish.group:
            known = ", ".join(material.data.tags) or "the caches have none"
            raise UsageError(f"split 'group' needs a text column: --group NAME ({known})")
        groups, said = material.groups(wish.group, usable)
        how = f"random, grouped by {said}"
    if wish.folds:
        made = split_rules.kfold(usable, groups, folds=wish.folds, fold=wish.fold, fractions=fractions, seed=seed)
        return Split(made.train, made.val, made.test, f"{made.how}, {how}{why}")
    if len(np.unique(groups)) < 2:
        raise UsageError(f"split '{kind}' has one group only; use --split random or time")
    return split_rules.grouped(usable, groups, fractions, seed, how + why)


def _kind(material: Material, wish: SplitOptions) -> tuple[str, str]:
    """The rule that is asked for, or that suits the data, and what needs a word of it."""
    kind, why = str(wish.split), ""
    if kind == "auto":
        asked = "group" if wish.group else "stratified" if wish.kinds else ""
        kind, why = (asked, "") if asked else _suited(material, wish)
    if kind == "time" and wish.folds:
        raise UsageError("folds of time blocks are not offered; use --split stratified or group with --folds")
    if kind != "time" and (wish.gap >= 0 or wish.rounds):
        why += f"; {'--gap' if wish.gap >= 0 else '--rounds'} is not used: it is about time blocks"
    return kind, why


def _suited(material: Material, wish: SplitOptions) -> tuple[str, str]:
    """Rule that suits the data, and why where that needs a word."""
    formulas = material.formulas(material.usable)
    if _are_materials(formulas):
        return "formula", ""
    few = "there is one formula" if len(np.unique(formulas)) == 1 else "there are few formulas"
    steps = split_time.steps(material)
    if steps.all() or (steps.any() and not wish.folds) or 2 * steps.sum() > len(steps):
        return "time", f", because {few} and frames continue each other"
    return "stratified", f", because {few} and the frames are no steps of a run"


def _are_materials(formulas: NDArray[np.int64]) -> bool:
    """Whether there are formulas enough to group by: many, or several with few structures each."""
    n = len(np.unique(formulas))
    return n >= ENOUGH_FORMULAS or (n >= 3 and len(formulas) < RUN_LENGTH * n)


def _by_kind(
    material: Material, wish: SplitOptions, fractions: Fractions, seed: int, why: str, together: Index | None = None
) -> Split:
    """Every kind of configuration by its share; copies, or what has one number in ``together``, stay together."""
    data, usable = material.data, material.usable
    of_each, said = frames.kinds(data, usable)
    if wish.kinds:
        tag = words(data, wish.kinds)
        of_each, said = [tag[i] for i in usable], f"'{wish.kinds}'"
    kinds = leaks.numbered(of_each)
    copies = leaks.shapes(data, usable)[usable]
    n = len(np.unique(kinds))
    how = f"random within {n} kinds of configurations (by {said})" if n > 1 else "random"
    n_copies = len(usable) - len(np.unique(copies))
    how += f", {n_copies} copies together with theirs" if n_copies else ""
    whole = copies if together is None else together
    values = material.values[usable]
    if wish.folds:
        made = split_rules.kfold(
            usable, whole, folds=wish.folds, fold=wish.fold, fractions=fractions, seed=seed, kinds=kinds, values=values
        )
        return Split(made.train, made.val, made.test, f"{made.how}, {how}{why}")
    return split_rules.stratified(usable, kinds, whole, values, fractions, seed=seed, how=how + why)


def _by_time(material: Material, wish: SplitOptions, fractions: Fractions, seed: int, why: str) -> Split:
    """Runs in blocks of time; structures that are no steps of one are dealt beside them, few of them to training.

    Where blocks are wished for and most structures continue no other, whole files are runs.
    """
    cut = split_time.steps(material)
    if wish.split == "time" and 2 * cut.sum() <= len(cut):
        cut = np.ones(len(cut), dtype=bool)
    made = split_time.blocks(material, wish, fractions, cut, why)
    rest = material.usable[~cut]
    if not len(rest):
        return made
    whole = split_time.together(material, rest)
    said = "1 structure that is no step" if len(rest) == 1 else f"{len(rest)} structures that are no steps"
    if len(np.unique(whole)) < FEW:
        how = f"{made.how}; {said} of a run in training"
        return splits.made(np.concatenate([made.train, rest]), made.val, made.test, how)
    beside = _by_kind(replace(material, usable=rest), SplitOptions(), fractions, seed, "", whole)
    pairs = zip(made.parts().values(), beside.parts().values(), strict=True)
    train, val, test = (np.concatenate(pair) for pair in pairs)
    how = f"{made.how}; {said} of a run: {beside.how}"
    return splits.made(train, val, test, how)


FEW = 3
"""Fewer structures, copies and pieces of runs counted once, cannot be in all parts."""


def _without_element(material: Material, wish: SplitOptions, seed: int) -> Split:
    if not wish.leave_out:
        raise UsageError("split 'element' needs the element: --leave-out O")
    if wish.leave_out not in number_of:
        raise UsageError(f"'{wish.leave_out}' is no element; --leave-out takes a symbol such as O")
    data, usable = material.data, material.usable
    owner = np.repeat(np.arange(len(data)), data.atom_counts())
    with_it = np.unique(owner[data.atomic_numbers() == number_of[wish.leave_out]])
    test, rest = usable[np.isin(usable, with_it)], usable[~np.isin(usable, with_it)]
    atom = material.alone(test)  # would teach the element, and is none of the structures that are asked about
    if not len(rest) or atom.all():
        few = f"; {int(atom.sum())} of them isolated atoms" if atom.any() else ""
        raise UsageError(f"{len(test)} of {len(usable)} structures contain {wish.leave_out}{few}; nothing to leave out")
    val, train, how = validation(material, rest, wish, seed)
    how = f"leave out {wish.leave_out}; {how}"
    if atom.any():
        how += f"; {int(atom.sum())} isolated atoms of {wish.leave_out} in no part"
    return splits.made(train, val, test[~atom], how)


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
    val, train, drawn = validation(material, rest, wish, seed)
    return splits.made(train, val, test, f"{how}; {drawn}")


def validation(material: Material, rest: Index, wish: SplitOptions, seed: int) -> tuple[Index, Index, str]:
    """Draw validation structures from ``rest``: whole groups where that is wished, whole formulas where there are many.

    Else of every kind its share. Isolated atoms train.
    """
    fractions = Fractions.parse(wish.fractions)
    if fractions.val <= 0 or len(rest) < 2:
        return rest[:0], rest, "no validation"
    alone = material.alone(rest)
    if alone.any() and not alone.all():
        val, train, how = validation(material, rest[~alone], wish, seed)
        return val, np.concatenate([train, rest[alone]]), f"{how}; {int(alone.sum())} isolated atoms in training"
    share = fractions.val / (fractions.train + fractions.val)
    shares = Fractions(1 - share, 0.0, share)
    groups = material.formulas(rest)
    if wish.group:
        groups, said = material.groups(wish.group, rest)
        if len(np.unique(groups)) < 2:
            raise UsageError(
                f"beside the test part there is one group of '{wish.group}' only, and no validation part; leave --group"
                " away, or the validation part: --fractions 0.9,0,0.1"
            )
        inner = split_rules.grouped(rest, groups, shares, seed, f"validation grouped by {said}")
    elif _are_materials(groups):
        inner = split_rules.grouped(rest, groups, shares, seed, "validation grouped by formula")
    else:
        part = Material(material.data, rest, material.values, material.ids)
        inner = _by_kind(part, SplitOptions(), shares, seed, "")
        inner = Split(inner.train, inner.val, inner.test, f"validation {inner.how}")
    return inner.test, inner.train, inner.how
