"""Pictures of glasses: log and g(r) of a run (Fig. 2 of Aykol et al.), energies by composition (Fig. 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from crystal_glass.melting import Melted
from crystal_glass.transition import Ramp
from crystal_glass.volumes import Phase
from crystalcli.contracts.drawing import BLUE, COLOURS, GREY, ORANGE, blank, canvas, rendered
from crystalcli.nouns.distributions import PairDistribution

SHADES = {"melt": "#D55E00", "quench": "#E69F00", "glass": "#0072B2"}
PANELS, ACROSS = 24, 4
"""Systems on one picture, and side by side."""


def draw_log(
    rows: np.ndarray, melted: Melted, found: PairDistribution, potential: str, endings: Sequence[str]
) -> dict[str, bytes]:
    """Temperature and energy against time, its stages coloured, and g(r) of the glass, by ending."""
    figure = blank(9.0, 4.6)
    left, right = figure.subfigures(1, 2, width_ratios=[1.45, 1.0])
    above, below = left.subplots(2, 1, sharex=True)
    for axes in (above, below):
        _stages(axes, melted)
    above.plot(rows[:, 1], rows[:, 3], color=BLUE, lw=0.7, label="actual")
    above.plot(rows[:, 1], rows[:, 2], color=GREY, lw=1.1, ls="--", label="target")
    above.set_ylabel("temperature (K)")
    above.legend(frameon=False, fontsize=8)
    below.plot(rows[:, 1], rows[:, 4] / melted.box.atoms, color=BLUE, lw=0.7)
    below.set_ylabel("potential energy (eV/atom)")
    below.set_xlabel("time (ps)")
    below.ticklabel_format(axis="y", useOffset=False)
    below.margins(x=0.0)
    _low(below, rows[:, 4] / melted.box.atoms)
    above.set_title(f"{melted.box.name}, {potential}", fontsize=10)
    _rdf(right.subplots(), found)
    return rendered(figure, endings)


def draw_rdf(found: PairDistribution, title: str, potential: str, endings: Sequence[str]) -> dict[str, bytes]:
    """Total and partial g(r)."""
    figure, axes = canvas(6.0, 3.8)
    _rdf(axes, found)
    axes.set_title(f"{title}, {potential}", fontsize=10)
    return rendered(figure, endings)


def draw_ramp(ramp: Ramp, found: Mapping[str, Any], title: str, endings: Sequence[str]) -> dict[str, bytes]:
    """Enthalpy, and volume where it may change, against the temperature of the ramp, with the two lines of a kink."""
    curves = {"enthalpy": (ramp.enthalpy, "enthalpy, not kinetic (eV/atom)")}
    if ramp.volume is not None:
        curves["volume"] = (ramp.volume, "volume (Å³/atom)")
    figure = blank(4.8 * len(curves), 3.6)
    for axes, (name, (y, label)) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        axes.plot(ramp.kelvin, y, "o", ms=3, mew=0, color=BLUE)
        one = found[name]
        if "kelvin" in one:
            ends = np.array([ramp.kelvin.min(), one["kelvin"], ramp.kelvin.max()])
            slopes = np.array([one["glass"], 0.0, one["liquid"]])
            axes.plot(ends, one["level"] + slopes * (ends - one["kelvin"]), "-", lw=1, color=ORANGE)
            axes.axvspan(one["kelvin"] - one["error"], one["kelvin"] + one["error"], color=GREY, alpha=0.3, lw=0)
            axes.set_title(f"{title}: {one['kelvin']:.0f} ± {one['error']:.0f} K", fontsize=10)
        else:
            axes.set_title(f"{title}: no kink", fontsize=10)
        axes.set_xlabel("temperature (K)")
        axes.set_ylabel(label)
        axes.ticklabel_format(axis="y", useOffset=False)
    return rendered(figure, endings)


def draw_equation(
    equation: Mapping[str, Any], curve: Callable[[np.ndarray], np.ndarray], title: str, endings: Sequence[str]
) -> dict[str, bytes]:
    """Pressures of the runs of ``--volume eos`` with their standard errors, hollow where not used, and the curve."""
    figure, axes = canvas(5.2, 3.8)
    points = equation["points"]
    axes.axhline(0.0, color=GREY, lw=0.8, ls=":")
    for p in points:
        fill = BLUE if p["used"] else "none"
        axes.errorbar(p["volume"], p["pressure"], p["error"], fmt="o", ms=4, mfc=fill, mec=BLUE, ecolor=BLUE, lw=0.9)
    fit = equation["fit"]
    if fit is not None:
        used = [p["volume"] for p in points if p["used"]]
        grid = np.linspace(min(used), max(used), 200)
        axes.plot(grid, curve(grid), "-", lw=1.1, color=ORANGE)
        axes.axvspan(fit["volume"] - fit["error"], fit["volume"] + fit["error"], color=GREY, alpha=0.3, lw=0)
        title = f"{title}: {fit['volume']:.2f} ± {fit['error']:.2f} Å³/atom at {equation['temperature']:g} K"
    else:
        title = f"{title}: no equation of state at {equation['temperature']:g} K"
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("volume (Å³/atom)")
    axes.set_ylabel("pressure (GPa)")
    return rendered(figure, endings)


def binaries(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Systems of two elements that have glasses at two compositions or more, with formation energies."""
    seen: dict[tuple[str, str], set[float]] = {}
    for row in rows:
        counts = row["counts"]
        if row.get("formation_energy") is not None and len(counts) == 2:
            a, b = sorted(counts)
            seen.setdefault((a, b), set()).add(counts[b] / row["atoms"])
    return [pair for pair, shares in seen.items() if len(shares) > 1]


