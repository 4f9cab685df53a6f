"""Which fold tests which structure, and what is trained and validated on beside it.

A fold is the test part once; what is outside it trains, but for the part that chooses the epoch, which is dealt from it
(nested validation). The test part chooses nothing. Structures in no fold are never tested: they may train in all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crystalcli.benchmark.matbench import official
from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.engine.data.splits import Split
from crystalcli.train import further_starts, split_drawn
from crystalcli.train.material import Material
from crystalcli.train.material import words as words_of
from crystalcli.train.options import TrainOptions
from crystalcli.train.split import choose
from crystalcli.vocabulary.errors import UsageError

Index = NDArray[np.int64]
MOST = 50
"""More folds than this are taken for a mistake: a column of ids, or of the target."""


@dataclass(frozen=True)
class Fold:
    """One fold.

    Args:
        name: as the column or the file calls it.
        split: what trains, chooses the epoch and is tested.
    """

    name: str
    split: Split


@dataclass(frozen=True)
class Folds:
    """All of them.

    Args:
        how: in words. all: in order. in_none: labelled structures that no fold tests.
        missing: ids of a file of folds that no structure has.
        task: of Matbench, where its folds are.
        official: Matbench's ids, by those of the structures.
    """

    how: str
    all: tuple[Fold, ...]
    in_none: int = 0
    missing: tuple[str, ...] = ()
    task: str = ""
    official: Mapping[str, str] = field(default_factory=dict)


def folds(material: Material, o: BenchmarkOptions) -> Folds:
    """The folds that are asked for.

    Args:
        material: the data; only its usable structures, those with a label, are dealt. Further starts of a structure
            teach where it does, whatever fold a column or file says of them.
        o: says what the folds are.

    Raises:
        UsageError: no such column, task or file, ids that are missing, or folds of which an error says nothing.
    """
    plain, further, owners = further_starts.dealt(material)
    found = _of(plain, o)
    return replace(
        found, all=tuple(replace(f, split=further_starts.added(f.split, further, owners)) for f in found.all)
    )


def _of(material: Material, o: BenchmarkOptions) -> Folds:
    """The folds of structures of which none is a further start of another."""
    if o.folds:
        return _dealt(material, o)
    if o.matbench_folds is not None:
        file = official(o.matbench_folds, o.matbench_task, material.ids, leave_out=o.allow_missing)
        named = {material.ids[k]: i for k, i in file.ids.items()}
        parts, how = file.parts, f"folds of {file.task} in {o.matbench_folds.name}"
        found = Folds(how, (), missing=file.missing, task=file.task, official=named)
    else:
        parts, how = _of_column(material, o.fold_column), f"folds of column '{o.fold_column}'"
        found = Folds(how, ())
    tested = np.concatenate([test for _, test, _ in parts])
    in_none = int((~np.isin(material.usable, tested)).sum())
    made = []
    for k, (name, inside, outside) in enumerate(parts):
        test, rest = (part[np.isin(part, material.usable)] for part in (inside, outside))
        _refuse_few(material, how, name, test)
        made.append(Fold(name, _nested(material, test, rest, o, k, f"fold {name}")))
    return replace(found, all=tuple(made), in_none=in_none)


def _refuse_few(material: Material, how: str, name: str, test: Index) -> None:
    if len(test) >= 2:
        return
    said = f"one structure with a label ({material.ids[test[0]]})" if len(test) else "no structure with a label"
    raise UsageError(f"{how}: fold '{name}' has {said}; an error over a fold takes two at least, join it to another")


def _wish(o: BenchmarkOptions, fold: int = 0) -> TrainOptions:
    """What ``crystal train`` would be asked for one fold; the shares are those of training and validation."""
    fractions = f"{1.0 - o.validation!r},{o.validation!r},1"
    return TrainOptions(fractions=fractions, folds=o.folds, fold=fold, group=o.group, seed=o.seed)


def _dealt(material: Material, o: BenchmarkOptions) -> Folds:
    """The folds of ``crystal train --folds``."""
    made = [Fold(str(k), choose(material, _wish(o, k))) for k in range(o.folds)]
    for one in made:
        _refuse_few(material, f"{o.folds} folds", one.name, one.split.test)
    tested = sum(len(one.split.test) for one in made)
    return Folds(f"{o.folds} folds, {made[0].split.how.partition(', ')[2]}", tuple(made), len(material.usable) - tested)


def _nested(material: Material, test: Index, rest: Index, o: BenchmarkOptions, k: int, how: str) -> Split:
    try:
        return split_drawn.nested(material, test, rest, _wish(o), o.seed + k, how)
    except UsageError as problem:
        raise UsageError(f"{how}: {problem.reason}", path=problem.path) from problem


def _of_column(material: Material, column: str) -> list[tuple[str, Index, Index]]:
    """By fold: its name, its structures, and those outside it."""
    words = np.array(words_of(material.data, column))
    every = np.arange(len(words))
    usable = words[material.usable]
    names = sorted({str(w) for w in usable} - {""}, key=lambda w: (0, int(w), w) if w.isdecimal() else (1, 0, w))
    if len(names) < 2 or len(names) > MOST:
        what = "no fold" if not names else f"one fold, '{names[0]}'" if len(names) == 1 else f"{len(names)} folds"
        raise UsageError(
            f"column '{column}' says {what}, for {len(usable)} structures with a label; it should say a few, each for"
            " many structures"
        )
    return [(name, every[words == name], every[words != name]) for name in names]


def split_file(folder: Path, k: int) -> Path:
    """Where the split of fold ``k`` is, as ``crystal train --split-file`` reads it."""
    return folder / f"fold-{k}.json"
