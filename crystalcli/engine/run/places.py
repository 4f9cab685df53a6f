"""Where work is done, the one place that decides it: here, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from crystalcli.engine.run.tasks import Executor, Task
from crystalcli.vocabulary.errors import UsageError


@dataclass(frozen=True)
class Place:
    """Where work is done; no result depends on it.

    Args:
        jobs: processes of this machine; 0 works in this one, without limits and without protection.
        scheduler: of a Dask cluster, whose workers do the work then: its address, or the file that it wrote.
    """

    jobs: int = 0
    scheduler: str = ""

    def __post_init__(self) -> None:
        refuse_no_scheduler(self.scheduler)

    @classmethod
    def of(cls, jobs: int, scheduler: str) -> Self:
        """As people say it, who always have workers: with 0 jobs one for each core."""
        return cls(jobs or cores(), scheduler)


SLURM = re.compile(r"slurm(?::([^:]*))?(?::([1-9]\d*))?")
"""A Slurm queue and how many jobs of it."""
_ADDRESS = re.compile(r"\w+://\S+|[^:\s]+:\d+|\[\S+\]:\d+")


def refuse_no_scheduler(wish: str) -> None:
    """Refuse words that can mean no scheduler before anything is begun, or waited for.

    Raises:
        UsageError: ``wish`` is neither empty, ``slurm[:QUEUE[:JOBS]]``, an address, nor a file.
    """
    if not wish or SLURM.fullmatch(wish):
        return
    path = Path(wish)
    if path.suffix == ".json" and not path.is_file():
        raise UsageError("no such scheduler file; dask scheduler --scheduler-file writes it", path=path)
    if re.match("slurm(:|$)", wish, re.IGNORECASE):
        raise UsageError(f"--scheduler slurm:QUEUE:JOBS, as in slurm:short:20, not '{wish}'")
    if not (path.is_file() or _ADDRESS.fullmatch(wish)):
        kinds = "an address (tcp://host:8786), the file of a scheduler, or slurm:QUEUE:JOBS"
        raise UsageError(f"--scheduler takes {kinds}, not '{wish}'")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def executor(
    place: Place, task: Task, say: Callable[[str], None] = lambda _line: None
) -> AbstractContextManager[Executor]:
    """Whoever does ``task``, inside the context.

    Args:
        place: where.
        task: what.
        say: told what a person who waits wants to know.

    Raises:
        EnvironmentProblem: the scheduler cannot be reached, or its workers are not as this program is.
    """
    if place.scheduler:
        from crystalcli.engine.run.dask_client import DaskWorkers

        return DaskWorkers(place.scheduler, task, say)
    if place.jobs:
        from crystalcli.engine.run.workers import Workers

        return Workers(task, place.jobs)
    return nullcontext(Here(task))


class Here:
    """Does the work in this process."""

    def __init__(self, task: Task) -> None:
        self._do = task.start(task.argument)

    def results(
        self,
        items: Iterable[Any],
        skip: Mapping[int, int] | None = None,
        pause: Callable[[], None] = lambda: None,  # noqa: ARG002 - nothing is waited for
    ) -> Iterator[tuple[int, Any]]:
        """See :class:`Executor`."""
        for number, item in enumerate(items):
            for result in self._do(item, (skip or {}).get(number, 0)):
                yield number, result

    def finished(self) -> list[tuple[int, Any]]:
        """None: there is nothing beyond the first unfinished item."""
        return []
