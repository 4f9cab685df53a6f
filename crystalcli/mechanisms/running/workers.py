"""Worker processes that may be trusted with foreign files: what hangs is killed, what dies is named, the rest goes on.

Items are handed to workers one by one and their results come back in the order of the items, whatever the number of
workers. A worker has a limit of memory, and a limit of time between two results. The item on which a worker died or
hung is tried once more by a fresh one, which sends every result at once: a busy machine kills the innocent too, and
what the item gave before is not lost.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

AHEAD = 16
"""Items that wait at a worker, so that it never waits for the next."""
WINDOW = 64
"""Items, for each worker, that may be begun before the first unfinished one; bounds what is held in memory."""
CHUNK = 64
"""Results sent together."""
CHUNKS_HELD = 64
"""Chunks of a later item that are taken in before its worker has to wait."""
BEAT = 0.5
"""Seconds after which results are sent though there are few."""


@dataclass(frozen=True)
class Limits:
    """What a worker may take.

    Args:
        seconds: from one result to the next; also from the start of an item to its first result.
        bytes: of address space; 0 is no limit.
    """

    seconds: float = 60.0
    bytes: int = 8 << 30


@dataclass(frozen=True)
class Lost:
    """An item without an end: what came before is kept.

    Args:
        reason: in words. timed_out: it took too long; else its worker died. after: results that came before.
    """

    reason: str
    timed_out: bool
    after: int = 0


Start = Callable[[Any], Callable[[Any, int], Iterator[Any]]]
"""Called once in every worker; gives what turns (item, results to leave out) into results."""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    items: deque[int] = field(default_factory=deque)
    heard: float = field(default_factory=time.monotonic)


@dataclass
class _Item:
    chunks: deque[list[Any]] = field(default_factory=deque)
    received: int = 0
    losses: int = 0
    ended: bool = False


class Workers:
    """Context manager around worker processes.

    Args:
        start, argument: ``start(argument)`` is called in every worker; both must be picklable.
        jobs: number of processes.
        limits: of each.
        preload: modules that all workers need, imported once.
    """

    def __init__(
        self, start: Start, argument: Any, jobs: int, limits: Limits | None = None, preload: Sequence[str] = ()
    ) -> None:
        self._start, self._argument, self._jobs = start, argument, jobs
        self._limits = limits or Limits()
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload([__name__, *preload])
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()

    def results(self, items: Sequence[Any], skip: Mapping[int, int] | None = None) -> Iterator[tuple[int, Any]]:
        """Yield (number of the item, result) in order; a :class:`Lost` is the last result of an item that failed.

        Args:
            items: picklable.
            skip: results of an item, by its number, that are known already and left out.
        """
        self._items, self._skip = items, dict(skip or {})
        self._state: dict[int, _Item] = {}
        self._again: deque[int] = deque()
        self._next = head = 0
        while head < len(items):
            self._hand_out(head)
            state = self._state[head]
            while state.chunks:
                for result in state.chunks.popleft():
                    yield head, result
            if state.ended:
                del self._state[head]
                head += 1
                continue
            self._hear(head)

    def _hand_out(self, head: int) -> None:
        for worker in list(self._workers):
            while self._again and not worker.items:
                self._give(worker, self._again.popleft())
        wanted = min(self._jobs, len(self._items) - head)
        while len(self._workers) < wanted:
            self._workers.append(self._new())
        for worker in sorted(self._workers, key=lambda w: len(w.items)):
            while len(worker.items) < AHEAD and self._next < min(len(self._items), head + WINDOW * self._jobs):
                if worker.items and any(not w.items for w in self._workers):
                    break
                self._state[self._next] = _Item(received=self._skip.get(self._next, 0))
                self._give(worker, self._next)
                self._next += 1

    def _new(self) -> _Worker:
        mine, theirs = self._context.Pipe()
        # the server of forks may be older than today's settings, which say where plugins are
        settings = {k: v for k, v in os.environ.items() if k.startswith("CRYSTAL_")}
        args = (theirs, self._start, self._argument, settings, self._limits.bytes)
        process = self._context.Process(target=_serve, args=args, daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, mine)
        if self._again:
            self._give(worker, self._again.popleft())
        return worker

    def _give(self, worker: _Worker, number: int) -> None:
        if not worker.items:
            worker.heard = time.monotonic()
        worker.items.append(number)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died; seen where it is listened to
            state = self._state[number]
            worker.pipe.send((self._items[number], state.received, state.losses > 0))

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
            if worker.pipe in ready:
                self._receive(worker)
            elif worker.items and time.monotonic() - worker.heard > self._limits.seconds:
                self._lose(worker, Lost(f"took longer than {self._limits.seconds:g} s; its process was stopped", True))

    def _receive(self, worker: _Worker) -> None:
        try:
            ended, chunk = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._lose(worker, Lost("the process that read it died", False))
            return
        worker.heard = time.monotonic()
        state = self._state[worker.items[0]]
        state.chunks.append(chunk)
        state.received += len(chunk)
        if ended:
            state.ended = True
            worker.items.popleft()

    def _lose(self, worker: _Worker, lost: Lost) -> None:
        """The first item of ``worker`` is at fault or out of luck; the others go to the next one."""
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
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


def _serve(pipe: Connection, start: Start, argument: Any, settings: Mapping[str, str], limit: int) -> None:
    """Of a worker: do as told until the parent is gone."""
    import signal
    import warnings

    for name in [n for n in os.environ if n.startswith("CRYSTAL_")]:
        del os.environ[name]
    os.environ.update(settings)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when to end
    warnings.simplefilter("ignore")
    _limit_memory(limit)
    do = start(argument)
    try:
        while True:
            item, skip, carefully = pipe.recv()
            _do(pipe, do(item, skip), 1 if carefully else CHUNK)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _do(pipe: Connection, results: Iterator[Any], together: int) -> None:
    chunk: list[Any] = []
    sent = time.monotonic()
    for result in results:
        chunk.append(result)
        if len(chunk) >= together or time.monotonic() - sent > BEAT:
            pipe.send((False, chunk))
            chunk, sent = [], time.monotonic()
    pipe.send((True, chunk))


def _limit_memory(limit: int) -> None:
    if not limit:
        return
    try:
        import resource
    except ImportError:  # not on this system
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
