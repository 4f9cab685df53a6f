"""The one way by which files are written: temporary file beside the target, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a temporary file beside ``path``; when the block ends well it becomes ``path``, synced.

    A reader sees the old file or the whole new one, whenever the program or the machine stops.

    Raises:
        EnvironmentProblem: disk full, no permission, input/output error; a condition does not hold.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        sync(temporary)
        permitted(path)
        temporary.replace(path)
        sync(path.parent)
    except OSError as problem:
        raise environment_problem(problem, path) from problem
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


_conditions: list[Callable[[Path], None]] = []


@contextlib.contextmanager
def on_condition(check: Callable[[Path], None]) -> Iterator[None]:
    """While inside, files come into being only if ``check``, called with the name of each, does not raise."""
    _conditions.append(check)
    try:
        yield
    finally:
        _conditions.remove(check)


def permitted(path: Path) -> None:
    """Raise what the conditions raise under which ``path`` may be written."""
    for check in _conditions:
        check(path)


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
