"""On a worker of a Dask cluster: items are put through a supervised process, as on the machine of the user.

What hangs is killed and what dies is named by :mod:`crystalcli.engine.run.workers`; the Dask worker itself
never touches a foreign file. The process is kept for the next items of the same run, and ended when none come.
"""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from crystalcli.contracts.hookspecs import GROUP
from crystalcli.engine.run.run_folder import versions
from crystalcli.engine.run.tasks import Task
from crystalcli.engine.run.workers import Workers
from crystalcli.vocabulary.errors import CrystalError, Stopped

MOST = 4096
"""Results of one answer; what is left of the items is asked for again."""
IDLE = 30.0
"""Seconds after which a process that has nothing to do is ended."""


@dataclass(frozen=True)
class Order:
    """What a run wants of every worker.

    Args:
        run: a name of its own. task: what is done. versions: of the program that asks.
    """

    run: str
    task: Task
    versions: Mapping[str, str]


@dataclass(frozen=True)
class WorkerAnswer:
    """What came of some items.

    Args:
        results: (number in the items, result), in order.
        rest: where to go on, (number, results to leave out), if there were too many results for one answer.
        refusal: why nothing was done.
    """

    results: Sequence[tuple[int, Any]] = ()
    rest: tuple[int, int] | None = None
    refusal: str = ""


@lru_cache(maxsize=1)
def installed() -> dict[str, str]:
    """Versions of all that results may depend on: program, packages, distributions with plugins."""
    plugins = {e.dist for e in importlib.metadata.entry_points(group=GROUP) if e.dist}
    return versions() | {"gemmi": importlib.metadata.version("gemmi")} | {d.name: d.version for d in plugins}


_lock = threading.Lock()
_idle: dict[str, list[tuple[Workers, threading.Timer]]] = {}
_closed: set[str] = set()


def work(order: Order, items: Sequence[Any], skip: Mapping[int, int]) -> WorkerAnswer:
    """Put ``items`` through the task of ``order``; what the scheduler calls."""
    if why := difference(order.versions, installed()):
        return WorkerAnswer(refusal=why)
    try:
        with _workers(order) as workers:
            return _answer(workers, items, skip, lambda: _stop_if_closed(order.run))
    except CrystalError as problem:
        return WorkerAnswer(refusal=str(problem))


def _answer(workers: Workers, items: Sequence[Any], skip: Mapping[int, int], pause: Callable[[], None]) -> WorkerAnswer:
    found: list[tuple[int, Any]] = []
    for number, result in workers.results(items, skip, pause):
        if len(found) == MOST:
            workers.__exit__()  # it is in the middle of an item
            done = sum(n == number for n, _ in found)
            return WorkerAnswer(found, (number, done + (skip.get(number, 0))))
        found.append((number, result))
    return WorkerAnswer(found)


@contextmanager
def _workers(order: Order) -> Iterator[Workers]:
    """A process of this run that is idle, or a new one; kept afterwards."""
    multiprocessing.current_process().daemon = False  # Dask's own are; such may have no children
    with _lock:
        kept = _idle.get(order.run)
        workers, timer = kept.pop() if kept else (Workers(order.task, 1), None)
    if timer is not None:
        timer.cancel()
    try:
        yield workers
    except BaseException:
        workers.__exit__()
        raise
    timer = threading.Timer(IDLE, _end, (order.run, workers))
    timer.daemon = True
    with _lock:
        _idle.setdefault(order.run, []).append((workers, timer))
    timer.start()


def _end(run: str, workers: Workers) -> None:
    """End a process if it is still idle."""
    with _lock:
        kept = [k for k in _idle.get(run, []) if k[0] is workers]
        for k in kept:
            _idle[run].remove(k)
        if not _idle.get(run):
            _idle.pop(run, None)
    for k in kept:
        k[0].__exit__()


def _stop_if_closed(run: str) -> None:
    if run in _closed:
        raise Stopped("the run has ended")


def close(run: str) -> None:
    """The run has ended, well or not: end its processes, give up what they do."""
    _closed.add(run)
    with _lock:
        kept = _idle.pop(run, [])
    for workers, timer in kept:
        timer.cancel()
        workers.__exit__()


def difference(wanted: Mapping[str, str], here: Mapping[str, str]) -> str:
    """What is not the same here as with the program that asks; empty if nothing is."""
    differs = [k for k in wanted if wanted[k] != here.get(k)]
    return ", ".join(f"{k} {here.get(k, 'missing')} instead of {wanted[k]}" for k in differs)
