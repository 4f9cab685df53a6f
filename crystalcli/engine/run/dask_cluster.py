"""Which Dask cluster a user means: one that runs already, or jobs of a Slurm queue that are started for a run."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crystalcli.engine.run.places import SLURM
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError, one_line

INSTALL = "pip install 'crystal-graphs[cluster]'"
JOBS = 1
"""Jobs of a Slurm queue, unless said."""
SUBMITTED = 60.0
"""Seconds in which a queue has taken a job or refused it; what takes longer is waited for with the workers."""


@contextmanager
def scheduler_of(wish: str) -> Iterator[str]:
    """Address of the scheduler that ``wish`` means, while it is needed.

    Args:
        wish: an address, ``tcp://host:8786``; the file that ``dask scheduler --scheduler-file`` wrote; or
            ``slurm[:QUEUE[:JOBS]]``: so many jobs with the settings of dask-jobqueue, ended with the run.

    Raises:
        UsageError: a file that is none of a scheduler. EnvironmentProblem: not installed, or the queue refuses.
    """
    try:
        import distributed  # noqa: F401 - is it there?
    except ImportError as problem:
        raise EnvironmentProblem(f"--scheduler needs Dask's distributed; {INSTALL}") from problem
    if SLURM.fullmatch(wish):
        with _jobs(wish) as address:
            yield address
        return
    yield _address(wish)


def be_quiet() -> None:
    """Let the library say nothing: what is lost is said by us, in one line."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio", "dask_jobqueue"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _address(wish: str) -> str:
    path = Path(wish)
    if not path.is_file():
        return wish
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UsageError("is no file of a Dask scheduler", path=path) from problem


@contextmanager
def _jobs(wish: str) -> Iterator[str]:
    try:
        import dask
        from dask_jobqueue import SLURMCluster
        from dask_jobqueue.slurm import SLURMJob
        from distributed import Status
    except ImportError as problem:
        raise EnvironmentProblem(f"--scheduler {wish} needs dask-jobqueue; {INSTALL}") from problem
    found = SLURM.fullmatch(wish)
    assert found is not None  # looked at before
    be_quiet()
    tried = list[Exception | None]()

    class Job(SLURMJob):  # type: ignore[misc]
        """A job of the queue, which says what came of submitting it: the cluster keeps that to itself."""

        async def start(self) -> None:
            try:
                await super().start()
            except Exception as problem:
                tried.append(problem)
                self.status = Status.failed  # or the cluster does not close
                raise
            tried.append(None)

        async def close(self) -> None:
            if self.job_id is not None:  # else there is nothing to cancel, and asking for it fails
                await super().close()

    jobs = int(found[2] or JOBS)
    try:
        queue = {"queue": found[1]} if found[1] else {}
        safe = f"{dask.config.get('jobqueue.slurm.python') or sys.executable} -P"  # jobs begin in the current folder
        cluster = SLURMCluster(**queue, job_cls=Job, python=safe, scheduler_options={"dashboard_address": ":0"})
        cluster.scale(jobs=jobs)
    except (ValueError, TypeError, OSError, RuntimeError) as problem:
        said = one_line(str(problem).split("\n", maxsplit=1)[0])
        raise EnvironmentProblem(f"--scheduler {wish}: {said}; cores, memory, … stand in jobqueue.yaml") from problem
    try:
        _look_whether_taken(wish, tried, jobs)
        yield str(cluster.scheduler_address)
    finally:
        with contextlib.suppress(Exception):  # jobs without a scheduler end by themselves after a minute
            cluster.close(timeout=10)


def _look_whether_taken(wish: str, tried: Sequence[Exception | None], jobs: int) -> None:
    """Wait until the queue has taken a job; who waits for workers of none would wait for ever.

    Args:
        wish: as typed.
        tried: grows with every job that was submitted; a problem where it was refused.
        jobs: how many there will be.

    Raises:
        EnvironmentProblem: all were refused.
    """
    end = time.monotonic() + SUBMITTED
    while None not in tried and len(tried) < jobs and time.monotonic() < end:
        time.sleep(0.05)
    if tried and None not in tried:
        said = one_line(str(tried[0]).rpartition("stderr:\n")[2].strip())
        raise EnvironmentProblem(f"--scheduler {wish}: the queue takes no job: {said}")
