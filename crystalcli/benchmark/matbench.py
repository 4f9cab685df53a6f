"""The folds of Matbench, from the validation file of its repository.

``matbench_v0.1_validation.json`` has under ``splits``, task and ``fold_0`` … ``fold_4`` the ids of ``train`` and
``test``; A. Dunn et al., npj Comput. Mater. 6, 138 (2020), doi:10.1038/s41524-020-00406-3. An id such as
``mb-phonons-0001`` counts the rows of the table from 1 (``matbench/data_ops.py``). Structures are known by that id, or,
read from the table itself (``matbench_phonons.json.gz``), by ``matbench_phonons:0`` and so on.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import UsageError, did_you_mean

Index = NDArray[np.int64]
_ROW = re.compile(r".*:(?P<row>\d+)")
_NUMBER = re.compile(r".*-(?P<number>\d+)")


@dataclass(frozen=True)
class Official:
    """The folds of a task.

    Args:
        task: its name.
        parts: of every fold its name, the structures that it tests, and those that may train and validate.
        missing: ids that no structure has.
        ids: of Matbench, by structure; for results in its format.
    """

    task: str
    parts: Sequence[tuple[str, Index, Index]]
    missing: tuple[str, ...]
    ids: Mapping[int, str]


def official(path: Path, task: str, ids: Sequence[str], *, leave_out: bool = False) -> Official:
    """Read the folds of ``task`` for structures called ``ids``.

    Args:
        path: the file, gzipped or not.
        task: its name; empty: the only one whose ids the structures have.
        ids: of all structures.
        leave_out: ids that no structure has are left out.

    Raises:
        UsageError: no such file, task or id; structures tested twice, or trained on by the fold that tests them.
    """
    splits = checked(path, task)
    name = task or _only(path, splits, ids)
    lists = {fold: (_ids(path, fold, of, "train"), _ids(path, fold, of, "test")) for fold, of in splits[name].items()}
    every = {i for pair in lists.values() for part in pair for i in part}
    where = _places(name, ids, every)
    missing = tuple(sorted(every - where.keys()))
    if missing and (not leave_out or not where):
        cure = "" if not where else "; --allow-missing leaves them out, and the numbers are then none of Matbench's"
        said = f"{len(missing)} of {len(every)} ids of {name} have no structure, e.g. {missing[0]}{cure}"
        raise UsageError(said, path=path)
    _refuse_overlaps(path, lists)
    parts = [
        (fold, *(np.array([where[i] for i in part if i in where], dtype=np.int64) for part in (test, train)))
        for fold, (train, test) in lists.items()
    ]
    parts = [one for one in parts if len(one[1])]  # of folds that are held back nothing is there to test
    if len(parts) < 2:
        raise UsageError(f"the structures are in {len(parts)} of the {len(lists)} folds of {name}", path=path)
    return Official(name, parts, missing, {k: i for i, k in where.items()})


def checked(path: Path, task: str) -> dict[str, Any]:
    """Folds of every task in the file, which can be looked at before any structure is read.

    Raises:
        UsageError: no such file, or no such task in it.
    """
    splits = _splits(path)
    if task and task not in splits:
        raise UsageError(f"has no task '{task}'; {did_you_mean(task, list(splits))}", path=path)
    return splits


def _splits(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        found = json.loads(text)
    except OSError as problem:
        raise UsageError(f"cannot be read as folds of Matbench: {problem.strerror or problem}", path=path) from problem
    except (ValueError, EOFError) as problem:
        raise UsageError(f"cannot be read as folds of Matbench: {problem}", path=path) from problem
    splits = found.get("splits") if isinstance(found, dict) else None
    if not isinstance(splits, dict) or not all(isinstance(v, dict) and v for v in splits.values()):
        raise UsageError('has no folds under "splits", as matbench_v0.1_validation.json has', path=path)
    return splits


def _ids(path: Path, fold: str, of: Any, part: str) -> list[str]:
    found = of.get(part) if isinstance(of, dict) else None
    if not isinstance(found, list) or not all(isinstance(i, str) for i in found):
        raise UsageError(f"{fold} has no list of ids under '{part}'", path=path)
    return found


def _prefix(task: str) -> str:
    """How the ids of a task begin: ``mb-phonons-`` of ``matbench_phonons``."""
    return task.replace("matbench", "mb").replace("_", "-") + "-"


def _only(path: Path, splits: Mapping[str, Any], ids: Sequence[str]) -> str:
    fit = [t for t in splits if any(i.startswith((_prefix(t), f"{t}:")) for i in ids)]
    if len(fit) == 1:
        return fit[0]
    if len(splits) == 1:
        return next(iter(splits))
    said = "more than one" if fit else "none"
    raise UsageError(
        f"of its tasks {said} has ids like '{ids[0]}'; say which with --matbench-task ({', '.join(splits)})", path=path
    )


def _places(task: str, ids: Sequence[str], wanted: Collection[str]) -> dict[str, int]:
    """Structures by those of Matbench's ids ``wanted`` that they have."""
    if any(i.startswith(_prefix(task)) for i in ids):
        return {i: k for k, i in enumerate(ids) if i in wanted}
    rows: dict[int, int] = {}
    for k, text in enumerate(ids):
        if not (match := _ROW.fullmatch(text)):
            continue
        row = int(match["row"])
        if row in rows:
            raise UsageError(f"'{ids[rows[row]]}' and '{text}' are both row {row} of a table; Matbench's is one")
        rows[row] = k
    numbers = {i: int(match["number"]) - 1 for i in wanted if (match := _NUMBER.fullmatch(i))}
    return {i: rows[row] for i, row in numbers.items() if row in rows}


def _refuse_overlaps(path: Path, lists: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> None:
    tested: dict[str, str] = {}
    for fold, (train, test) in lists.items():
        if both := set(train) & set(test):
            raise UsageError(f"{fold} trains on {min(both)}, which it tests", path=path)
        for i in test:
            if i in tested:
                raise UsageError(f"{tested[i]} and {fold} both test {i}", path=path)
            tested[i] = fold
