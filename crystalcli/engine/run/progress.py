"""How far a run is and how long it still takes: as a line, as a file for onlookers, for whoever draws bars.

All of it is told as levels, from the whole inwards (:class:`crystalcli.contracts.host.Level`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crystalcli.contracts.host import Level

FILE = "progress.json"
"""In the folder of a run until that is finished."""
EVERY = 5.0
"""Seconds between two writes of it."""
SILENCE = 60.0
"""Seconds between two lines."""

Hear = Callable[[tuple[Level, ...]], None]


def share(levels: Sequence[Level]) -> float | None:
    """How much of the whole is done, 0 to 1; none where nobody knows of how much it is."""
    inside: float | None = 0.0
    for level in reversed(levels):
        inside = min(1.0, (level.done + level.part * (inside or 0.0)) / level.of) if level.of else None
    return inside


def whole(levels: Sequence[Level]) -> int:
    """Number of the first level of which one knows how much it is; of the levels if there is none."""
    return next((k for k, level in enumerate(levels) if level.of), len(levels))


class Forecast:
    """Time left, from how fast it went since this program began with it.

    What a run that goes on had finished before took no time now; and where less is done than before, or something else
    is under way, another part has begun, and with it the estimate.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._of: tuple[str, ...] | None = None
        self._first = (0.0, 0.0)
        self._share = 0.0

    def seconds_left(self, levels: Sequence[Level]) -> float | None:
        """Of the first level that says how much it is; none where that cannot be told yet."""
        k = whole(levels)
        done = share(levels[k:])
        if done is None:
            return None
        of = tuple(level.now for level in levels[:k])
        now = self.clock()
        if of != self._of or done < self._share:
            self._of, self._first = of, (now, done)
        self._share = done
        since, before = self._first
        return (1.0 - done) * (now - since) / (done - before) if done > before else None


def line(levels: Sequence[Level], left: float | None) -> str:
    """``ensemble: run 2 of 5, epoch 3 of 20, about 12 min left``."""
    k = whole(levels)
    said = ", ".join(level.now for level in levels[k:])
    said = ": ".join([*(level.now for level in levels[:k]), *([said] if said else [])])
    return said if left is None else f"{said}, about {spoken(left)} left"


def spoken(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.4 h``, ``2.1 d``."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800.0 else f"{seconds / 86400:.1f} d"


class Pulse:
    """A line a minute.

    Args:
        say: told it.
        clock: seconds.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say, self.clock = say, clock
        self.forecast = Forecast(clock)
        self.last = clock()

    def hear(self, levels: tuple[Level, ...]) -> None:
        """Say how far it is, if it is time."""
        left = self.forecast.seconds_left(levels)
        if self.clock() - self.last < SILENCE:
            return
        self.last = self.clock()
        self.say(line(levels, left))


def beside(output: Path) -> Path:
    """The same file of a command without a run folder: hidden beside what it writes."""
    return output.with_name(f".{output.name[:200]}.{FILE}")


class Notes:
    """What is under way, kept in a file every few seconds: ``crystal status`` reads it from outside.

    Args:
        write: makes the file, whole, of its text; a failure of it costs the run nothing.
        outer: levels around the run, which are none of its own.
        facts: what the file says, beside.
    """

    def __init__(self, write: Callable[[str], None], outer: int = 0, facts: dict[str, Any] | None = None) -> None:
        self.write, self.outer, self.facts = write, outer, facts or {}
        self.forecast = Forecast()
        self.last = time.monotonic()  # a run of some seconds needs no file

    def hear(self, levels: tuple[Level, ...]) -> None:
        """Keep it, if it is time."""
        own = levels[self.outer :]
        left = self.forecast.seconds_left(own)
        if time.monotonic() - self.last < EVERY:
            return
        self.last = time.monotonic()
        told = Told(own, left, datetime.now(UTC).isoformat(timespec="seconds"))
        self.write(json.dumps({**self.facts, **told.to_json()}, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Told:
    """What the file says.

    Args:
        levels: what is under way. left: seconds left, none where unknown. at: when it was written, UTC.
    """

    levels: tuple[Level, ...]
    left: float | None
    at: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        done = share(self.levels)
        left = None if self.left is None else round(self.left, 1)
        levels = [vars(level) for level in self.levels]
        return {"levels": levels, "share": done, "seconds_left": left, "at": self.at}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Told:
        """The inverse of :meth:`to_json`; raises KeyError, TypeError where it is none."""
        return cls(tuple(Level(**level) for level in data["levels"]), data["seconds_left"], data["at"])

    @property
    def text(self) -> str:
        """As a line."""
        return line(self.levels, self.left)

    @property
    def words(self) -> str:
        """The same of one that is over: without the time left."""
        return line(self.levels, None)


def both(one: Hear, two: Hear) -> Hear:
    """Both hear."""

    def hear(levels: tuple[Level, ...]) -> None:
        one(levels)
        two(levels)

    return hear
