"""``--volume eos``: how large the box would be at no pressure, from short runs at several volumes.

At each volume a box of the composition is packed, melted at fixed volume, and its mean pressure taken over the second
half of the run. The energy of Birch and Murnaghan is a polynomial in V^(−2/3) (F. Birch, Phys. Rev. 71, 809 (1947),
third order), so that their pressure is linear in what is to be found::

    P(V) V = Σ_{k=1..3} (2k/3) c_k (V₁/V)^{2k/3}

It is fitted by least squares to the runs around it, and V₀ is where it falls through zero. Pressures are fitted
and never energies, whose minimum at a temperature is not where the pressure vanishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystal_glass.boxes import Box
from crystal_glass.melting import Melted, Melting, at_fixed_volume, log_of
from crystal_glass.options import GlassOptions
from crystal_glass.stages import Stage
from crystal_glass.volumes import Volume
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.units import GPA

Floats = NDArray[np.float64]
SPAN = 0.15
"""The volumes reach so far, as a part of the middle one, to both sides; so far, too, reach the points of a fit."""
FURTHER = 3
"""Volumes that are tried beyond the last, one after the other, where a sign of the pressure has too few."""
EACH = 2
"""Points of each sign: a liquid that is pulled too far has holes, and its pressure is no curve of a liquid."""
FEWEST = 3
"""Points that a curve of three numbers needs."""
TRUSTED = 0.05
"""A volume whose standard error is a larger part of it is none."""
BLOCKS = 5
"""Of the second half of a run, for the standard error of its mean pressure."""


@dataclass(frozen=True)
class Point:
    """One run: Å³/atom, GPa and its standard error, eV/atom."""

    volume: float
    pressure: float
    error: float
    energy: float


@dataclass(frozen=True)
class Curve:
    """What points say: V₀ and its standard error (Å³/atom), bulk modulus there and rms of the rest (GPa).

    The rest is none where there are as many points as numbers to be found.
    """

    volume: float
    error: float
    bulk_modulus: float
    rest: float | None


def around(points: Sequence[Point]) -> list[Point]:
    """Those of the points, which are in order of volume, that lie around the fall of the pressure through zero.

    They are nearer than :data:`SPAN`, or the four nearest; all of them where the pressure never falls through zero.
    """
    for one, other in pairwise(points):
        if one.pressure > 0.0 >= other.pressure:
            share = one.pressure / (one.pressure - other.pressure)
            place = one.volume + share * (other.volume - one.volume)
            by_distance = sorted(points, key=lambda p: abs(p.volume - place))
            kept = by_distance[:4] + [p for p in by_distance[4:] if abs(p.volume - place) <= SPAN * place]
            return sorted(kept, key=lambda p: p.volume)
    return list(points)


def fitted(points: Sequence[Point]) -> Curve | str:
    """The curve through points, or why there is none, in words."""
    if len(points) < FEWEST:
        return f"{len(points)} of its runs came to an end, and a curve needs {FEWEST}"
    v = np.array([p.volume for p in points])
    p = np.array([p.pressure for p in points]) * GPA
    middle = float(v.mean())
    table = _pressures(v, middle)
    found, *_ = np.linalg.lstsq(table, p, rcond=None)
    grid = np.linspace(v.min(), v.max(), 2001)
    curve = _pressures(grid, middle) @ found
    falls = np.flatnonzero((curve[:-1] >= 0.0) & (curve[1:] < 0.0))
    if not len(falls):
        where = f"{v.min():.2f} and {v.max():.2f} Å³/atom"
        return (
            f"no volume without pressure between {where}: {p[v.argmin()] / GPA:.2f} and {p[v.argmax()] / GPA:.2f} GPa"
        )
    low, high = grid[falls[0]], grid[falls[0] + 1]
    for _ in range(60):
        half = 0.5 * (low + high)
        low, high = (half, high) if float(_pressures(np.array([half]), middle)[0] @ found) >= 0.0 else (low, half)
    here = _pressures(np.array([low]), middle)[0]
    step = 1e-4 * low
    slope = float((_pressures(np.array([low + step, low - step]), middle) @ found) @ np.array([1.0, -1.0]) / (2 * step))
    free = len(points) - 3
    rest = float(np.sqrt(((p - table @ found) ** 2).sum() / free)) if free else None
    noise = np.maximum(np.array([q.error for q in points]) * GPA, rest or 0.0)
    weights = np.linalg.pinv(table).T @ here  # how V₀'s pressure hangs on that of each point
    error = float(np.sqrt(((weights * noise) ** 2).sum()) / abs(slope))
    if error > TRUSTED * low:
        return f"its volume without pressure, {low:.2f} Å³/atom, has a standard error of {error:.2f}"
    return Curve(float(low), error, -slope * float(low) / GPA, None if rest is None else rest / GPA)


def pressures_at(volumes: Floats, points: Sequence[Mapping[str, Any]]) -> Floats:
    """GPa at ``volumes`` of the curve that :func:`fitted` finds through those of ``points`` that are used."""
    used = [p for p in points if p["used"]]
    v = np.array([p["volume"] for p in used])
    middle = float(v.mean())
    found, *_ = np.linalg.lstsq(_pressures(v, middle), np.array([p["pressure"] for p in used]), rcond=None)
    curve: Floats = _pressures(volumes, middle) @ found
    return curve


def _pressures(v: Floats, middle: float) -> Floats:
    """(V, 3): what c_1, c_2 and c_3 are multiplied with in the pressures at volumes ``v``."""
    y = (middle / v) ** (2.0 / 3.0)
    return np.stack([(2.0 * k / 3.0) * y**k / v for k in (1, 2, 3)], 1)


def beyond(points: Sequence[Point], step: float) -> float | None:
    """The next volume, where fewer than :data:`EACH` pressures have one of the signs; none where all is there.

    The smaller volumes are looked at first: pulled apart, a liquid may have positive pressures again, as a gas.
    """
    if not points:
        return None
    above = sum(p.pressure > 0.0 for p in points)
    if above < EACH:
        return max(min(p.volume for p in points) - step, 0.5 * step)
    return max(p.volume for p in points) + step if len(points) - above < EACH else None


@dataclass(frozen=True)
class Scan:
    """The runs of a composition at several volumes.

    Args:
        request: of ``crystal glass``. temperature: K. run: around it. name: a folder in it. reporter: hears of them.
    """

    request: Request
    temperature: float
    run: Run
    name: str
    reporter: Host

    def of(self, box: Box) -> dict[str, Any]:
        """What is found with the atoms of ``box`` around its volume: the runs, and the curve or why there is none."""
        o: GlassOptions = self.request.options
        middle = box.size / box.atoms
        todo = [float(s) * middle for s in np.linspace(1.0 - SPAN, 1.0 + SPAN, o.eos_volumes)]
        points: list[Point] = []
        for turn in range(FURTHER + 1):
            points = sorted([*points, *self._runs(turn, box, todo)], key=lambda p: p.volume)
            more = beyond(points, 2 * SPAN * middle / (o.eos_volumes - 1)) if len(points) >= FEWEST + turn - 1 else None
            if more is None:
                break
            todo = [more]
        used = around(points)
        curve = fitted(used)
        failed = isinstance(curve, str)
        return {
            "temperature": self.temperature,
            "points": [{**asdict(p), "used": p in used} for p in points],
            "fit": None if isinstance(curve, str) else asdict(curve),
            "failed": curve if failed else None,
        }

    def _runs(self, turn: int, box: Box, volumes: Sequence[float]) -> list[Point]:
        o: GlassOptions = self.request.options
        boxes = [replace(box, name=f"{box.name}-{turn}-{k}", size=v * box.atoms) for k, v in enumerate(volumes)]
        request = at_fixed_volume(self.request, self.reporter)
        stage = Stage(self.temperature, self.temperature, o.eos_steps, o.dt, melt=True)
        melted: list[Melted] = []
        for k in range(0, len(boxes), o.batch_size):
            name = f"{self.name}/{turn}-{k:06d}"
            melted += Melting(request, [stage], self.run, name, self.reporter).of(boxes[k : k + o.batch_size])
        return [_point(m) for m in melted if m.done]


def sized(box: Box, equation: Mapping[str, Any], expand: float) -> Box:
    """The box as large as its composition is at no pressure, by :meth:`Scan.of`; where that failed, as it was."""
    if (why := equation["failed"]) is not None:
        source = f"{box.volume.source}, {expand:g} times; no equation of state: {why}"
        return replace(box, volume=Volume(box.volume.per_atom, source), equation=equation)
    used = sum(p["used"] for p in equation["points"])
    source = f"equation of state at {equation['temperature']:g} K, of {used} runs"
    size = box.atoms * equation["fit"]["volume"]
    return replace(box, size=size, volume=Volume(box.volume.per_atom, source), equation=equation)


def _point(melted: Melted) -> Point:
    """Means over the second half of a run; the error is that of blocks."""
    rows, n = log_of(melted), melted.box.atoms
    half = rows[rows[:, 0] > 0.5 * rows[-1, 0]]
    blocks = [b[:, 8].mean() for b in np.array_split(half, BLOCKS) if len(b)]
    error = float(np.std(blocks, ddof=1) / np.sqrt(len(blocks))) if len(blocks) > 1 else 0.0
    return Point(melted.box.size / n, float(half[:, 8].mean()), error, float(half[:, 4].mean()) / n)
