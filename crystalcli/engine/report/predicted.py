"""Predictions beside labels, read from the tables that trainings write, by target."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.sections import Geometry, ReportedRun, numbers

Floats = NDArray[np.float64]
TABLES = ("predictions-test.csv", "predictions-test-sites.csv")
_HEAD = re.compile(r"(?P<name>.+) (?P<what>true|predicted|sigma)(?: \[(?P<unit>.*)\])?")


@dataclass
class Values:
    """One target of the test part.

    Args:
        name, unit: of it. ids: of the rows; sites: of the atoms, where rows are atoms.
        true, predicted, sigma: by component (``""``, ``_x``, …), (n,); NaN where there is none.
        words: for classes, what is true and what is predicted, in their place.
    """

    name: str
    unit: str
    ids: Sequence[str]
    sites: Sequence[str]
    true: dict[str, Floats] = field(default_factory=dict)
    predicted: dict[str, Floats] = field(default_factory=dict)
    sigma: dict[str, Floats] = field(default_factory=dict)
    words: tuple[Sequence[str], Sequence[str]] | None = None

    @property
    def known(self) -> dict[str, NDArray[np.bool_]]:
        """Rows with both numbers, by component."""
        return {k: np.isfinite(t) & np.isfinite(self.predicted[k]) for k, t in self.true.items()}

    def from_start(self, start: Mapping[str, Geometry]) -> Values:
        """Of positions: what atoms moved by from where they were; NaN where the start is not known."""
        before = np.full((len(self.ids), 3), np.nan)
        for row, (one, site) in enumerate(zip(self.ids, self.sites, strict=True)):
            if one in start and int(site) < len(start[one].numbers):
                before[row] = start[one].positions[int(site)]
        axes = {c: k for k, c in enumerate(self.true)}
        true, predicted = ({c: v - before[:, axes[c]] for c, v in of.items()} for of in (self.true, self.predicted))
        return replace(self, name=f"displacement to {self.name}", true=true, predicted=predicted)

    def places(self, one: str) -> tuple[Floats, Floats]:
        """Of positions: where the atoms of a structure are predicted to be, and where they are; (N, 3) each."""
        rows = [k for k, i in enumerate(self.ids) if i == one]
        predicted, true = (np.stack([v[rows] for v in of.values()], axis=1) for of in (self.predicted, self.true))
        return predicted, true

    def worst(self) -> dict[str, float]:
        """The mean size of the error of every id; of vectors and sites over all that it has."""
        sums: dict[str, list[float]] = {}
        for component, known in self.known.items():
            error = np.abs(self.predicted[component] - self.true[component])
            for k in np.flatnonzero(known).tolist():
                entry = sums.setdefault(self.ids[k], [0.0, 0.0])
                entry[0] += float(error[k])
                entry[1] += 1.0
        return {i: s / n for i, (s, n) in sums.items()}


def of(run: ReportedRun, targets: Sequence[str], classes: Collection[str] = ()) -> dict[str, Values]:
    """Values of the test part by target, of those named; ``classes`` are words, though they may look like numbers."""
    found: dict[str, Values] = {}
    for table in TABLES:
        columns = run.table(table)
        for name, values in of_table(columns, targets, classes):
            found.setdefault(name, values)
    return {name: found[name] for name in targets if name in found}


def of_table(
    columns: Mapping[str, Sequence[str]], targets: Sequence[str], classes: Collection[str]
) -> Iterator[tuple[str, Values]]:
    """Values by target, of one table's columns; as :func:`of`."""
    ids, sites = columns.get("id", []), columns.get("site", [])
    made: dict[str, Values] = {}
    for head, column in columns.items():
        match = _HEAD.fullmatch(head)
        target = match and _target(match["name"], targets)
        if not match or not target:
            continue
        values = made.setdefault(target, Values(target, match["unit"] or "", ids, sites))
        component, what = match["name"].removeprefix(target), match["what"]
        read = np.array(numbers(column), dtype=np.float64)
        if what != "sigma" and (target in classes or (any(column) and not np.isfinite(read).any())):
            pair = values.words or ((), ())
            values.words = (column, pair[1]) if what == "true" else (pair[0], column)
        getattr(values, what)[component] = read
    for name, values in made.items():
        values.true = {k: v for k, v in values.true.items() if k in values.predicted}
        yield name, values


def _target(name: str, targets: Sequence[str]) -> str | None:
    """The target whose column it is, or a component of; the longest name that fits."""
    fits = [t for t in targets if name == t or name.startswith(f"{t}_")]
    return max(fits, key=len, default=None)
