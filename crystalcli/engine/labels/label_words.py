"""Labels that files have as words: numbers in quotes are read, what was meant as a number and is none is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import is_nothing, is_number, meant_as_number, no_number, number_in
from crystalcli.nouns.structures.offered import ASE_QUANTITIES
from crystalcli.vocabulary.errors import UsageError


def candidates(entries: Sequence[Labelled], asked: Sequence[str] = ()) -> Counter[str]:
    """How many structures offer each key.

    Words count where they stand for an energy or the like, so that it is not passed over, and under keys ``asked`` for.
    """
    found = Counter(key for e in entries for key in e.labels)
    found.update(
        key
        for e in entries
        for key, text in e.tags.items()
        if (key in ASE_QUANTITIES or key in asked) and key not in e.labels and not is_nothing(text)
    )
    return found


def the_property(entries: Sequence[Labelled]) -> str:
    """The only number per structure, if its format declares it and it is no total; empty if there is no such."""
    numbers = {key for e in entries for key, value in e.labels.items() if np.ndim(value) == 0}
    if len(numbers) != 1:
        return ""
    (key,) = numbers
    known = [e.quantities.get(key) for e in entries if key in e.labels]
    return key if all(q is not None and q.unit and not q.extensive for q in known) else ""


def are_words(entries: Sequence[Labelled], request: LabelRequest) -> bool:
    """Whether what ``request`` names is a text and no number in all structures: something to learn as classes."""
    texts = [e.tags[request.text] for e in entries if request.text in e.tags and not is_nothing(e.tags[request.text])]
    return bool(texts) and not (
        request.text in ASE_QUANTITIES
        or any(request.text in e.labels for e in entries)
        or any(meant_as_number(text) or number_in(text) is not None for text in texts)
    )


def refusal(entry: Entry, keys: Collection[str]) -> str:
    """Why ``entry`` cannot be used for labels ``keys``: what was meant as a number is none; empty if all is well."""
    for key in keys:
        text = entry.tags.get(key, "")
        if key in entry.labels or is_nothing(text) or number_in(text) is not None:
            continue
        if key in ASE_QUANTITIES or meant_as_number(text):
            return f"label '{key}' is {no_number(text)}"
    return ""


def with_numbers(entries: Sequence[Labelled], keys: Collection[str]) -> list[Labelled]:
    """``entries`` with the words under ``keys`` as numbers; words for nothing are no label.

    Raises:
        UsageError: a word that is no number, with its place.
    """
    return [_with_numbers(e, keys) if any(k in e.tags for k in keys) else e for e in entries]


def with_words(entries: Sequence[Labelled], taken: Collection[str]) -> list[Labelled]:
    """``entries`` with whole numbers as words under keys that are words in others: ``1``, ``2``, ``4b`` are a column.

    Keys that are ``taken`` as labels, and those of energies and the like, stay as they are; so do columns with a word
    that was meant as a number, or with another number than whole ones.
    """
    words, numbers, odd = set[str](), set[str](), set[str]()
    for e in entries:
        for key, text in e.tags.items():
            if not is_nothing(text):
                words.add(key)
                odd |= {key} if meant_as_number(text) else set()
        for key, value in e.labels.items():
            numbers.add(key)
            odd |= set() if _is_whole(value) else {key}
    mixed = (words & numbers) - odd - set(taken) - set(ASE_QUANTITIES)
    return [_with_words(e, mixed & e.labels.keys()) if mixed & e.labels.keys() else e for e in entries]


def _is_whole(value: object) -> bool:
    return is_number(value) and float(value) == np.round(float(value))  # type: ignore[arg-type] # is a number


def _with_words(entry: Labelled, keys: Collection[str]) -> Labelled:
    words = {key: str(int(entry.labels[key])) for key in keys}
    labels = {key: value for key, value in entry.labels.items() if key not in keys}
    return replace(entry, labels=labels, tags={**entry.tags, **words})


def _with_numbers(entry: Labelled, keys: Collection[str]) -> Labelled:
    found = {}
    for key in keys:
        text = entry.tags.get(key, "")
        if key in entry.labels or is_nothing(text):
            continue
        number = number_in(text)
        if number is None:
            raise UsageError(f"label '{key}' is {no_number(text)}", path=entry.source, code="label")
        found[key] = number
    return replace(entry, labels={**entry.labels, **found}) if found else entry
