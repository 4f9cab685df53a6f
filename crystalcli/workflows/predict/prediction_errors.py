"""Predictions beside labels: errors, what σ was worth, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.mechanisms.drawing import plots, site_plots
from crystalcli.mechanisms.scoring import calibration, metrics, site_errors
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.predict.prediction import Row


@dataclass
class Compared:
    """Predictions beside labels, collected while rows go by; numbers only, no structures. Totals are compared per atom.

    Args:
        quantity: as predicted.
    """

    quantity: Quantity
    value: list[Any] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    mae_of_crystals: list[float] = field(default_factory=list)
    sigma: list[Any] = field(default_factory=list)
    inside: dict[str, list[bool]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take in one row if it has a label."""
        name = self.quantity.name
        if name not in row.labels:
            return
        true, value = np.asarray(row.labels[name], dtype=np.float64), np.asarray(row.values[name], dtype=np.float64)
        if self.quantity.classes:
            self.value.append(value)
            self.true.append(float(true))
            return
        size = len(row.atoms) if self.quantity.extensive and self.quantity.level == "structure" else 1
        known = np.isfinite(true)
        self.value.extend(value[known] / size)
        self.true.extend(true[known] / size)
        spread = row.uncertainties.get(name, {})
        if "sigma" in spread:
            self.sigma.extend(np.asarray(spread["sigma"])[known] / size)
        for word in (w for w in spread if w.startswith("low_")):
            level = word.removeprefix("low_")
            inside = (spread[word] <= true) & (true <= spread[f"high_{level}"])
            self.inside.setdefault(level, []).extend(np.asarray(inside)[known].ravel().tolist())
        if self.by_element:
            self.numbers.extend(row.atoms.numbers[known].tolist())
            self.mae_of_crystals += [float(np.abs(value - true)[known].mean())] if known.any() else []

    @property
    def by_element(self) -> bool:
        """Whether errors can be told by element: one number per site."""
        return self.quantity.level == "site" and not self.quantity.shape and not self.quantity.classes

    @property
    def shown_as(self) -> Quantity:
        """What the numbers are."""
        return self.quantity.per_atom()

    def errors(self) -> metrics.Errors | metrics.ClassErrors | None:
        """Errors, or none without labels."""
        if not self.true:
            return None
        compare = metrics.classification if self.quantity.classes else metrics.regression
        return compare(np.asarray(self.value, dtype=np.float64), np.asarray(self.true, dtype=np.float64))

    def uncertainty(self) -> dict[str, Any]:
        """Errors beside σ and the shares that intervals hold, for JSON; empty without σ."""
        if not self.sigma:
            return {}
        error = np.asarray(self.value, dtype=np.float64) - np.asarray(self.true, dtype=np.float64)
        found = calibration.calibration(error.ravel(), np.asarray(self.sigma, dtype=np.float64).ravel())
        held = {level: float(np.mean(inside)) for level, inside in self.inside.items()}
        return {"calibration": None if found is None else found.to_json(), "intervals": held}

    def draw(self, paths: Sequence[Path], title: str) -> None:
        """Draw predicted against true values, or the table of true and predicted classes."""
        found = self.errors()
        if isinstance(found, metrics.ClassErrors):
            plots.confusion(paths, self.quantity, found, title=title)
        elif found is not None:
            true = np.asarray(self.true)
            value = np.asarray(self.value, dtype=np.float64)
            plots.parity(paths, self.shown_as, true, value, mae=found.mae, title=title)

    def more(self) -> dict[str, Any]:
        """Errors of site values by crystal and by element, for JSON; empty for others."""
        if not self.by_element or not self.true:
            return {}
        numbers, true, value = np.array(self.numbers), np.array(self.true), np.array(self.value, dtype=np.float64)
        rows = site_errors.by_element(numbers, value, true, np.ones(len(true), dtype=np.bool_), frozenset(self.numbers))
        for row in rows.values():
            del row["in_training"]
        return {"macro_mae": float(np.mean(self.mae_of_crystals)), "by_element": rows}

    def draw_elements(self, folder: Path, stem: str, title: str, pictures: str) -> Sequence[Path]:
        """Draw site values element by element; the paths, none for others."""
        if not self.by_element or not self.true:
            return []
        sites = (np.array(self.numbers), np.array(self.true), np.array(self.value, dtype=np.float64))
        return site_plots.draw(folder, stem, self.quantity, sites, title=title, pictures=pictures)
