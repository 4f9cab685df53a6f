"""Labels of structures to be predicted, so that predictions can be compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data import classes
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels import label_units
from crystalcli.engine.labels.label_arrays import STRESS_UNIT, as_stress, six_components
from crystalcli.engine.labels.label_requests import PER_ATOM, POSITION, LabelRequest
from crystalcli.nouns.magnitudes import LARGEST
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import is_nothing, no_number, number_in
from crystalcli.nouns.structures.site_fields import held_atoms
from crystalcli.prediction.label_places import LabelPlace, check_requests, other_size, places
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


class LabelFinder:
    """Finds the labels of a model's targets in structures as read, and in caches.

    Args:
        quantities: what the model predicts.
        requests: where to look; default the targets' own names.
        warn: told, once, of every word that is no class of the model, and of labels that cannot be compared.

    Raises:
        UsageError: a request for what the model does not predict, or in another unit.
    """

    def __init__(
        self, quantities: Sequence[Quantity], requests: Sequence[LabelRequest], warn: Callable[[str], None]
    ) -> None:
        check_requests(requests, quantities)
        self.quantities, self.requests, self.warn = quantities, requests, warn
        self.unknown: set[tuple[str, str]] = set()
        self._places = {q.name: places(q, requests) for q in quantities}
        self._misfits: set[str] = set()
        self._beyond: set[str] = set()
        self._offered: set[str] = set()
        self._found: set[str] = set()
        self._unclear = {} if requests else {q.name: key for q in quantities if (key := other_size(q))}

    def of(self, entry: Entry) -> dict[str, Any]:
        """Labels of a structure as read, by target, in the model's meaning: see :class:`.predictor.Row`."""
        found: dict[str, Any] = {}
        entry = self._with_numbers(entry)
        self._offered.update(entry.labels)
        for q in self.quantities:
            for place in self._places[q.name]:
                value = self._class(q, place.key, entry) if q.classes else self._value(q, place, entry)
                if value is not None:
                    self._found.add(place.key)
                    found[q.name] = value
                    break
            else:
                self._say_unclear(q.name, entry.labels)
        return found

    def of_cache(self, data: GraphDataset) -> dict[str, Column]:
        """Columns of ``data`` by target, in the model's meaning."""
        found: dict[str, Column] = {}
        self._offered.update(data.columns, data.tags)
        for q in self.quantities:
            for place in self._places[q.name]:
                if q.classes and (place.key in data.columns or place.key in data.tags):
                    self.say_unknown(q, classes.unknown_classes(data, replace(q, name=place.key)))
                    found[q.name] = replace(classes.as_classes(data, replace(q, name=place.key)), quantity=q)
                elif not q.classes and place.key in data.columns:
                    column = self._column(q, place, data)
                    if column is not None:
                        found[q.name] = column
                if q.name in found:
                    self._found.add(place.key)
                    break
            else:
                self._say_unclear(q.name, data.columns)
        return found

    def _say_unclear(self, name: str, labels: Collection[str]) -> None:
        """Say once of a label that may be the target or a total of it that it is not compared."""
        if (key := self._unclear.get(name)) in labels:
            del self._unclear[name]
            other, way = ("the total of all atoms", "/atom") if name.endswith(PER_ATOM) else ("a share of it", "*atoms")
            self.warn(
                f"label '{key}' may be '{name}' or {other}, and is not compared; "
                f"say --labels {name}={key}, or …={key}{way}"
            )

    def say_missing(self) -> None:
        """Say what was asked for and no structure has."""
        for r in self.requests:
            if r.key not in self._found and not any(f"'{r.key}'" in said for said in self._misfits):
                have = f"they have: {', '.join(sorted(self._offered)[:10])}" if self._offered else "they have none"
                self.warn(f"no structure has a label '{r.key}' to compare '{r.name}' with; {have}")

    def _value(self, quantity: Quantity, place: LabelPlace, entry: Entry) -> Any:
        """The label that ``entry`` has there: a float or an array; none if it has none, or one that does not fit."""
        raw = entry.labels.get(place.key)
        if raw is None:
            return None
        if quantity.shape == (6,) and quantity.level == "structure":
            known = entry.quantities.get(place.key)
            return self._tensor(quantity, place, raw, entry.source, known.unit if known else "")
        value = np.asarray(raw, dtype=np.float64)
        wanted = (len(entry.atoms), *quantity.shape) if quantity.level == "site" else quantity.shape
        if quantity.level == "site" and not quantity.shape and value.size == wanted[0]:  # one, or nine read as a tensor
            value = value.reshape(wanted)
        if value.shape != wanted:
            self._misfit(place.key, f"has shape {value.shape}, the model's '{quantity.name}' is {_kind(quantity)}")
            return None
        known = entry.quantities.get(place.key)
        factor = self._factor(quantity, place, known or Quantity(place.key, level=quantity.level))
        if factor is None:
            return None
        value = self._usable(place.key, value * factor * place.times(len(entry.atoms)))
        if quantity.meaning == POSITION:
            value[list(held_atoms(entry.atoms))] = np.nan  # that held atoms stay is known
        if value.ndim:
            return value
        return None if np.isnan(value) else float(value)

    def _with_numbers(self, entry: Entry) -> Entry:
        """``entry`` with the words under its targets' keys as numbers; said, once a key, of one that is none."""
        keys = {p.key for q in self.quantities if not q.classes for p in self._places[q.name]}
        words = {k: entry.tags[k] for k in keys & entry.tags.keys() - entry.labels.keys()}
        numbers = {k: number_in(text) for k, text in words.items() if not is_nothing(text)}
        for key in (k for k, number in numbers.items() if number is None and (k, "") not in self.unknown):
            self.unknown.add((key, ""))
            self.warn(f"{entry.source}: label '{key}' is {no_number(words[key])}; such are not compared")
        found = {k: number for k, number in numbers.items() if number is not None}
        return replace(entry, labels={**entry.labels, **found}) if found else entry

    def _usable(self, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``values``, NaN where their errors cannot be squared; says once that they cannot."""
        beyond = np.abs(values) > LARGEST
        if name not in self._beyond and beyond.any():
            self._beyond.add(name)
            self.warn(f"labels '{name}' beyond {LARGEST:g}, as {values[beyond].flat[0]:g}, are not compared")
        return np.where(beyond, np.nan, values)

    def _tensor(self, quantity: Quantity, place: LabelPlace, raw: Any, source: str, unit: str) -> Any:
        """A symmetric tensor in the model's sign, order and unit."""
        try:
            value = six_components(raw, source, place.key)
            written = place.unit or unit or quantity.unit
            return self._usable(
                place.key, as_stress(value[None], written)[0] if quantity.unit == STRESS_UNIT else value
            )
        except UsageError as problem:
            self._misfit(place.key, problem.reason.removeprefix(f"label '{place.key}' "))
            return None

    def _column(self, quantity: Quantity, place: LabelPlace, data: GraphDataset) -> Column | None:
        known = data.columns[place.key]
        has = known.quantity
        if (has.level, has.shape) != (quantity.level, quantity.shape):
            self._misfit(place.key, f"of the cache is {_kind(has)}, the model's '{quantity.name}' is {_kind(quantity)}")
            return None
        factor = self._factor(quantity, place, has)
        if factor is None:
            return None
        if not place.scaling and factor == 1.0:
            return replace(known, quantity=quantity)
        times = np.asarray(factor * place.times(data.atom_counts()) if place.scaling else factor)
        return Column(quantity, known.values * times, known.mask)

    def _factor(self, quantity: Quantity, place: LabelPlace, has: Quantity) -> float | None:
        """By what a label that is said to be ``has`` is multiplied for its unit; none if it is something else."""
        if place.scaling == "*atoms" and has.extensive and not place.asked:
            self._misfit(place.key, "is a total already", place.cure(quantity.name))
            return None
        total = {"": has.extensive, "/atom": False, "*atoms": True}[place.scaling]
        if has.unit and quantity.level == "structure" and total != quantity.extensive and not place.asked:
            kinds = [{True: "a total", False: "no total"}[k] for k in (total, quantity.extensive)]
            why = f"is {kinds[0]}, the model's '{quantity.name}' is {kinds[1]}"
            self._misfit(place.key, why, place.cure(quantity.name))
            return None
        unit = place.scaled(place.unit or has.unit)
        if not unit or (place.asked and not quantity.unit):
            return 1.0
        if (found := label_units.factor(unit, quantity.unit)) is None:
            theirs = f"in '{quantity.unit}'" if quantity.unit else "in a unit that nobody said"
            cure = "" if quantity.unit else place.cure(quantity.name)
            self._misfit(place.key, f"is in '{unit}', the model's '{quantity.name}' {theirs}", cure)
        return found

    def _misfit(self, key: str, why: str, cure: str = "") -> None:
        said = f"label '{key}' {why}; not compared{cure}"
        if said not in self._misfits:
            self._misfits.add(said)
            self.warn(said)

    def _class(self, quantity: Quantity, key: str, entry: Entry) -> float | None:
        """The class number that ``entry`` has under ``key``, if it is a class that the model knows."""
        said = entry.tags.get(key, entry.labels.get(key))
        if said is None or np.ndim(said):
            return None
        name = classes.word(said if isinstance(said, str) else float(said))
        if name in quantity.words:
            return float(quantity.words.index(name))
        self.say_unknown(quantity, [name])
        return None

    def say_unknown(self, quantity: Quantity, names: Sequence[str]) -> None:
        """Say once of every word that it is no class of the model."""
        new = [n for n in names if (quantity.name, n) not in self.unknown]
        self.unknown |= {(quantity.name, n) for n in new}
        if new:
            known = ", ".join(quantity.words)
            said = ", ".join(f"'{n}'" for n in new[:5]) + (" …" if len(new) > 5 else "")
            self.warn(f"labels {said} of '{quantity.name}' are no class of the model ({known}); not compared")


def _kind(quantity: Quantity) -> str:
    numbers = {(): "a number", (3,): "a vector", (6,): "a tensor"}.get(quantity.shape, f"of shape {quantity.shape}")
    return f"{numbers} per {quantity.level}"
