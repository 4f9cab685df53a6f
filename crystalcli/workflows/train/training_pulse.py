"""A line every minute about a series of runs: which one, which epoch, how much time is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from crystalcli.workflows.hearing import Listener

SILENCE = 60.0
"""Seconds between two lines."""


def with_pulse(listener: Listener, name: str = "", clock: Callable[[], float] = time.monotonic) -> Listener:
    """``listener``, which also says once a minute how far the runs of an ensemble or a series are.

    Args:
        listener: hears of the runs.
        name: of the series, before every line.
        clock: seconds.
    """
    pulse = _Pulse(listener.say, f"{name}: " if name else "", clock)
    return replace(listener, step=pulse.step, run=pulse.run)


class _Pulse:
    def __init__(self, say: Callable[[str], None], name: str, clock: Callable[[], float]) -> None:
        self.say, self.name, self.clock = say, name, clock
        self.number = self.of = self.epochs = 0
        self.first: tuple[float, float] | None = None
        self.last = clock()

    def run(self, number: int, of: int, epochs: int) -> None:
        """A run begins; where it is the first of its series, so does the estimate."""
        if of != self.of or number <= self.number:
            self.first = None
        self.number, self.of, self.epochs = number, of, epochs

    def step(self, epoch: int, done: int, total: int) -> None:
        """A batch is done."""
        if self.of < 2 or not self.epochs:
            return
        now = self.clock()
        share = (self.number - 1 + (epoch - 1 + done / total) / self.epochs) / self.of
        self.first = self.first or (now, share)  # not the start: finished runs of one that goes on took no time now
        if now - self.last < SILENCE:
            return
        self.last = now
        since, before = self.first
        left = f", about {_spoken((1.0 - share) * (now - since) / (share - before))} left" if share > before else ""
        self.say(f"{self.name}run {self.number} of {self.of}, epoch {epoch} of {self.epochs}{left}")


def _spoken(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.1f} h"
