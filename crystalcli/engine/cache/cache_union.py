"""Several caches as one: whether they go together, ids kept apart, labels united. Loads no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from crystalcli.engine.cache.cache import Column, GraphCache
from crystalcli.vocabulary.errors import UsageError


def check_together(caches: Sequence[GraphCache]) -> None:
    """Refuse caches that are not of one kind.

    Raises:
        UsageError: no cache, different recipes, different per-site fields.
    """
    if not caches:
        raise UsageError("no graph cache given; crystal build-graphs makes one")
    first = caches[0]
    for other in caches[1:]:
        if different := other.recipe.difference(first.recipe):
            raise UsageError(f"was built with {different} of {first.path}; one run, one recipe", path=other.path)
        if other.field_names != first.field_names:
            raise UsageError(f"its per-site fields are not those of {first.path}", path=other.path)


def distinct_ids(caches: Sequence[GraphCache]) -> list[str]:
    """Ids over all ``caches``; those that occur in several are kept apart as ``CACHE:ID``, by the file's stem.

    Raises:
        UsageError: the caches with that id have one stem.
    """
    count = Counter(i for c in caches for i in c.ids)
    ids = [f"{c.path.stem}:{i}" if count[i] > 1 else i for c in caches for i in c.ids]
    twice = [i for i, n in Counter(ids).items() if n > 1]
    if twice:
        raise UsageError(f"id '{twice[0]}' occurs twice; give the caches different names", path=caches[-1].path)
    return ids


def joined_columns(caches: Sequence[GraphCache], labelled: Sequence[GraphCache] | None = None) -> dict[str, Column]:
    """Labels of all ``caches`` in a row; what a cache does not have, or is not one of ``labelled``, is masked.

    Raises:
        UsageError: one label with two units, levels or kinds.
    """
    labelled = caches if labelled is None else labelled
    return {n: _joined(n, caches, labelled) for n in dict.fromkeys(n for c in labelled for n in c.columns)}


def _joined(name: str, caches: Sequence[GraphCache], labelled: Sequence[GraphCache]) -> Column:
    having = [c for c in labelled if name in c.columns]
    quantity, tail = having[0].columns[name].quantity, having[0].columns[name].values.shape[1:]
    for other in having[1:]:
        if (found := other.columns[name]).quantity != quantity or found.values.shape[1:] != tail:
            mine, theirs = _differences(found, having[0].columns[name])
            cure = _cure(name, found.quantity.unit, quantity.unit)
            raise UsageError(
                f"label '{name}' is {mine} here, {theirs} in {having[0].path}; {cure}name one of them otherwise: "
                f"crystal build-graphs … --targets NAME={name}",
                path=other.path,
            )
    if len(caches) == 1:
        return having[0].columns[name]
    values, masks = [], []
    for cache in caches:
        count = len(cache) if quantity.level == "structure" else int(cache.atom_pointers[-1])
        empty = Column(quantity, np.full((count, *tail), np.nan), np.zeros(count, dtype=bool))
        column = cache.columns[name] if cache in having else empty
        values.append(column.values)
        masks.append(column.mask)
    return Column(quantity, np.concatenate(values), np.concatenate(masks))


def _differences(one: Column, other: Column) -> tuple[str, str]:
    """What each of two columns is that the other is not, in words."""
    words = [_words(c) for c in (one, other)]
    mine, theirs = ([w for w, v in zip(*words, strict=True) if w != v] for words in (words, words[::-1]))
    return " and ".join(mine), " and ".join(theirs)


def _words(column: Column) -> list[str]:
    q, numbers = column.quantity, column.values[0].size if len(column.values) else 1
    return [
        f"in {q.unit}" if q.unit else "in a unit that is not said",
        f"one per {q.level}",
        "a total" if q.extensive else "no total",
        f"of {numbers} numbers" if numbers > 1 else "of one number",
        f"a class ({', '.join(q.words)})" if q.classes else "a number",
        "a place of an atom" if q.meaning == "position" else "no place of an atom",
    ]


def _cure(name: str, unit: str, other: str) -> str:
    """What helps where units differ; a unit that is asked for is one that is said, and converts nothing."""
    if unit == other:
        return ""
    if unit and other:
        return "bring their files to one unit, or "
    return f"if it is the same, build the other with --targets {name}:{unit or other}; else "
