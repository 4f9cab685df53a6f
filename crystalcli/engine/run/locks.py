"""The right to write: one program at a time, on one machine or many, whatever locks their file system has.

A lock is a file that names its owner, made in one step with all that it says. Its owner touches it every ``BEAT``
seconds and has the kernel lock it, where it can: a kernel knows at once that an owner is dead. Where it has no locks,
or knows none of another machine's, the table of processes answers for this machine, and for others the touches: an
owner is given up when none was seen for ``PATIENCE`` seconds (:mod:`crystalcli.engine.run.owners`). The lock of
a dead owner is removed by one program at a time, which holds a lock for that.

What is promised: of two programs one is refused, and the dead are replaced. An owner that stood still for so long that
it was given up looks, before it renames a file into place or adds to a journal, sees that the lock is another's, and
stops. Only if it stood still between this look and the rename does it put a file, a whole one, in the place of its
successor's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crystalcli.engine.run import files, owners
from crystalcli.engine.run.owners import Owner
from crystalcli.vocabulary.errors import EnvironmentProblem

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links say."""


@contextlib.contextmanager
def locked(path: Path, told: Path | None = None) -> Iterator[None]:
    """Hold the right to write ``path`` and what lies beside it; a dead program's lock is free.

    Temporary files that a killed program left behind are removed. Inside, :mod:`.files` renames nothing into the
    folder of ``path`` when the lock has been lost.

    Args:
        path: what is written.
        told: what people call it, where that is something else.

    Raises:
        EnvironmentProblem: somebody else holds it; names host and process.
    """
    name = lock_of(path.parent, path.name)
    with contextlib.ExitStack() as inside:
        try:
            name.parent.mkdir(parents=True, exist_ok=True)
            lock = inside.enter_context(_held(name, told or path))
            files.clear_dead(path)
        except OSError as problem:
            raise files.environment_problem(problem, path) from problem
        inside.enter_context(_beating(lock))
        inside.enter_context(files.on_condition(lambda target: _still_held(lock, path, target)))
        yield


@contextlib.contextmanager
def run_locked(folder: Path) -> Iterator[None]:
    """Hold the right to write the folder of a run, be it there or not; a file in its place is left to be refused.

    Raises:
        EnvironmentProblem: as :func:`locked`.
    """
    with locked(folder / "run", folder) if folder.is_dir() or not folder.exists() else contextlib.nullcontext():
        yield


def lock_of(folder: Path, name: str = "run") -> Path:
    """The lock file of a run's folder, or of another file in it."""
    return folder / f".{files.beginning(name)}.lock"


@dataclass(frozen=True)
class _Lock:
    name: Path
    handle: int
    owner: Owner


@contextlib.contextmanager
def _held(name: Path, path: Path) -> Iterator[_Lock]:
    """Hold the lock file ``name``.

    Raises:
        EnvironmentProblem: a living process holds it.
    """
    lock = _made(name)
    while lock is None:
        holder = owners.read(name)
        if holder is not None:
            if owners.lives(name, holder):
                raise EnvironmentProblem(f"{holder} is writing it; wait, or write elsewhere with -o", path=path)
            with _held(name.with_name(f"{name.name}.taken"), path):
                _clear(name, holder)
        lock = _made(name)
    try:
        yield lock
    finally:
        _release(lock)


def _made(name: Path) -> _Lock | None:
    """The lock file, made here; none if there is one already."""
    draft = name.with_name(f"{name.name}.{secrets.token_hex(8)}")
    handle, owner = _written(draft)
    try:
        os.link(draft, name)
        return _Lock(name, handle, owner)
    except FileExistsError:
        if os.fstat(handle).st_nlink == 2:  # NFS did it, lost its answer, and was asked again
            return _Lock(name, handle, owner)
    except OSError as problem:
        os.close(handle)
        if problem.errno not in NO_LINKS:
            raise
        try:  # in two steps: who reads it between them does not know the owner, and waits for beats
            return _Lock(name, *_written(name))
        except FileExistsError:
            return None
    finally:
        draft.unlink(missing_ok=True)
    os.close(handle)
    return None


def _written(path: Path) -> tuple[int, Owner]:
    """Make a file that names this process as owner, locked by the kernel if it can."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        owner = owners.me(owners.lock_by_kernel(handle))
        os.write(handle, owners.text_of(owner).encode())
        os.close(os.dup(handle))  # NFS sends off what was written when a handle is closed
    except OSError:
        os.close(handle)
        path.unlink(missing_ok=True)
        raise
    return handle, owner


def _clear(name: Path, dead: Owner) -> None:
    """Remove the lock file of a dead owner, and no other."""
    if owners.read(name) != dead:
        return
    aside = name.with_name(f"{name.name}.{secrets.token_hex(8)}")
    name.rename(aside)
    if owners.read(aside) != dead:  # the dead one woke, let it go, and it was taken: all since the look above
        with contextlib.suppress(FileExistsError):
            os.link(aside, name)
    aside.unlink(missing_ok=True)


def _release(lock: _Lock) -> None:
    """Let go of a lock, if it is still this process's."""
    try:
        with contextlib.suppress(OSError):
            if lock.owner.pid == os.getpid() and owners.read(lock.name) == lock.owner:
                lock.name.unlink(missing_ok=True)
    finally:
        os.close(lock.handle)


@contextlib.contextmanager
def _beating(lock: _Lock) -> Iterator[None]:
    """Touch the file from a thread while inside."""
    end = threading.Event()

    def beat() -> None:
        while not end.wait(owners.BEAT):
            with contextlib.suppress(OSError):  # the next look at the file tells what is the matter
                os.utime(lock.handle)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _still_held(lock: _Lock, path: Path, target: Path) -> None:
    """Raise EnvironmentProblem if ``target`` lies in the folder of ``path`` and the lock is no longer held."""
    if path.absolute().parent not in target.absolute().parents:
        return
    now = owners.read(lock.name)
    if now != lock.owner:
        who = "it was taken away" if now is None else f"{now} has it"
        said = f"the lock was lost while this program stood still, {who}; nothing more is written"
        raise EnvironmentProblem(said, path=path)
