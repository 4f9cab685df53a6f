"""Numbers and rows in Markdown."""

from __future__ import annotations

import numpy as np

DASH = "–"


def number(values: list[float], *, signed: bool = False) -> str:
    """Three digits; mean ± deviation of several."""
    if not values:
        return DASH
    mean = float(np.mean(values))
    digits = 0 if abs(mean) >= 100 else 1 if abs(mean) >= 10 else 2 if abs(mean) >= 1 else 3
    text = f"{mean:{'+' if signed else ''}.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {np.std(values, ddof=1):.{digits}f}"


def line(cells: list[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(cells) + " |"


def rule(texts: int, numbers: int) -> str:
    """What stands below the head of a table: columns of text, then of numbers."""
    return "|" + "---|" * texts + "---:|" * numbers
