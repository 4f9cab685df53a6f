"""Labels of a training: which are learned, which structures have them, and whether there is something to learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.records import Head
from crystalcli.engine.data import classes
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Split
from crystalcli.nouns.magnitudes import beyond
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity

OUTLIER = 100.0
"""A label further from the median than this many robust standard deviations is worth a warning."""


def choose_targets(
    data: GraphDataset, wished: Sequence[str], task: str, head: Head, path: object, reporter: Reporter
) -> tuple[Quantity, ...]:
    """Quantities to learn: those wished for, those that the head knows by name, or the only one there is.

    Words are classes; whole numbers are where ``task`` says ``classification``. Columns that are classes are replaced
    in ``data`` by their class numbers.

    Raises:
        UsageError: none, an unknown one, several and none named, or labels that do not suit the task.
    """
    texts = list(data.tags)
    if not data.columns and not wished:
        cure = f"learn classes from a text column with --target: {', '.join(texts)}; or " if texts else ""
        raise UsageError(f"has no labels; {cure}build it with --targets or beside an id_prop.csv", path=str(path))
    for name in wished:
        if name not in data.columns and name not in texts:
            raise UsageError(f"no label '{name}' in the caches; {did_you_mean(name, [*data.columns, *texts])}")
    if not wished and head.learns:
        wished = [q.name for q in head.learns if q.name in data.columns]
        if not wished:
            raise UsageError(
                f"no label that head '{head.name}' learns ({', '.join(q.name for q in head.learns)}); "
                f"the caches have {', '.join(data.columns) or 'none'}"
            )
        reporter.say(f"targets: {', '.join(wished)}")
    if not wished and len(data.columns) > 1:
        raise UsageError(f"there are several labels; choose with --target: {', '.join(sorted(data.columns))}")
    return tuple(_target(data, name, task, reporter) for name in dict.fromkeys(wished or data.columns))


def _target(data: GraphDataset, name: str, task: str, reporter: Reporter) -> Quantity:
    is_text = name not in data.columns
    if is_text and task == "regression":
        raise UsageError(f"'{name}' is a text column, which is no number; use --task classification")
    if is_text or task == "classification":
        column = data.columns[name] = classes.column(data, name)
        counts = np.bincount(column.values[column.mask].astype(np.int64), minlength=column.quantity.classes)
        shares = ", ".join(f"{w} ({n})" for w, n in zip(column.quantity.words, counts, strict=True))
        reporter.say(f"classes of '{name}': {shares}")
        return column.quantity
    column = data.columns[name]
    values = np.unique(column.values[column.mask])
    if task == "auto" and column.quantity.level == "structure" and np.array_equal(values, [0.0, 1.0]):
        reporter.say(f"label '{name}' is 0 or 1 and is learned as a number; --task classification learns classes")
    return column.quantity


def labelled(data: GraphDataset, targets: Sequence[Quantity], reporter: Reporter) -> NDArray[np.int64]:
    """Structures with a label of at least one target; says how many have none.

    Raises:
        UsageError: fewer than three, or labels of a size that cannot be squared.
    """
    have = np.zeros(len(data), dtype=bool)
    counts = data.atom_counts()
    for q in targets:
        column = data.columns[q.name]
        if said := beyond(column.values[column.mask]):
            raise UsageError(f"label '{q.name}', {said}", code="label")
        mask = column.mask & np.isfinite(column.values.reshape(len(column.mask), -1)).all(1)
        if q.level == "site":
            owner = np.repeat(np.arange(len(data)), counts)
            mask = np.bincount(owner[mask], minlength=len(data)) > 0
        if not mask.all():
            reporter.say(f"{int((~mask).sum())} of {len(data)} structures have no label '{q.name}'")
        have |= mask
    if have.sum() < 3:
        raise UsageError(f"{int(have.sum())} structures with a label are too few to train, validate and test")
    return np.flatnonzero(have)


def check_values(
    data: GraphDataset,
    quantity: Quantity,
    split: Split,
    ids: Sequence[str],
    reporter: Reporter,
    *,
    derived: bool = False,
) -> None:
    """Refuse a constant target, warn of values far from all others and of a validation part that lacks the target.

    One that is ``derived`` from what other targets teach need not be in the training part; that it is not is said.

    Raises:
        UsageError: no label in the training part, or every one is the same.
    """
    if len(split.val) and not len(_known(data, quantity, split.val)[0]):
        reporter.warn(f"the validation part has no label '{quantity.name}': it does not choose the epoch for it")
    values, _ = _known(data, quantity, split.train)
    if len(values) == 0:
        if not derived:
            raise UsageError(f"no structure of the training part has a label '{quantity.name}'")
        reporter.warn(f"no structure of the training part has a label '{quantity.name}': only other targets teach it")
    if len(values) == 0 or quantity.shape:
        return
    if np.ptp(values) == 0.0:
        shown = quantity.words[int(values[0])] if quantity.classes else f"{values[0]:g}"
        raise UsageError(f"label '{quantity.name}' is {shown} for all training {quantity.level}s; nothing to learn")
    if quantity.classes:
        never = [w for k, w in enumerate(quantity.words) if k not in values]
        if never:
            reporter.warn(f"classes of '{quantity.name}' that training never sees: {', '.join(never)}")
        return
    _warn_of_outliers(data, quantity, split, ids, reporter)


def _known(
    data: GraphDataset, quantity: Quantity, index: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Labels that there are of structures ``index``, and the structure of each."""
    column = data.columns[quantity.name]
    owner = index
    if quantity.level == "site":
        owner, index = np.repeat(index, data.atom_counts()[index]), data.atoms_of(index)
    there = column.mask[index]
    return column.values[index][there], owner[there]


def _warn_of_outliers(
    data: GraphDataset, quantity: Quantity, split: Split, ids: Sequence[str], reporter: Reporter
) -> None:
    """Name structures with labels very far from the median of the training part; totals count per atom."""

    def known(index: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        values, owner = _known(data, quantity, index)
        return (values / data.atom_counts()[owner] if counted != quantity else values), owner

    counted = quantity.per_atom()
    values, _ = known(split.train)
    middle = np.median(values)
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    if spread == 0.0:
        return
    every, owner = known(np.concatenate(list(split.parts().values())))
    far = np.flatnonzero(np.abs(every - middle) > OUTLIER * spread)
    if len(far):
        shown = ", ".join(f"{ids[owner[k]]} ({every[k]:g})" for k in far[:3])
        unit = f" {counted.unit}" if counted.unit else ""
        which = f"{len(far)} labels '{quantity.name}' are" if len(far) > 1 else f"1 label '{quantity.name}' is"
        reporter.warn(f"{which} very far from the median {middle:g}{unit}: {shown}")
