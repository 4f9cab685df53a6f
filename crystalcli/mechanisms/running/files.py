"""The one way by which files are written: temporary file beside the target, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a temporary file beside ``path``; when the block ends well it becomes ``path``, synced.

    A reader sees the old file or the whole new one, whenever the program or the machine stops.

    Raises:
        EnvironmentProblem: disk full, no permission, input/output error.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as problem:
        raise environment_problem(problem, path) from problem
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the whole new one.

    Raises:
        EnvironmentProblem: disk full, no permission, input/output error.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def remove(path: Path) -> None:
    """Delete ``path`` if it is there.

    Raises:
        EnvironmentProblem: no permission.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as problem:
        raise environment_problem(problem, path) from problem


def sync(path: Path) -> None:
    """Make what was written to a file or folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def environment_problem(problem: OSError, path: Path) -> EnvironmentProblem:
    """The error to show for ``problem`` when writing ``path``."""
    return EnvironmentProblem(f"cannot write: {problem.strerror or problem}", path=path)


def refuse_to_overwrite(path: Path, overwrite: bool) -> None:
    """Raise UsageError if ``path`` exists and ``overwrite`` is not given."""
    if path.exists() and not overwrite:
        raise UsageError("exists; give --overwrite to replace it", path=path)


_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without locks say."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the right to write ``path``, so that two programs do not; a dead program's lock is free.

    Temporary files that a killed program left behind are removed. The kernel holds the lock, and gives it back when its
    owner or its owner's machine is gone. On a file system without locks nothing keeps two programs apart; every file
    is still renamed whole.

    Raises:
        EnvironmentProblem: somebody else holds it; names host and process.
    """
    name = path.with_name(f".{path.name[:200]}.lock")
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        file = _open_lock(name, path)
    except OSError as problem:
        raise environment_problem(problem, path) from problem
    with file:
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        file.flush()
        for other in list(path.parent.iterdir()):
            if other.name.startswith(f".{path.name[:200]}.") and other.name.endswith(".tmp"):
                other.unlink(missing_ok=True)
        try:
            yield
        finally:
            name.unlink(missing_ok=True)


def _open_lock(name: Path, path: Path) -> TextIO:
    """The lock file, locked, and still the one of that name (its last holder may have removed it meanwhile)."""
    while True:
        file = name.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            with file:
                file.seek(0)
                holder = _holder(file.read())
            raise EnvironmentProblem(
                f"{holder} is writing it; wait, or write elsewhere with -o", path=path
            ) from problem
        except OSError as problem:
            if problem.errno not in _NO_LOCKS:
                raise
        if name.exists() and os.fstat(file.fileno()).st_ino == name.stat().st_ino:
            return file
        file.close()


def _holder(text: str) -> str:
    try:
        held = json.loads(text)
        return f"process {held['pid']} on {held['host']}"
    except (ValueError, KeyError, TypeError):
        return "another program"
