"""A line every minute about a series of runs: which one, which epoch, how much time is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from crystalcli.contracts.workflow import Reporter

SILENCE = 60.0
"""Seconds between two lines."""
R = TypeVar("R", bound=Reporter)


def with_pulse(reporter: R, name: str = "", clock: Callable[[], float] = time.monotonic) -> R:
    """``reporter``, which also says once a minute how far the runs of an ensemble or a series are; one that does, does.

    Args:
        reporter: hears of the runs.
        name: of the series, before every line.
        clock: seconds.
    """
    if isinstance(getattr(reporter.progress, "__self__", None), _Pulse):
        return reporter
    return replace(reporter, progress=_Pulse(reporter, f"{name}: " if name else "", clock).progress)


class _Pulse:
    def __init__(self, reporter: Reporter, name: str, clock: Callable[[], float]) -> None:
        self.reporter, self.name, self.clock = reporter, name, clock
        self.first: tuple[float, float] | None = None
        self.share = 0.0
        self.last = clock()

    def progress(self, now: str, done: float, of: float | None) -> None:
        """So much is done; where it is less than before, another series has begun, and with it the estimate."""
        self.reporter.progress(now, done, of)
        if not of:
            return
        here, share = self.clock(), done / of
        if self.first is None or share < self.share:
            self.first = (here, share)  # not the start: finished runs of one that goes on took no time now
        self.share = share
        if here - self.last < SILENCE:
            return
        self.last = here
        since, before = self.first
        left = f", about {_spoken((1.0 - share) * (here - since) / (share - before))} left" if share > before else ""
        self.reporter.say(f"{self.name}{now}{left}")


def _spoken(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.1f} h"
