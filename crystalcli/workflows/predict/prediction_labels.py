"""Labels of structures to be predicted, so that predictions can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.mechanisms.datasets import classes
from crystalcli.mechanisms.labelling.label_requests import LabelRequest
from crystalcli.nouns.magnitudes import LARGEST
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import is_nothing, no_number, number_in
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


class LabelFinder:
    """Finds the labels of a model's targets in structures as read.

    Args:
        quantities: what the model predicts.
        requests: where to look; default the targets' own names.
        warn: told, once, of every word that is no class of the model, and of numbers that are no values.

    Raises:
        UsageError: a request for what the model does not predict.
    """

    def __init__(
        self, quantities: Sequence[Quantity], requests: Sequence[LabelRequest], warn: Callable[[str], None]
    ) -> None:
        _check_requests(requests, quantities)
        self.quantities, self.requests, self.warn = quantities, requests, warn
        self.strangers: set[tuple[str, str]] = set()
        self.beyond: set[str] = set()

    def of(self, entry: Entry) -> dict[str, Any]:
        """Labels of a structure as read, by target, in the model's meaning: numbers, site arrays, class numbers."""
        entry = self._with_numbers(entry)
        found: dict[str, Any] = {}
        for q in self.quantities:
            for key, scaling in _places(q.name, self.requests):
                if q.classes:
                    found |= self._class(q, key, entry)
                    continue
                if key in entry.labels and q.level == "structure" and np.ndim(entry.labels[key]) == 0:
                    value = float(entry.labels[key])
                    n = len(entry.atoms)
                    value = value / n if scaling == "/atom" else value * n if scaling == "*atoms" else value
                    if self._usable(q.name, np.array(value)).all():
                        found[q.name] = value
                    break
                if (
                    key in entry.labels
                    and q.level == "site"
                    and len(np.atleast_1d(entry.labels[key])) == len(entry.atoms)
                ):
                    values = np.asarray(entry.labels[key], dtype=np.float64)
                    found[q.name] = np.where(self._usable(q.name, values), values, np.nan)
                    break
        return found

    def _with_numbers(self, entry: Entry) -> Entry:
        """``entry`` with the words under its targets' keys as numbers; said, once a key, of one that is none."""
        keys = {k for q in self.quantities if not q.classes for k, _ in _places(q.name, self.requests)}
        words = {k: entry.tags[k] for k in keys & entry.tags.keys() - entry.labels.keys()}
        numbers = {k: number_in(text) for k, text in words.items() if not is_nothing(text)}
        for key in (k for k, number in numbers.items() if number is None and (k, "") not in self.strangers):
            self.strangers.add((key, ""))
            self.warn(f"{entry.source}: label '{key}' is {no_number(words[key])}; such are not compared")
        found = {k: number for k, number in numbers.items() if number is not None}
        return replace(entry, labels={**entry.labels, **found}) if found else entry

    def _usable(self, name: str, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where the errors of ``values`` can be squared; says once that they cannot."""
        usable: NDArray[np.bool_] = ~(np.abs(values) > LARGEST)
        if name not in self.beyond and not usable.all():
            self.beyond.add(name)
            self.warn(f"labels '{name}' beyond {LARGEST:g}, as {values[~usable].flat[0]:g}, are not compared")
        return usable

    def _class(self, quantity: Quantity, key: str, entry: Entry) -> dict[str, float]:
        """The class number that ``entry`` has under ``key``, if it is a class that the model knows."""
        said = entry.tags.get(key, entry.labels.get(key))
        if said is None or np.ndim(said):
            return {}
        name = classes.word(said if isinstance(said, str) else float(said))
        if name in quantity.words:
            return {quantity.name: float(quantity.words.index(name))}
        self.say_strangers(quantity, [name])
        return {}

    def say_strangers(self, quantity: Quantity, names: Sequence[str]) -> None:
        """Say once of every word that it is no class of the model."""
        new = [n for n in names if (quantity.name, n) not in self.strangers]
        self.strangers |= {(quantity.name, n) for n in new}
        if new:
            known = ", ".join(quantity.words)
            said = ", ".join(f"'{n}'" for n in new[:5]) + (" …" if len(new) > 5 else "")
            self.warn(f"labels {said} of '{quantity.name}' are no class of the model ({known}); not compared")


def _check_requests(requests: Sequence[LabelRequest], quantities: Sequence[Quantity]) -> None:
    names = [q.name for q in quantities]
    for r in requests:
        if r.name not in names:
            raise UsageError(
                f"the model predicts {', '.join(names)}, not '{r.name}'; write --labels {names[0]}={r.key}"
            )


def _places(name: str, requests: Sequence[LabelRequest]) -> list[tuple[str, str]]:
    """Keys under which files may have the target ``name``, and what to do with the number found."""
    asked = [(r.key, r.scaling) for r in requests if r.name == name]
    if asked:
        return [(k, str(s)) for k, s in asked]
    found = [(name, "")]
    if name.endswith("_per_atom"):
        found.append((name.removesuffix("_per_atom"), "/atom"))
    if name.endswith("_total"):
        found.append((name.removesuffix("_total"), "*atoms"))
    return found
