"""What is done to many items, whoever does it, and what becomes of one that was the end of its worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from crystalcli.contracts.run_options import MEMORY_PER_JOB, SECONDS_PER_FILE

GIGABYTE = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What a worker may take.

    Args:
        seconds: from one result to the next; also from the start of an item to its first result.
        bytes: of address space; 0 is no limit.
    """

    seconds: float = SECONDS_PER_FILE
    bytes: int = int(MEMORY_PER_JOB * GIGABYTE)

    @classmethod
    def of(cls, seconds: float, gigabytes: float) -> Limits:
        """As people say it."""
        return cls(seconds, int(gigabytes * GIGABYTE))


UNLIMITED = Limits(float("inf"), 0)


@dataclass(frozen=True)
class Lost:
    """An item without an end: what came before is kept.

    Args:
        reason: in words. timed_out: it took too long; else its worker died. after: results that came before.
    """

    reason: str
    timed_out: bool
    after: int = 0


Do = Callable[[Any, int], Iterator[Any]]
"""Turns (item, results to leave out) into results."""
Start = Callable[[Any], Do]
"""Called once in every worker."""


def own_settings() -> dict[str, str]:
    """Variables by which this process finds its plugins and settings."""
    return {k: v for k, v in os.environ.items() if k.startswith("CRYSTAL_")}


@dataclass(frozen=True)
class Task:
    """What is done to every item.

    Args:
        start, argument: ``start(argument)`` is called once in every worker; both picklable, ``start`` by its name.
        limits: of each worker.
        preload: modules that all workers need, imported once.
        ahead: items that wait at a worker, so that it never waits for the next.
        window: items, for each worker, that may be begun before the first unfinished one; bounds what is held.
        fork: workers may be forked off this process while it is light: it holds no lock and no open file that matters.
        settings: variables ``CRYSTAL_*`` of the workers.
        folder: working folder of the workers: items may hold relative paths.
    """

    start: Start
    argument: Any
    limits: Limits = field(default_factory=Limits)
    preload: tuple[str, ...] = ()
    ahead: int = 16
    window: int = 64
    fork: bool = False
    settings: Mapping[str, str] = field(default_factory=own_settings)
    folder: str = field(default_factory=os.getcwd)


class Executor(Protocol):
    """Does a task. Results come in the order of the items and do not depend on who works."""

    def results(
        self,
        items: Iterable[Any],
        skip: Mapping[int, int] | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (number of the item, result) in order; a :class:`Lost` is the last result of an item that failed.

        Args:
            items: picklable; taken as they are needed.
            skip: results of an item, by its number, that are known already and left out.
            pause: called while results are waited for; what it raises ends the work.

        Raises:
            EnvironmentProblem: workers cannot begin, or cannot be reached any more.
        """
        ...

    def finished(self) -> list[tuple[int, Any]]:
        """After an early end: results of whole items beyond the first unfinished one, which would be lost."""
        ...
