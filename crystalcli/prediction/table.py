"""Predictions as a table for people on a terminal: each value with as many digits as its σ is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10

import numpy as np

from crystalcli.engine.model.sigma_fit import UNCALIBRATED
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.texts import inert

FIRST = 200
"""Rows whose lengths decide how wide columns are; what comes later follows them."""
DECIMALS = 4
"""Of a value without σ."""


class Table:
    """Rows as lines: id, values with their units, σ, and why a value is an extrapolation.

    Args:
        quantities: what the model predicts, one number or class per structure each; see :func:`fits`.
        calibrations: how the σ of each was calibrated.
    """

    def __init__(self, quantities: Sequence[Quantity], calibrations: Mapping[str, str]) -> None:
        self.quantities, self.calibrations = quantities, calibrations
        self.waiting: list[tuple[list[str], str]] = []
        self.widths: list[int] | None = None
        self.head: list[str] = []

    def text(self, row: Row) -> str:
        """Lines that can be written now that this row is known."""
        if not self.head:
            self.head = self._header(row)
        self.waiting.append((self._cells(row), _flag(row)))
        return self.end() if self.widths is not None or len(self.waiting) >= FIRST else ""

    def end(self) -> str:
        """Lines that are still to be written."""
        lines, waiting = [], self.waiting
        if self.widths is None and waiting:
            cells = [self.head, *(found for found, _ in waiting)]
            self.widths = [max(len(row[k]) for row in cells) for k in range(len(self.head))]
            lines.append(self._line(self.head, ""))
        lines += [self._line(cells, flag) for cells, flag in waiting]
        self.waiting = []
        return "".join(lines)

    def _line(self, cells: Sequence[str], flag: str) -> str:
        assert self.widths is not None
        first, *rest = (
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(cells, self.widths, strict=True))
        )
        return "  ".join([first, *rest, flag]).rstrip() + "\n"

    def _header(self, row: Row) -> list[str]:
        cells = ["id"]
        for q in self.quantities:
            cells.append(q.name + (f" [{q.unit}]" if q.unit else ""))
            if q.name in row.uncertainties or q.classes:
                cells.append(_name_of_sigma(q, self.calibrations.get(q.name, "")))
        return cells

    def _cells(self, row: Row) -> list[str]:
        cells = [inert(row.id)]
        for q in self.quantities:
            value = np.asarray(row.values[q.name], dtype=np.float64)
            if q.classes:
                cells += [q.words[int(value.argmax())], f"{float(value.max()):.2f}"]
                continue
            sigma = row.uncertainties.get(q.name, {}).get("sigma")
            size = None if sigma is None else float(sigma)
            digits = _decimals(size)
            cells += [f"{float(value):.{digits}f}", *([] if size is None else [f"{size:.{digits}f}"])]
        return cells


def fits(quantities: Sequence[Quantity]) -> bool:
    """Whether all are one number or class per structure."""
    return all(q.level == "structure" and not q.shape for q in quantities)


def _name_of_sigma(quantity: Quantity, calibration: str) -> str:
    if quantity.classes:
        return "chance"
    return "σ (uncalibrated)" if calibration == UNCALIBRATED else "σ"


def _decimals(sigma: float | None) -> int:
    """Decimals of a value with this σ: two figures of σ count."""
    if sigma is None or not sigma > 0.0:
        return DECIMALS
    return min(max(1 - floor(log10(sigma)), 0), 12)


def _flag(row: Row) -> str:
    return f"! {inert(row.extrapolating)}" if row.extrapolating else ""
