"""The one way by which files are written: a new file beside the target, fsync, rename, fsync of the folder.

Others may write in the folder, too, and are not trusted: a new file is made by this process under a name that nobody
foresees, and is reached by its open handle, whatever becomes of the name. Nothing is ever written through a link to a
file: a link that was typed as an output is refused, one that stands in the place of an output is replaced, said, and
what it leads to stays as it is. Links to folders are followed, as everywhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from crystalcli.engine.run import owners
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError

_LONGEST = 200
"""Bytes of a name that the names beside it begin with; 255 are allowed."""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.DOTALL)
"""Names of the new files, as :func:`unforeseen` makes them."""
_CURE = "crystal writes through no link; remove it, or name the file that it leads to"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file; when the block ends well it becomes ``path``, synced.

    A reader sees the old file or the whole new one, whenever the program or the machine stops.

    Raises:
        EnvironmentProblem: disk full, no permission, input/output error; a condition does not hold.
    """
    with _beside(path) as (_, file):
        yield file


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """As :func:`writing`, for those who open files by name: yields a name of the new file, which is there and empty.

    Its handle is locked for the sweep of :func:`clear_dead`: who locks files by themselves must be told not to.
    """
    with _beside(path) as (temporary, file):
        by_handle = Path(f"/proc/self/fd/{file.fileno()}")
        yield by_handle if by_handle.exists() else temporary


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    temporary, file = None, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, file = _new(path)
        yield temporary, file
        file.flush()
        os.fsync(file.fileno())
        permitted(path)
        _look_before(path, temporary, file)
        owners.let_go(file.fileno())  # HDF5 does not open, and calls damaged, what somebody has locked
        temporary.replace(path)
        temporary = None
        sync(path.parent)
    except OSError as problem:
        raise environment_problem(problem, path) from problem
    finally:
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk has been reported by then
                file.close()
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _new(path: Path) -> tuple[Path, BinaryIO]:
    """A file beside ``path`` that was not there, locked by the kernel if it can."""
    while True:
        temporary = unforeseen(path)
        file = os.fdopen(_made(temporary), "wb")
        owners.lock_by_kernel(file.fileno())
        if os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()  # between the two lines above another program saw it without a lock, and removed it


def _made(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _look_before(path: Path, temporary: Path, file: BinaryIO) -> None:
    """The last look before the rename: is the new file still under its name, and what is in its place?"""
    made, found = os.fstat(file.fileno()), temporary.lstat()
    if (made.st_dev, made.st_ino) != (found.st_dev, found.st_ino):
        raise EnvironmentProblem(f"another program put its file in the place of {temporary.name}", path=path)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        said = f"{path}: was a link to {path.readlink()}; a file is in its place now, what it led to is as it was"
        warnings.warn(said, stacklevel=5)
    elif not stat.S_ISREG(mode):
        raise EnvironmentProblem(_kind(mode), path=path)


def _kind(mode: int) -> str:
    return "is a folder, not a file" if stat.S_ISDIR(mode) else "is a device, a FIFO or a socket, not a file"


def beginning(name: str) -> str:
    """What the names of files that lie beside ``name`` for a while begin with, after a dot."""
    return os.fsencode(name)[:_LONGEST].decode("utf-8", "ignore")


def unforeseen(path: Path) -> Path:
    """A name beside ``path`` for a file that will soon be gone; nobody can have put anything there."""
    return path.with_name(f".{beginning(path.name)}.{secrets.token_hex(8)}.tmp")


def clear_dead(path: Path) -> None:
    """Remove what programs that were killed have left of :func:`writing` to ``path``, and nothing of living ones."""
    name = re.compile(re.escape(f".{beginning(path.name)}.") + r"[0-9a-f]{16}\.tmp")
    for other in [p for p in path.parent.iterdir() if name.fullmatch(p.name)]:
        _remove_abandoned(other)


def clear_dead_below(folder: Path) -> None:
    """The same for all files in ``folder`` and below: some, such as restart records, never get their name again."""
    for where, _, names in os.walk(folder):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                _remove_abandoned(Path(where, name))


def _remove_abandoned(path: Path) -> None:
    if (handle := _abandoned(path)) is not None:
        path.unlink(missing_ok=True)
        os.close(handle)


def _abandoned(path: Path) -> int | None:
    """A handle of the file, locked, if nobody writes it."""
    try:
        # NFS locks for one alone only what is open for writing
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # gone, a link, or of another user
        return None
    if owners.lock_if_free(handle):
        return handle
    os.close(handle)
    return None


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
    with writing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def note(path: Path, text: str) -> None:
    """Write what only onlookers read: they see the old file or the whole new one; a machine that stops may lose both.

    Nothing hangs on it: it waits for no disk, and where it cannot be written it is not.
    """
    temporary = unforeseen(path)
    with contextlib.suppress(OSError, EnvironmentProblem):
        permitted(path)
        try:
            with os.fdopen(_made(temporary), "wb") as file:
                file.write(text.encode())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_note(path: Path) -> None:
    """Remove what :func:`note` wrote, if it is there, and what killed programs left of it."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        clear_dead(path)


def append(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Add ``data`` to the end of ``path``, which is made if it is not there.

    Raises:
        EnvironmentProblem: as :func:`writing`; it is a link or no regular file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except OSError as problem:
        raise environment_problem(problem, path) from problem


def own(path: Path, flags: int) -> int:
    """Handle of a file of this program that is written in its place; a second name of it keeps what it has.

    Raises:
        OSError: as opening does. EnvironmentProblem: a link, or no regular file.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as problem:
        if problem.errno == errno.ELOOP and path.is_symlink():
            raise EnvironmentProblem(f"is a link to {path.readlink()}; {_CURE}", path=path) from problem
        raise
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and (found.st_nlink < 2 or not flags & os.O_ACCMODE):
        return handle
    os.close(handle)
    if not stat.S_ISREG(found.st_mode):
        raise EnvironmentProblem(_kind(found.st_mode), path=path)
    write_bytes(path, path.read_bytes())
    return own(path, flags)


def afresh(path: Path) -> BinaryIO:
    """A new, empty file called ``path`` that grows in sight of all, as a log does; what was there is removed.

    Raises:
        EnvironmentProblem: disk full, no permission.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        return os.fdopen(_made(path), "wb")
    except OSError as problem:
        raise environment_problem(problem, path) from problem


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
    """Look at an output that was typed before anything is done.

    Raises:
        UsageError: it is there and ``overwrite`` is not given, or it is a link or no regular file.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    refuse_link(path)
    if not stat.S_ISREG(mode):
        raise UsageError(_kind(mode), path=path)
    if not overwrite:
        raise UsageError("exists; give --overwrite to replace it", path=path)


def refuse_link(path: Path) -> None:
    """Raise UsageError, which names where it leads, if ``path`` is a link."""
    if path.is_symlink():
        raise UsageError(f"is a link to {path.readlink()}; {_CURE}", path=path)
