"""Progress on a terminal: a bar for each level of what is under way, the whole first, with the time left."""

from __future__ import annotations

import time
from typing import Any

from crystalcli.contracts.host import Level
from crystalcli.engine.run.progress import Forecast, share, spoken, whole

EVERY = 0.1
"""Seconds between two looks; a step of a small network takes less."""
WIDE = 60
"""Characters of a name that are shown."""


class Bars:
    """Bars below what is printed to ``console``; they are gone when it ends.

    The first call begins: before it, this process has one thread and may be forked.
    """

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        now = TextColumn("{task.description}", markup=False)
        more = TextColumn("{task.fields[more]}", markup=False)
        self.bar = Progress(now, BarColumn(24), more, console=console, transient=True)
        self.forecast = Forecast()
        self.tasks: list[Any] = []
        self.known: list[bool] = []
        self.begun, self.last = time.monotonic(), -EVERY

    def hear(self, levels: tuple[Level, ...]) -> None:
        """Draw them."""
        left = self.forecast.seconds_left(levels)
        if time.monotonic() - self.last < EVERY:
            return
        self.last = time.monotonic()
        self.bar.start()
        self._shape([share(levels[k:]) is not None for k in range(len(levels))])
        of = whole(levels)
        for k, (task, level) in enumerate(zip(self.tasks, levels, strict=True)):
            done = share(levels[k:])
            more = [] if done is None else [f"{done:4.0%}"]
            if k == of and left is not None:
                more.append(f"about {spoken(left)} left")
            elif k == 0:
                more.append(f"{spoken(time.monotonic() - self.begun)} so far")
            indented = "  " * k + (level.now if len(level.now) <= WIDE else level.now[: WIDE - 1] + "…")
            self.bar.update(task, description=indented, more=", ".join(more), completed=done or 0.0)

    def _shape(self, known: list[bool]) -> None:
        """A bar for each level; a pulsing one, which Rich makes no other of, where nobody knows of how much it is."""
        if known == self.known:
            return
        for task in self.tasks:
            self.bar.remove_task(task)
        self.tasks = [self.bar.add_task("", total=1.0 if one else None, more="") for one in known]
        self.known = known

    def stop(self) -> None:
        """Remove them."""
        self.bar.stop()
