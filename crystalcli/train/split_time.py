"""Blocks of time: which structures are steps of runs, and how runs are cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.data import leaks, split_rules
from crystalcli.engine.data.splits import Fractions, Split
from crystalcli.train.material import Index, Material
from crystalcli.train.options import SplitOptions

RUN_LENGTH, ROUNDS = 20, 10
"""Frames that make a run; repeats of the pattern of time blocks in a ramp."""


def steps(material: Material) -> NDArray[np.bool_]:
    """Whether each usable structure is a step of a run that is long enough to be cut."""
    run, _ = material.series
    return np.asarray(np.bincount(run)[run] >= RUN_LENGTH)


def blocks(material: Material, wish: SplitOptions, fractions: Fractions, cut: NDArray[np.bool_], why: str) -> Split:
    """Cut runs into blocks; whole files are runs where that is wished and few structures continue each other.

    Args:
        material: the data.
        wish: gap and rounds.
        fractions: shares of every run.
        cut: which of the usable structures are cut; the others are in no part.
        why: in words.
    """
    run, frame = material.series
    if not np.array_equal(cut, cut & steps(material)):
        names, frame = material.data.runs()
        run, frame = leaks.numbered(names)[material.usable], frame[material.usable]
    run, frame, usable = run[cut], frame[cut], material.usable[cut]
    series = [material.values[usable[run == r][np.argsort(frame[run == r])]] for r in np.unique(run)]
    ramp = any(abs(_trend(s)) > 0.5 for s in series)
    shortest = min(len(s) for s in series)
    rounds = wish.rounds or (max(1, min(ROUNDS, shortest // RUN_LENGTH)) if ramp else 1)
    gap = wish.gap if wish.gap >= 0 else max(1, min(max(memory(s) for s in series), shortest // rounds // 20))
    made = split_rules.time_blocks(usable, run, frame, fractions, gap=gap, rounds=rounds)
    why += " and the label drifts with time" if ramp and not wish.rounds else ""
    return Split(made.train, made.val, made.test, made.how + why)


def together(material: Material, index: Index) -> Index:
    """A number for each of the usable structures ``index``, the same for copies and for steps of one short run."""
    copies = leaks.shapes(material.data, index)[index]
    run = material.series[0][np.isin(material.usable, index)]
    short = np.bincount(run)[run] > 1
    return leaks.numbered(np.where(short, run + copies.max() + 1, copies))


def _trend(series: NDArray[np.float64]) -> float:
    if len(series) < 3 or np.ptp(series) == 0 or not np.isfinite(series).all():
        return 0.0
    return float(np.corrcoef(np.arange(len(series)), series)[0, 1])


def memory(series: NDArray[np.float64]) -> int:
    """Lag in frames at which the autocorrelation of ``series``, freed of its linear trend, falls below 0.1."""
    n = len(series)
    if n < 4 or not np.isfinite(series).all():
        return 1
    time = np.arange(n)
    rest = series - np.polyval(np.polyfit(time, series, 1), time)
    power = np.abs(np.fft.rfft(rest, 2 * n)) ** 2
    correlation = np.fft.irfft(power)[:n]
    if correlation[0] <= 0:
        return 1
    below = np.flatnonzero(correlation / correlation[0] < 0.1)
    return int(below[0]) if len(below) else n
