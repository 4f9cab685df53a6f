"""Being asked to stop, by a signal or a time limit.

Work in hand is finished, then kept (:class:`StopSignal`); where nothing can be kept, what is half done is undone.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from crystalcli.vocabulary.errors import UsageError

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGHUP")
    if hasattr(signal, name)
)
"""By which people, terminals and batch systems ask to stop."""
SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Read ``90m``, ``1h30m``, ``45s`` or plain seconds; empty is no limit.

    Raises:
        UsageError: not a time.
    """
    if not text:
        return float("inf")
    found = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    total = sum(float(n) * SECONDS[u] for n, u in found)
    if "".join(n + u for n, u in found) != text or total <= 0:
        raise UsageError(f"time '{text}' is not like 90m, 1h30m or 600 (seconds)")
    return total


class StopSignal:
    """Knows whether to stop and why.

    Args:
        limit: seconds from now after which to stop.
    """

    def __init__(self, limit: float = float("inf")) -> None:
        self.deadline = time.monotonic() + limit
        self.signal: str | None = None

    def reason(self) -> str | None:
        """Why to stop now, or none."""
        if self.signal:
            return self.signal
        return "the time limit" if time.monotonic() >= self.deadline else None

    @contextmanager
    def listening(self) -> Iterator[StopSignal]:
        """Take signals while inside; a second one stops at once (KeyboardInterrupt)."""

        def heard(number: int, _frame: FrameType | None) -> None:
            if self.signal:
                raise KeyboardInterrupt
            self.signal = signal.Signals(number).name

        before = {s: signal.signal(s, heard) for s in SIGNALS if s == signal.SIGINT or not _ignored(s)}
        try:
            yield self
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)


def interrupt_on_signals() -> None:
    """Let every signal that asks to stop be as Ctrl-C is: an exception that undoes what is half done."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        _interrupted_by[:] = [signal.Signals(number).name]
        raise KeyboardInterrupt(*_interrupted_by)

    for s in SIGNALS:
        if signal.getsignal(s) == signal.SIG_DFL:
            signal.signal(s, interrupt)


_interrupted_by: list[str] = []


def interrupted() -> KeyboardInterrupt:
    """The last interruption again, for those who are told only that there was one."""
    problem = KeyboardInterrupt(*_interrupted_by)
    _interrupted_by.clear()
    return problem


def _ignored(number: signal.Signals) -> bool:
    """Whether it does not count, as under ``nohup``."""
    return signal.getsignal(number) == signal.SIG_IGN
