"""Worker processes that may be trusted with foreign files: what hangs is killed, what dies is named, the rest goes on.

Items are handed to workers one by one and their results come back in the order of the items, whatever the number of
workers. A worker has a limit of memory, and a limit of time between two results. The item on which a worker died or
hung is tried once more by a fresh one, which sends every result at once: a busy machine kills the innocent too, and
what the item gave before is not lost.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from crystalcli.engine.run import import_path, worker_process
from crystalcli.engine.run.tasks import Lost, Task
from crystalcli.engine.run.worker_process import BEAT, BROKEN, END, READY
from crystalcli.vocabulary.errors import EnvironmentProblem

CHUNKS_HELD = 64
"""Chunks of a later item that are taken in before its worker has to wait."""
START = 120.0
"""Seconds in which a worker must have begun, whatever the limit of an item: machines may be busy."""
_NO_MORE = object()
_OPEN: weakref.WeakSet[Workers] = weakref.WeakSet()
"""Those that nobody has left yet."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    life: Connection
    items: deque[int] = field(default_factory=deque)
    heard: float = field(default_factory=time.monotonic)
    ready: bool = False

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.life.close()


@dataclass
class _Item:
    item: Any
    chunks: deque[list[Any]] = field(default_factory=deque)
    received: int = 0
    losses: int = 0
    ended: bool = False


class Workers:
    """Context manager around worker processes of this machine; an :class:`Executor`.

    Args:
        task: what they do.
        jobs: number of processes.
    """

    def __init__(self, task: Task, jobs: int) -> None:
        self._task, self._jobs = task, jobs
        self._workers: list[_Worker] = []
        self._state: dict[int, _Item] = {}
        _OPEN.add(self)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        _OPEN.discard(self)

    def results(
        self,
        items: Iterable[Any],
        skip: Mapping[int, int] | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Any]]:
        """See :class:`Executor`; the first workers begin at once."""
        self._items, self._skip = iter(items), dict(skip or {})
        self._state.clear()
        self._again: deque[int] = deque()
        self._waiting: Any = None
        self._next = 0
        self._hand_out(0)
        return self._in_order(pause)

    def _in_order(self, pause: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        head = 0
        while True:
            self._hand_out(head)
            if head not in self._state:
                return
            state = self._state[head]
            while state.chunks:
                for result in state.chunks.popleft():
                    yield head, result
            if state.ended:
                del self._state[head]
                head += 1
                continue
            pause()
            self._hear(head)

    def finished(self) -> list[tuple[int, Any]]:
        """See :class:`Executor`."""
        return [(n, r) for n, s in sorted(self._state.items()) if s.ended for chunk in s.chunks for r in chunk]

    def _hand_out(self, head: int) -> None:
        while self._again and (worker := self._idle()):
            self._give(worker, self._again.popleft())
        while self._next < head + self._task.window * self._jobs and self._has_room() and self._take():
            worker = self._idle() or min(self._workers, key=lambda w: len(w.items))
            self._state[self._next] = _Item(self._waiting, received=self._skip.get(self._next, 0))
            self._waiting = None
            self._give(worker, self._next)
            self._next += 1

    def _take(self) -> bool:
        """Have the next item at hand; whether there is one."""
        if self._waiting is None:
            self._waiting = next(self._items, _NO_MORE)
        return self._waiting is not _NO_MORE

    def _has_room(self) -> bool:
        return len(self._workers) < self._jobs or min(len(w.items) for w in self._workers) < self._task.ahead

    def _idle(self) -> _Worker | None:
        """A worker that has nothing to do, a new one if there may be more; none if all are at work."""
        for worker in self._workers:
            if not worker.items:
                return worker
        return self._new() if len(self._workers) < self._jobs else None

    def _new(self) -> _Worker:
        method = _method(self._task)
        context: Any = multiprocessing.get_context(method)
        mine, theirs = context.Pipe()
        line, life = context.Pipe(duplex=False)
        ours = [mine, life, *(c for w in self._workers for c in (w.pipe, w.life))] if method == "fork" else []
        if method == "forkserver":
            context.set_forkserver_preload([worker_process.__name__, *self._task.preload])
        with warnings.catch_warnings(), import_path.left_out_of_children() as before:
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside the threads of a library
            args = (theirs, line, self._task, before, ours)
            process = context.Process(target=worker_process.serve, args=args, daemon=True)
            process.start()
        theirs.close()
        line.close()
        self._workers.append(_Worker(process, mine, life))
        return self._workers[-1]

    def _give(self, worker: _Worker, number: int) -> None:
        if not worker.items:
            worker.heard = time.monotonic()
        worker.items.append(number)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died; seen where it is listened to
            state = self._state[number]
            worker.pipe.send((state.item, state.received, state.losses > 0))

    def _hear(self, head: int) -> None:
        """Take in what workers say, for a moment; see who died or hangs."""
        listened = []
        for worker in self._workers:
            first = worker.items[0] if worker.items else head
            if first != head and len(self._state[first].chunks) >= CHUNKS_HELD:
                worker.heard = time.monotonic()  # it waits for us
            else:
                listened.append(worker)
        ready = wait([w.pipe for w in listened], timeout=BEAT)
        for worker in listened:
            seconds = self._task.limits.seconds
            limit = seconds if worker.ready else max(seconds, START)
            if worker.pipe in ready:
                self._receive(worker)
            elif worker.items and time.monotonic() - worker.heard > limit:
                self._lose(worker, Lost(f"took longer than {limit:g} s; its process was stopped", True))

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, chunk = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._lose(worker, Lost("the process that worked on it died", False))
            return
        if kind == BROKEN:
            raise EnvironmentProblem(f"a worker cannot begin: {chunk[0]}")
        worker.heard = time.monotonic()
        if kind == READY:
            worker.ready = True
            return
        state = self._state[worker.items[0]]
        state.chunks.append(chunk)
        state.received += len(chunk)
        if kind == END:
            state.ended = True
            worker.items.popleft()

    def _lose(self, worker: _Worker, lost: Lost) -> None:
        """The first item of ``worker`` is at fault or out of luck; the others go to the next one."""
        self._workers.remove(worker)
        worker.end()
        if worker.items:
            first = worker.items.popleft()
            state = self._state[first]
            state.losses += 1
            if state.losses > 1:
                state.chunks.append([replace(lost, after=state.received)])
                state.ended = True
            else:
                worker.items.appendleft(first)
        self._again.extend(worker.items)


@atexit.register
def _end_open() -> None:
    """Leave those that an error held open: workers ignore the signal with which Python ends its children, and waits."""
    for workers in list(_OPEN):
        workers.__exit__()


HEAVY = ("torch", "distributed")
"""Modules with threads of their own: a process that has one is not forked."""


def _method(task: Task) -> str:
    """How a worker is made: forked off this process while that is cheap and safe, else off a clean one."""
    offered = multiprocessing.get_all_start_methods()
    if "forkserver" not in offered:
        return "spawn"
    light = threading.active_count() == 1 and not any(m in sys.modules for m in HEAVY)
    return "fork" if task.fork and light else "forkserver"
