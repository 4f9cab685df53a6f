"""Which structures train, which choose the best epoch, which are never touched until the end.

A split is three disjoint, sorted index arrays. How structures are dealt into them:
:mod:`crystalcli.engine.data.split_rules`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import UsageError

Index = NDArray[np.int64]
NAMES = ("train", "val", "test")
DRAWN = "drawn"
"""Beside the parts in a file: validation was drawn, whole values of this column together (empty: whole formulas), and
may be drawn anew for the members of an ensemble."""


@dataclass(frozen=True)
class Fractions:
    """Shares of the three parts; they add up to one at most (the rest is left out)."""

    train: float = 0.8
    val: float = 0.1
    test: float = 0.1

    @classmethod
    def parse(cls, text: str) -> Fractions:
        """Read ``0.8,0.1,0.1`` or ``80,10,10``.

        Raises:
            UsageError: not three numbers ≥ 0, or no share for training.
        """
        try:
            parts = [float(p) for p in text.split(",")]
        except ValueError:
            parts = []
        total = sum(parts)
        if len(parts) != 3 or not all(0 <= p < np.inf for p in parts) or parts[0] <= 0 or parts[2] <= 0:
            raise UsageError(
                f"fractions '{text}' must be three numbers for train, validation and test, e.g. 0.8,0.1,0.1"
            )
        return cls(*(p / total if total > 1.0 + 1e-9 else p for p in parts))


@dataclass(frozen=True)
class Split:
    """Three disjoint index arrays into a data set, sorted, and in words how they were made."""

    train: Index
    val: Index
    test: Index
    how: str

    def parts(self) -> dict[str, Index]:
        """The three by name."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def to_json(self, ids: Sequence[str]) -> dict[str, object]:
        """Split by ids, in the form that :func:`given` reads, with its hash."""
        named = {name: [ids[i] for i in part] for name, part in self.parts().items()}
        return {**named, "how": self.how, "sha256": digest(named)}


def digest(named: Mapping[str, Sequence[str]]) -> str:
    """Hash of a split by ids, independent of the order in which they are listed."""
    text = json.dumps({k: sorted(named[k]) for k in NAMES}, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def made(train: Index, val: Index, test: Index, how: str) -> Split:
    """Sort, check and wrap three parts.

    Raises:
        UsageError: training or test part empty, or two parts overlap.
    """
    for name, part in (("train", train), ("test", test)):
        if len(part) == 0:
            raise UsageError(
                f"the {name} part of the split ({how}) is empty; give more structures or other --fractions"
            )
    every = np.concatenate([train, val, test])
    if len(np.unique(every)) != len(every):
        raise UsageError(f"a structure is in two parts of the split ({how})")
    first, second, third = (np.sort(p).astype(np.int64) for p in (train, val, test))
    return Split(first, second, third, how)


def given(usable: Index, ids: Sequence[str], named: Mapping[str, Sequence[str]], how: str) -> Split:
    """Split by lists of ids; ids that are not usable (no label) are left out.

    Raises:
        UsageError: an id that is not in the data set.
    """
    where = {ids[i]: int(i) for i in range(len(ids))}
    parts = []
    for name in NAMES:
        unknown = [i for i in named.get(name, ()) if i not in where]
        if unknown:
            raise UsageError(f"{len(unknown)} ids of the {name} part are in no cache, e.g. '{unknown[0]}'")
        chosen = np.array([where[i] for i in named.get(name, ())], dtype=np.int64)
        parts.append(chosen[np.isin(chosen, usable)])
    return made(parts[0], parts[1], parts[2], how)


WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
}
"""Words that a split column may use."""


def by_column(usable: Index, words: Sequence[str], column: str) -> Split:
    """Split by a text of every structure: train, val or test (and their common spellings).

    Raises:
        UsageError: another word, or none; no structure to train or to test.
    """
    read = [WORDS.get(words[i].strip().lower(), "") for i in usable]
    unknown = sorted({words[i] for i, r in zip(usable, read, strict=True) if not r} - {""})
    if unknown:
        raise UsageError(f"column '{column}' says '{unknown[0]}'; it may say train, val or test")
    if none := read.count(""):
        raise UsageError(f"column '{column}' says nothing of {none} of {len(usable)} structures; it must of all")
    if lacks := next((name for name in ("train", "test") if name not in read), ""):
        cure = "; --split formula, random, stratified or time deals without it"
        raise UsageError(f"column '{column}' says '{lacks}' of no structure with a label{cure}")
    chosen = np.array(read)
    first, second, third = (usable[chosen == name] for name in NAMES)
    return made(first, second, third, f"column '{column}'")
