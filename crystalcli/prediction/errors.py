"""Predictions beside labels: errors, what σ was worth, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts.counting import Counted
from crystalcli.contracts.modules import Labels, Prediction
from crystalcli.engine.drawing import plots, site_plots
from crystalcli.engine.evaluate import calibration, evaluation, metrics, site_errors
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import collate
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.quantities import Quantity


@dataclass
class Compared:
    """Predictions beside labels, collected while rows go by; numbers only, no structures. Totals are compared per atom.

    Args:
        quantity: as predicted. head: of the model, which may say how errors are counted.
    """

    quantity: Quantity
    head: Any = None
    value: list[Any] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    mae_of_crystals: list[float] = field(default_factory=list)
    sigma: list[Any] = field(default_factory=list)
    inside: dict[str, list[bool]] = field(default_factory=dict)
    counted: Counted | None = None
    start: list[float] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take in one row if it has a label."""
        name = self.quantity.name
        if name not in row.labels:
            return
        value = np.asarray(row.values[name], dtype=np.float64)
        true = np.asarray(row.labels[name], dtype=np.float64)
        if self.quantity.classes:
            self.value.append(value)
            self.true.append(float(true))
            return
        size = len(row.atoms) if self.quantity.extensive and self.quantity.level == "structure" else 1
        true, self.counted = nearest(self.head, self.quantity, row)
        known = np.isfinite(true) & np.isfinite(value)
        if self.counted is not None:  # a vector counts as a whole, or not at all
            known = np.broadcast_to(known.all(-1, keepdims=True), known.shape) if true.ndim > 1 else known
        self.value.extend(value[known] / size)
        self.true.extend(true[known] / size)
        if self.quantity.meaning == "position":
            self.start.extend(row.atoms.positions[known])
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
        value, true = np.asarray(self.value, dtype=np.float64), np.asarray(self.true, dtype=np.float64)
        if self.quantity.classes:
            return metrics.classification(value, true)
        if self.counted is None:
            return metrics.regression(value, true)
        shape = (-1, *self.quantity.shape)
        return evaluation.compared(value.reshape(shape), true.reshape(shape), self.counted)

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
            true, value, shown = np.asarray(self.true), np.asarray(self.value, dtype=np.float64), self.shown_as
            if self.start:  # of places what atoms are moved by
                true, value = true - np.asarray(self.start), value - np.asarray(self.start)
                shown = replace(shown, name=f"displacement to {shown.name}")
            words = (found.word, "mean predictor")
            plots.parity(paths, shown, true, value, mae=found.mae, title=title, words=words, unit=found.unit)

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


def nearest(head: Any, quantity: Quantity, row: Row) -> tuple[NDArray[np.float64], Counted | None]:
    """The label of ``row`` that is nearest to its prediction (of what has a period), and how its errors are counted.

    What has no label (where held atoms stay is none) is no number.
    """
    true = np.asarray(row.labels[quantity.name], dtype=np.float64)
    if quantity.meaning != "position" and not hasattr(head, "errors"):
        return true, None
    alone = quantity.level == "structure"
    value = torch.as_tensor(np.asarray(row.values[quantity.name], dtype=np.float64))
    label = torch.as_tensor(true)
    value, label = (value[None], label[None]) if alone else (value, label)
    atoms = row.atoms
    graph = collate(
        [
            GraphArrays(
                np.asarray(atoms.positions, dtype=np.float64),
                np.asarray(atoms.cell.array, dtype=np.float64),
                np.asarray(atoms.pbc, dtype=bool),
                np.asarray(atoms.numbers, dtype=np.int64),
                np.zeros((2, 0), dtype=np.int64),
                np.zeros((0, 3), dtype=np.int64),
                fields={n: np.asarray(v, dtype=np.float64) for n, v in row.fields.items()},
            )
        ],
        torch.float64,
    )
    mask = torch.isfinite(label.reshape(len(label), -1)).all(1)
    name = quantity.name
    with torch.no_grad():
        found = evaluation.counted_by(head, {name: Prediction(value, quantity)}, {name: Labels(label, mask)}, graph)
    how = found.get(name)
    if how is None:
        return true, None
    shape = [-1] + [1] * (value.ndim - 1)
    near = torch.where(mask.reshape(shape), value - how.difference, torch.full_like(value, torch.nan)).numpy()
    return (near[0] if alone else near), how
