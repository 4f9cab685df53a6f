"""Plots and structures as plain values that the page's scripts draw: short, and harmless inside a script element."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crystalcli.contracts.sections import Geometry, Plot, Series, Structure, Structures
from crystalcli.contracts.workflow import Table
from crystalcli.vocabulary.texts import inert

MOST_POINTS = 20_000
"""Points of a series that are drawn; of more, evenly chosen ones and those farthest from the diagonal."""
STRUCTURE_BYTES = 2_800_000
"""Of all structures together behind the points of plots; the first named come first."""
PAGE = 25
"""Rows of a long table that are seen together."""


@dataclass
class Packed:
    """What the scripts get.

    Args:
        plots, structures, tables: in the order of their numbers on the page.
        libraries: structures by id, one dictionary for each run.
        used: atomic numbers that occur. bytes: of all structures in the libraries.
    """

    plots: list[dict[str, Any]] = field(default_factory=list)
    structures: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    libraries: list[dict[str, Any]] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    bytes: int = 0

    def plot(self, plot: Plot) -> tuple[int, str]:
        """Its number, and what is said of what was left out."""
        series, left = [], []
        for s in plot.series:
            kept, of = _thinned(s, diagonal=any(g.kind == "diagonal" for g in plot.guides))
            if of > len(kept):
                left.append(f"{len(kept):,} of {of:,} points are drawn" + (f" of {inert(s.name)}" if s.name else ""))
            series.append(_series(s, kept, of))
        made: dict[str, Any] = {
            "title": inert(plot.title), "square": plot.square, "series": series,
            "words": [inert(w) for w in plot.words],
            "guides": [{"kind": g.kind, "at": g.at, "label": inert(g.label)} for g in plot.guides],
            "library": len(self.libraries) - 1,
        }  # fmt: skip
        for name, axis in (("x", plot.x), ("y", plot.y)):
            made[name] = {"label": inert(axis.label), "log": axis.log}
        if plot.corners:
            made["corners"] = [inert(c) for c in plot.corners]
        self.plots.append(made)
        diagonal = any(g.kind == "diagonal" for g in plot.guides)
        why = ", evenly chosen, and those farthest from the diagonal" if diagonal else ", evenly chosen"
        return len(self.plots) - 1, "; ".join(left) + (why if left else "")

    def viewer(self, shown: Structures) -> int:
        """Its number."""
        items = [self._structure(s) for s in shown.shown]
        self.structures.append({"shown": items, "word": inert(shown.frames)})
        return len(self.structures) - 1

    def _structure(self, one: Structure) -> dict[str, Any]:
        frames: list[dict[str, Any]] = []
        for k, geometry in enumerate(one.frames):
            made = self.geometry(geometry)
            if k and made["z"] == frames[0]["z"]:
                del made["z"]
            frames.append(made)
        facts = [[inert(n), inert(v)] for n, v in one.facts]
        return {"id": inert(one.id), "facts": facts, "frames": frames}

    def geometry(self, g: Geometry) -> dict[str, Any]:
        """Positions as 16-bit numbers, to a part in 32,767 of the largest."""
        numbers = np.asarray(g.numbers, dtype=np.uint8)
        positions = np.asarray(g.positions, dtype=np.float64).reshape(-1, 3)
        known = np.where(np.isfinite(positions), positions, 0.0)
        scale = max(float(np.abs(known).max(initial=0.0)) / 32767.0, 1e-6)
        self.used.update(int(z) for z in np.unique(numbers))
        made: dict[str, Any] = {
            "z": _base64(numbers), "r": _base64((known / scale).round().astype("<i2")), "s": _short(scale),
        }  # fmt: skip
        cell = np.asarray(g.cell, dtype=np.float64).reshape(9)
        if np.isfinite(cell).all() and np.any(cell):
            made |= {"c": [_short(v) for v in cell.tolist()], "p": "".join("FT"[bool(p)] for p in g.pbc)}
        else:
            made["p"] = "FFF"
        return made | ({"t": inert(g.said)} if g.said else {})

    def library(self, by_id: Mapping[str, Geometry]) -> tuple[int, int]:
        """How many structures have their place behind the points of plots, of how many."""
        kept = 0
        for one, geometry in by_id.items():
            made = self.geometry(geometry)
            size = len(made["z"]) + len(made["r"]) + 110 + len(one)
            if self.bytes + size > STRUCTURE_BYTES:
                break
            self.bytes += size
            self.libraries[-1][inert(one)] = made
            kept += 1
        return kept, len(by_id)

    def table(self, table: Table, numeric: Sequence[bool]) -> int:
        """Its number; of a table whose rows are seen some at a time."""
        rows = [[inert(str(c)) for c in row] for row in table.rows]
        self.tables.append(
            {"heads": [inert(h) for h in table.heads], "rows": rows, "numeric": list(numeric), "page": PAGE}
        )
        return len(self.tables) - 1

    def text(self) -> str:
        """All as JSON that no parser of HTML takes for anything else."""
        from ase.data import chemical_symbols, covalent_radii
        from ase.data.colors import jmol_colors

        elements = {
            str(z): [chemical_symbols[z], _hex(jmol_colors[z]), round(float(covalent_radii[z]), 2)]
            for z in sorted(self.used)
        }
        data = {
            "plots": self.plots, "structures": self.structures, "tables": self.tables, "libraries": self.libraries,
            "elements": elements,
        }  # fmt: skip
        return harmless(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def harmless(text: str) -> str:
    r"""JSON that may stand in a script element: ``<``, ``>`` and ``&`` as ``\u003c``, ….

    An HTML parser ends a script at ``</script`` and reads ``<!--`` otherwise, whatever the script means by it.
    """
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _thinned(s: Series, *, diagonal: bool) -> tuple[list[int], int]:
    """Indices that are drawn, and how many there are."""
    n = min(len(s.x), len(s.y))
    if n <= MOST_POINTS:
        return list(range(n)), n
    evenly = MOST_POINTS if not diagonal else MOST_POINTS * 9 // 10
    kept = set(np.unique(np.linspace(0, n - 1, evenly).astype(int)).tolist())
    if diagonal:
        far = np.abs(np.asarray(s.x[:n], dtype=np.float64) - np.asarray(s.y[:n], dtype=np.float64))
        order = np.argsort(-np.nan_to_num(far), kind="stable")
        kept.update(order[: MOST_POINTS - len(kept)].tolist())
    return sorted(kept), n


def _series(s: Series, kept: Sequence[int], of: int) -> dict[str, Any]:
    made: dict[str, Any] = {"name": inert(s.name), "kind": s.kind, "x": _column(s.x, kept), "y": _column(s.y, kept)}
    if s.style >= 0:
        made["style"] = s.style
    if s.hollow:
        made["hollow"] = True
    if len(s.low) == of and of and len(s.high) == of:
        made |= {"low": _column(s.low, kept), "high": _column(s.high, kept)}
    if len(s.ids) == of and of:
        made["ids"] = [inert(s.ids[k]) for k in kept]
    notes = {inert(n): [inert(v[k]) for k in kept] for n, v in s.notes.items() if len(v) == of}
    return made | ({"notes": notes} if notes else {})


def _column(values: Sequence[float], kept: Sequence[int]) -> list[float | None] | str:
    chosen = np.asarray(values, dtype=np.float64)[list(kept)] if len(kept) else np.zeros(0)
    if len(chosen) <= 32:
        return [_short(v) if math.isfinite(v) else None for v in chosen.tolist()]
    return _base64(chosen.astype("<f4"))


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def _base64(array: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in colour)