def draw_diagrams(
    rows: Sequence[Mapping[str, Any]],
    pairs: Sequence[tuple[str, str]],
    phases: Sequence[Phase],
    others: Mapping[str, float],
    endings: Sequence[str],
) -> dict[str, bytes]:
    """Formation energies of the glasses of ``pairs`` by composition.

    Every box, their means, the crystals' hull, and what another theory says of a box (``others``, by its name).
    """
    across = min(ACROSS, len(pairs))
    down = -(-len(pairs) // across)
    figure = blank(max(4.6, 2.9 * across), 0.5 + 2.5 * down)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(pairs) :]:
        axes.set_visible(False)
    for (a, b), axes in zip(pairs, grid.flat, strict=False):
        points = _points(rows, a, b)
        axes.axhline(0.0, color=GREY, lw=0.8, ls=":")
        axes.plot(points[:, 0], points[:, 1], "o", ms=4, mew=0, alpha=0.6, color=ORANGE, label="glasses")
        x = np.unique(points[:, 0])
        axes.plot(x, [points[points[:, 0] == v, 1].mean() for v in x], "-", lw=1, color=ORANGE)
        theirs = [(r["counts"].get(b, 0) / r["atoms"], others[r["id"]]) for r in _of(rows, a, b) if r["id"] in others]
        if theirs:
            x, y = np.array(theirs).T
            axes.plot(x, y, "o", ms=5, mfc="none", mec=BLUE, mew=0.9, label="reference")
        hull = _crystals(phases, a, b)
        if len(hull):
            axes.plot(hull[:, 0], hull[:, 1], "-s", ms=3.5, lw=1, color="black", label="crystals")
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(f"x in {a}(1-x){b}(x)", fontsize=9)
        axes.set_title(f"{a}-{b}", fontsize=10)
        axes.ticklabel_format(axis="y", useOffset=False)
    for axes in grid[:, 0]:
        axes.set_ylabel("formation energy\n(eV/atom)", fontsize=9)
    grid.flat[0].legend(frameon=False, fontsize=8)
    return rendered(figure, endings)


def _points(rows: Sequence[Mapping[str, Any]], a: str, b: str) -> np.ndarray:
    some = _of(rows, a, b)
    return np.array(sorted((r["counts"].get(b, 0) / r["atoms"], r["formation_energy"]) for r in some))


def _of(rows: Sequence[Mapping[str, Any]], a: str, b: str) -> list[Mapping[str, Any]]:
    return [r for r in rows if set(r["counts"]) <= {a, b} and r.get("formation_energy") is not None]


def _crystals(phases: Sequence[Phase], a: str, b: str) -> np.ndarray:
    """Lower hull of the phases of two elements, (x, eV/atom) from their own elements; empty without both of these."""
    mine = [(p, p.energy) for p in phases if set(p.fractions) <= {a, b} and p.energy is not None]
    ends = {s: min((e for p, e in mine if set(p.fractions) == {s}), default=None) for s in (a, b)}
    first, last = ends[a], ends[b]
    if first is None or last is None:
        return np.zeros((0, 2))
    x = np.array([p.fractions.get(b, 0.0) for p, _ in mine])
    y = np.array([e for _, e in mine]) - (1 - x) * first - x * last
    kept = sorted({(float(u), float(v)) for u, v in zip(x, y, strict=True) if v <= 1e-12})
    lower = [
        (u, v)
        for u, v in kept
        if not any(
            v > p[1] + (q[1] - p[1]) * (u - p[0]) / (q[0] - p[0]) + 1e-12
            for p, q in combinations(kept, 2)
            if p[0] <= u <= q[0] and p[0] < q[0]
        )
    ]
    return np.array(lower)


def _stages(axes: Any, melted: Melted) -> None:
    time, fallen = 0.0, False
    for stage in melted.stages:
        falls = stage.end < stage.start
        kind = "quench" if falls else "glass" if fallen else "melt"
        axes.axvspan(time, time + stage.picoseconds, color=SHADES[kind], alpha=0.13, lw=0)
        time, fallen = time + stage.picoseconds, fallen or falls


def _low(axes: Any, energies: np.ndarray) -> None:
    """Leave out what the first moments of a packed box are above all the rest."""
    rest = energies[len(energies) // 50 + 1 :]
    if len(rest) > 2 and float(np.ptp(rest)) > 0:
        axes.set_ylim(rest.min() - 0.05 * np.ptp(rest), rest.max() + 0.1 * np.ptp(rest))


def _rdf(axes: Any, found: PairDistribution) -> None:
    axes.axhline(1.0, color=GREY, lw=0.8, ls=":")
    partial = {"-".join(p): g for p, g in found.partial.items()} if len(found.partial) > 1 else {}
    for k, (name, g) in enumerate({"total": found.total, **partial}.items()):
        axes.plot(found.r, g, color=COLOURS[k % len(COLOURS)], lw=1.3, label=name)
    axes.set_xlabel("r (Å)")
    axes.set_ylabel("g(r)")
    axes.set_ylim(bottom=0.0)
    axes.margins(x=0.0)
    if partial:
        axes.legend(frameon=False, fontsize=8)
