"""The glass transition: where the enthalpy or the volume of a box that cools bends, as two lines that meet.

Against the temperature of the ramp, in bins: a line y = a + b T, and two lines that meet at T_g,
y = a + b (T − T_g) + c max(T − T_g, 0) with b of the glass and b + c of the liquid, by least squares for every T_g, the
residuals weighted with 1/T: a fluctuation of the energy is T √(k_B C). Two lines follow noise and any bend: a kink is
one only if two lines are so much better than one as they are for one curve in a hundred of a straight line with the
same correlated noise, and better than a parabola (Schwarz's criterion, Ann. Stat. 6, 461 (1978)), if the liquid has
the larger slope, and if the place with its error is within those that were tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystal_glass.stages import Stage
from crystalcli.vocabulary.units import GPA

Floats = NDArray[np.float64]
BINS, FEWEST, ROWS = 40, 12, 3
"""Bins of a ramp at most and at least; rows of the log in one at least."""
EDGE = 0.12
"""Part of the ramp at each end in which no kink is looked for: a line needs points."""
PLACES = 161
"""Temperatures that are tried."""
DRAWS, RARE = 400, 0.01
"""Straight lines with noise that two lines are fitted to, and the part of them that may look as bent."""
ENOUGH = 100
"""Of these lines for a mean."""


@dataclass(frozen=True)
class Ramp:
    """What is seen of the longest stage that cools, in bins.

    Args:
        kelvin: (B,) middles. enthalpy: (B,) eV/atom, less what is kinetic: of a box of fixed size its potential energy.
        volume: (B,) Å³/atom, where the box may change; else none.
    """

    kelvin: Floats
    enthalpy: Floats
    volume: Floats | None


@dataclass(frozen=True)
class Kink:
    """Two lines: K and its standard error, slopes of glass and liquid, y where they meet, chance of one line."""

    kelvin: float
    error: float
    glass: float
    liquid: float
    level: float
    chance: float


def ramp_of(rows: Floats, stages: Sequence[Stage], atoms: int) -> Ramp | None:
    """The longest stage that cools, of a log of :func:`.melting.log_of`; none where it is too short."""
    falls = [s for s in stages if s.end < s.start]
    if not falls:
        return None
    stage = max(falls, key=lambda s: s.picoseconds)
    begin = sum(s.picoseconds for s in stages[: list(stages).index(stage)])
    mine = rows[(rows[:, 1] > begin + 1e-9) & (rows[:, 1] <= begin + stage.picoseconds + 1e-9)]
    bins = min(BINS, len(mine) // ROWS)
    if bins < FEWEST:
        return None
    parts = np.array_split(mine, bins)
    seen = np.array([p[:, [2, 4, 9]].mean(0) for p in parts])
    work = 0.0 if stage.pressure is None else stage.pressure * GPA
    moves = bool(np.ptp(mine[:, 9]) > 1e-9)
    enthalpy = (seen[:, 1] + (work * seen[:, 2] if moves else 0.0)) / atoms
    return Ramp(seen[:, 0], enthalpy, seen[:, 2] / atoms if moves else None)


def kink(kelvin: Floats, values: Floats) -> Kink | str:
    """Where the lines meet, or why there is no kink, in words."""
    order = np.argsort(kelvin)
    x, y = kelvin[order], values[order] - values.mean()
    weights = x.mean() / x
    y = y * weights
    places = np.linspace(x[0] + EDGE * (x[-1] - x[0]), x[-1] - EDGE * (x[-1] - x[0]), PLACES)
    lines = [weights[:, None] * _two_lines(x, place) for place in places]
    bases = np.stack([np.linalg.qr(a)[0] for a in lines])
    powers = weights[:, None] * np.stack([np.ones_like(x), x - x.mean(), (x - x.mean()) ** 2], 1)
    straight, bent = np.linalg.qr(powers[:, :2])[0], np.linalg.qr(powers)[0]
    two = _rests(bases, y[None])[0]
    best = int(two.argmin())
    one, parabola, least = _rests(straight[None], y[None])[0, 0], _rests(bent[None], y[None])[0, 0], two[best]
    if one <= 1e-20 * float((values * values).sum()):
        return "a straight line goes through all points"
    found, *_ = np.linalg.lstsq(lines[best], y, rcond=None)
    rho = _correlation(y - lines[best] @ found, bases)
    noise = _noise(len(x), rho)
    gains = _rests(straight[None], noise)[:, 0] / _rests(bases, noise).min(1)
    chance = float((1 + (gains >= one / max(least, 1e-300)).sum()) / (1 + DRAWS))
    if chance > RARE:
        return f"two lines are no better than one: {100 * chance:.0f} % of straight lines with such noise bend as much"
    if len(x) * np.log(max(least, 1e-300) / parabola) + np.log(len(x)) >= 0.0:  # it has a number more than the parabola
        return "it bends all along, and a parabola is better than two lines"
    if found[2] <= 0.0:
        return "the slope of the liquid is the smaller one"
    # rests that one place more or less explains, in units of the noise of independent points
    limit = least * (1.0 + (1.0 + rho) / (1.0 - rho) / (len(x) - 4))
    inside = places[two <= limit]
    if inside[0] == places[0] or inside[-1] == places[-1]:  # lines that meet beyond would be told to meet there
        low, high = (f"{x:.0f}" for x in places[[0, -1]])
        return f"it bends too near an end of the ramp, or beyond: looked for between {low} and {high} K"
    error = 0.5 * float(inside[-1] - inside[0] + places[1] - places[0])
    glass, liquid = float(found[1]), float(found[1] + found[2])
    return Kink(float(places[best]), error, glass, liquid, float(found[0] + values.mean()), chance)


def said_of(rows: Floats, stages: Sequence[Stage], atoms: int) -> tuple[dict[str, Any], Ramp | None]:
    """What is known of the transition, by quantity: its kink, or why there is none; and the ramp."""
    ramp = ramp_of(rows, stages, atoms)
    if ramp is None:
        return {}, None
    curves = {"enthalpy": ramp.enthalpy} | ({} if ramp.volume is None else {"volume": ramp.volume})
    found = {name: kink(ramp.kelvin, y) for name, y in curves.items()}
    return {n: {"none": k} if isinstance(k, str) else asdict(k) for n, k in found.items()}, ramp


def _two_lines(x: Floats, place: float) -> Floats:
    return np.stack([np.ones_like(x), x - place, np.maximum(x - place, 0.0)], 1)


def _rests(bases: Floats, values: Floats) -> Floats:
    """(K, P): squares that P orthonormal bases, (P, B, k), leave of K curves, (K, B)."""
    parts = (values @ bases.transpose(1, 0, 2).reshape(values.shape[1], -1)).reshape(len(values), len(bases), -1)
    rests: Floats = np.maximum((values * values).sum(1)[:, None] - (parts * parts).sum(2), 0.0)
    return rests


def _correlation(rest: Floats, bases: Floats) -> float:
    """Of neighbors in a row of the noise, 0 to 0.9, if two lines through it left ``rest``.

    What lines leave correlates less than what they went through, the less the fewer points there are. So it is that
    correlation whose noise leaves on average what is seen.
    """
    known = np.linspace(0.0, 0.9, 10)
    seen = [_left(_noise(len(rest), rho)[:ENOUGH], bases) for rho in known]
    return float(np.interp(_neighbors(rest[None])[0], np.maximum.accumulate(seen), known))


def _left(noise: Floats, bases: Floats) -> float:
    """Mean correlation of neighbors in what the best two of P lines leave of (K, B) curves of noise."""
    best = bases[_rests(bases, noise).argmin(1)]
    rests = noise - np.einsum("nbk,nk->nb", best, np.einsum("nbk,nb->nk", best, noise))
    return float(_neighbors(rests).mean())


def _neighbors(rests: Floats) -> Floats:
    """(K,) correlations of neighbors in (K, B) rows; 0 where nothing is left."""
    whole = (rests * rests).sum(1)
    found: Floats = (rests[:, 1:] * rests[:, :-1]).sum(1) / np.maximum(whole, 1e-300)
    return found


def _noise(count: int, rho: float) -> Floats:
    """(DRAWS, count) of noise whose neighbors correlate by ``rho``; always the same."""
    fresh = np.random.default_rng(0).normal(size=(DRAWS, count))
    out = fresh.copy()
    for k in range(1, count):
        out[:, k] = rho * out[:, k - 1] + np.sqrt(1.0 - rho * rho) * fresh[:, k]
    return out
