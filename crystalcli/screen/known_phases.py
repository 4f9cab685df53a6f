"""Phases of known formation energy, out of files or caches: a total is refused, or divided where that is asked for.

What their energies are called is asked for as labels are by ``build-graphs``: ``KEY``, ``KEY/atom``, ``KEY:UNIT``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels import label_units
from crystalcli.engine.labels.label_audit import SAY_PER_ATOM, growth
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.labels.label_units import PER_ATOM
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.nouns.structures.numbers import is_nothing, number_in
from crystalcli.prediction.label_places import other_size, places
from crystalcli.screen.hull import Amounts, Phase
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity

Floats = NDArray[np.float64]
LARGEST = 10.0
"""eV/atom: no formation energy is as far from 0, and a total of some atoms, or one in another unit, soon is."""


@dataclass(frozen=True)
class Numbers:
    """What files or caches have under one key.

    Args:
        key: there.
        values: (n,), NaN where there is none.
        known: what is said of them: unit, level, whether they are totals.
    """

    key: str
    values: Floats
    known: Quantity


class KnownEnergies:
    """Labels of structures, among which their formation energies are looked for.

    Args:
        labelled: of every structure id, number of atoms and whatever its file says.
        offered: names of all labels.
        numbers: what there is under a key.
        say: how a label ``{}`` is chosen, by a flag or a key of a plan, for cures; empty: there is no way.
        warn: told of what is taken without being said.
    """

    def __init__(
        self,
        labelled: Sequence[Labelled],
        offered: Sequence[str],
        numbers: Callable[[str], Numbers],
        say: str,
        warn: Callable[[str], None],
    ) -> None:
        self.labelled, self.offered, self.numbers, self.say, self.warn = labelled, offered, numbers, say, warn

    @classmethod
    def of_entries(cls, entries: Sequence[Labelled], say: str, warn: Callable[[str], None]) -> KnownEnergies:
        """Those of structures as read."""
        offered = {k for e in entries for k in e.labels}
        offered |= {k for e in entries for k, text in e.tags.items() if number_in(text) is not None}
        return cls(entries, sorted(offered), lambda key: _of_entries(entries, key), say, warn)

    @classmethod
    def of_caches(cls, data: GraphDataset, say: str, warn: Callable[[str], None]) -> KnownEnergies:
        """Those of caches, whose columns say what they are."""
        entries = [Labelled(i, i, int(n), {}) for i, n in zip(data.ids, data.atom_counts(), strict=True)]

        def numbers(key: str) -> Numbers:
            column = data.columns[key]
            _refuse_no_number(key, column.quantity)
            return Numbers(key, np.where(column.mask, column.values, np.nan), column.quantity)

        return cls(entries, sorted(data.columns), numbers, say, warn)

    def under(self, label: str, target: Quantity) -> Floats:
        """Formation energies (n,), eV/atom, NaN where there is none.

        Args:
            label: as asked for; empty: as ``target`` is called, or may be found.
            target: what the model calls it.

        Raises:
            UsageError: no such label, or one that is no energy per atom; says how to have it.
        """
        found: Floats = np.full(len(self.labelled), np.nan)
        for request in self._requests(label, target):
            missing = np.isnan(found)
            found[missing] = self._taken(request, target)[missing]
        return found

    def compared(self, target: Quantity) -> Floats:
        """As :meth:`under`, of energies that are only compared with: what is none is said, and passed over."""
        if not any(p.key in self.offered for p in places(target, ())):
            if (key := other_size(target)) in self.offered:
                self.warn(f"label '{key}' may be '{target.name}' or the total of all atoms, and is not compared")
            return np.full(len(self.labelled), np.nan)
        try:
            return self.under("", target)
        except UsageError as problem:
            self.warn(f"candidates: {problem.reason}; not compared")
            return np.full(len(self.labelled), np.nan)

    def _requests(self, label: str, target: Quantity) -> list[LabelRequest]:
        """Where to look, the likeliest first; all are there."""
        if label and label != target.name:
            request = LabelRequest.parse(label)
            # called so, or divided already when a cache was built
            names = (label, *([] if request.key in self.offered else [request.name]))
            name = next((n for n in names if n in self.offered), "")
            asked = [LabelRequest(name, name, target.name) if name else replace(request, name=target.name)]
        else:
            asked = [LabelRequest(p.key + p.scaling, p.key, target.name, p.scaling, p.unit) for p in places(target, ())]
        if there := [r for r in asked if r.key in self.offered]:
            return there
        have = ", ".join(self.offered[:10]) + (" …" if len(self.offered) > 10 else "")
        cure = ""
        if not label or label == target.name:
            key = other_size(target)
            cure = self._cure(key) if key in self.offered else ""
        raise UsageError(f"has no label '{asked[0].key}'; it has {have or 'none'}{cure}")

    def _taken(self, request: LabelRequest, target: Quantity) -> Floats:
        """The numbers that ``request`` names, in eV/atom."""
        numbers = self.numbers(request.key)
        counts = np.array([e.n_atoms for e in self.labelled], dtype=np.float64)
        unit = request.unit or numbers.known.unit
        factor = label_units.factor(unit.removesuffix(PER_ATOM), "eV") if unit else 1.0
        if factor is None:
            hint = did_you_mean(unit.removesuffix(PER_ATOM), list(label_units.ENERGY_UNITS))
            said = f"label '{request.key}' is in '{unit}', which is no unit of energy that is known ({hint})"
            raise UsageError(f"{said}; a hull needs eV/atom")
        self._refuse_total(request, numbers.known, unit)
        if not request.unit and (request.scaling or not unit):
            self._refuse_growth(request, numbers)
        values = factor * (numbers.values / counts if request.scaling else numbers.values)
        self._look_at(values, request, unit, target)
        return values

    def _refuse_total(self, request: LabelRequest, known: Quantity, unit: str) -> None:
        """Refuse what is no energy per atom as it is asked for."""
        key, per_atom = request.key, unit.endswith(PER_ATOM)
        if request.scaling == "*atoms":
            raise UsageError(f"'{request.text}' is a total; a hull needs eV/atom")
        if request.scaling and per_atom:
            raise UsageError(f"label '{key}' is in {unit}, per atom already: nothing to divide")
        if not request.scaling and not per_atom and (unit or known.extensive):
            kind = f"a total in {unit or 'a unit that is not known'}" if known.extensive else f"in {unit}"
            raise UsageError(f"label '{key}' is {kind}, and a hull needs eV/atom{self._cure(key)}")

    def _refuse_growth(self, request: LabelRequest, numbers: Numbers) -> None:
        """Refuse numbers that are not what is said of them, by how they go with the number of atoms."""
        mask = np.isfinite(numbers.values)
        try:
            said = growth(self.labelled, request, numbers.values, mask, numbers.known)
        except UsageError as problem:
            said = [problem.reason]
        if said:
            raise UsageError(said[0].split(";")[0] + self._cure(request.key))

    def _look_at(self, values: Floats, request: LabelRequest, unit: str, target: Quantity) -> None:
        """Say what is taken for granted of numbers without a unit; refuse those that no formation energy can be."""
        far = np.flatnonzero(np.abs(values) > LARGEST)  # NaN is not
        if len(far):
            said = (
                f"label '{request.key}' makes {values[far[0]]:.4g} eV/atom of '{self.labelled[far[0]].id}', which no "
                "formation energy is"
            )
            if not unit and not request.scaling:
                raise UsageError(said + self._cure(request.key))
            self.warn(said)
        elif not unit and request.key != target.name and not any(w in request.key.lower() for w in SAY_PER_ATOM):
            self.warn(f"label '{request.key}' has no unit; taken as in {'eV' if request.scaling else 'eV/atom'}")

    def _cure(self, key: str) -> str:
        """How to say what a number is, where that can be said."""
        if not self.say:
            return ""
        whole, one = self.say.format(key + PER_ATOM), self.say.format(f"{key}:eV{PER_ATOM}")
        return f"; say {whole} if it is of all atoms together, {one} if it is per atom"


def phases(ids: Sequence[str], amounts: Sequence[Amounts], energies: Floats) -> list[Phase]:
    """Those of known energy."""
    known = zip(ids, amounts, energies.tolist(), strict=True)
    return [Phase(a, e, i) for i, a, e in known if np.isfinite(e)]


def _of_entries(entries: Sequence[Labelled], key: str) -> Numbers:
    """What files have under ``key``; words that are no numbers are none.

    Raises:
        UsageError: no number per structure, or files that contradict each other.
    """
    said: dict[Quantity, str] = {}
    values: Floats = np.full(len(entries), np.nan)
    for k, e in enumerate(entries):
        value = _number(e, key)
        if value is None:
            continue
        known = e.quantities.get(key, Quantity(key, shape=np.shape(value)))
        _refuse_no_number(key, known)
        said.setdefault(known, e.source)
        values[k] = value
    if len(said) > 1:
        (a, in_a), (b, in_b) = list(said.items())[:2]
        raise UsageError(
            f"label '{key}' is in '{a.unit or 'unit unknown'}' in {in_a} and in '{b.unit or 'unit unknown'}' in {in_b}"
        )
    return Numbers(key, values, next(iter(said), Quantity(key)))


def _number(entry: Labelled, key: str) -> Any:
    if key in entry.labels or key not in entry.tags:
        return entry.labels.get(key)
    return None if is_nothing(entry.tags[key]) else number_in(entry.tags[key])


def _refuse_no_number(key: str, known: Quantity) -> None:
    if known.level != "structure" or known.shape or known.classes:
        raise UsageError(f"label '{key}' is no number per structure; a hull needs formation energies in eV/atom")
