"""Who hears of a run while it goes on; workflows print nothing themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar


@dataclass(frozen=True)
class Voice:
    """What every workflow says.

    Args:
        say: a line for people. warn: a warning.
    """

    say: Callable[[str], None] = lambda _line: None
    warn: Callable[[str], None] = lambda _line: None


@dataclass(frozen=True)
class Listener(Voice):
    """Who hears of a training, or of dynamics.

    Args:
        step: called after every batch with (epoch, done, all) of the epoch.
        run: called before every run of a series with (number, of, epochs), counted from 1.
    """

    step: Callable[[int, int, int], None] = lambda _epoch, _done, _total: None
    run: Callable[[int, int, int], None] = lambda _number, _of, _epochs: None


Heard = TypeVar("Heard", bound=Voice)


def heard(listener: Heard, log: Callable[[str], None]) -> Heard:
    """Tell ``log`` all that ``listener`` hears."""

    def say(text: str) -> None:
        log(text)
        listener.say(text)

    def warn(text: str) -> None:
        log(f"warning: {text}")
        listener.warn(text)

    return replace(listener, say=say, warn=warn)
