"""Inside a worker process: does as it is told until its parent is gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from crystalcli.engine.run import import_path
from crystalcli.engine.run.tasks import Task
from crystalcli.vocabulary.errors import CrystalError

CHUNK = 64
"""Results sent together."""
BEAT = 0.5
"""Seconds after which results are sent though there are few."""
READY, MORE, END, BROKEN = "ready", "more", "end", "broken"
"""What a message says: it has begun; some results; the last ones of an item; why it cannot begin."""


def serve(
    pipe: Connection,
    line: Connection,
    task: Task,
    before: Mapping[str, str | None],
    parents: Sequence[Connection] = (),
) -> None:
    """Do a task.

    Args:
        pipe: brings (item, results to leave out, whether it was somebody's end); takes the results.
        line: nothing ever comes; it is closed when the parent is gone.
        task: what is done.
        before: variables that were other ones while this process was started.
        parents: connections of the parent that a fork has open, too.
    """
    import signal
    import warnings

    from crystalcli.engine.run.stopping import SIGNALS

    for connection in parents:
        connection.close()
    import_path.put_back(before)
    for name in [n for n in os.environ if n.startswith("CRYSTAL_")]:
        del os.environ[name]
    os.environ.update(task.settings)  # the server of forks may be older than today's settings
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the parent decides when to end
    with contextlib.suppress(OSError):
        os.dup2(2, 1)  # what a reader prints is no result
    warnings.simplefilter("ignore")
    _die_with_parent(line)
    _limit_memory(task.limits.bytes)
    try:
        do = _begin(task, lambda why: pipe.send((BROKEN, [why])))
        if do is not None:
            pipe.send((READY, []))
        while do is not None:
            item, skip, carefully = pipe.recv()
            _do(pipe, do(item, skip), 1 if carefully else CHUNK)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _begin(task: Task, tell: Callable[[str], None]) -> Callable[[Any, int], Iterator[Any]] | None:
    try:
        os.chdir(task.folder)
    except OSError as problem:
        tell(
            f"folder {task.folder} is not there ({problem.strerror}); workers need the same files under the same names"
        )
        return None
    try:
        return task.start(task.argument)
    except CrystalError as problem:
        tell(str(problem))
        return None


def _do(pipe: Connection, results: Iterator[Any], together: int) -> None:
    chunk: list[Any] = []
    sent = time.monotonic()
    for result in results:
        chunk.append(result)
        if len(chunk) >= together or time.monotonic() - sent > BEAT:
            pipe.send((MORE, chunk))
            chunk, sent = [], time.monotonic()
    pipe.send((END, chunk))


def _die_with_parent(line: Connection) -> None:
    """Let the system end this process when the parent's end of ``line`` is closed: foreign code may not listen."""
    import fcntl
    import signal

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)


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
