"""Who owns a lock file, and whether they live: by the word of the kernel, the table of processes, or their beats."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import stat
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from crystalcli.vocabulary.errors import EnvironmentProblem

BEAT = 10.0
"""Seconds between two touches of a lock file by its owner."""
PATIENCE = 60.0
"""Seconds without a touch after which an owner that cannot be asked is given up."""
POLL = 1.0
"""Seconds between two looks at a lock file whose owner cannot be asked."""
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without locks say."""
LONGEST = 1 << 16
"""Bytes of a lock file that are read; a real one has some hundred."""
GONE = (errno.ENOENT, errno.ESTALE)
"""What they say of a file that somebody has removed; NFS has a word of its own."""
HELD, FREE, SILENT = "held", "free", "silent"
"""What the kernel says of a lock: a living process has it; none that it knows of; it knows nothing."""


@dataclass(frozen=True)
class Owner:
    """What a lock file says.

    Args:
        token: nobody else has it.
        host, pid: for people.
        machine, began: kernel and name space of processes in which the number counts, and when the process began there.
        since: when it took the lock.
        kernel: the kernel holds the lock for it, too.
    """

    token: str
    host: str = ""
    pid: int = 0
    machine: str = ""
    began: str = ""
    since: str = ""
    kernel: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.pid else "another program"


def me(kernel: bool) -> Owner:
    """This process, with a token that is new."""
    pid = os.getpid()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Owner(secrets.token_hex(8), socket.gethostname(), pid, machine(), _began(pid) or "", now, kernel)


def text_of(owner: Owner) -> str:
    """What is written into the file."""
    return json.dumps(asdict(owner))


def read(name: Path) -> Owner | None:
    """The owner that a lock file names; none if there is no such file, somebody unknown if nothing is to be read."""
    if (handle := _opened(name)) is None:
        return None
    try:
        text, inode = os.read(handle, LONGEST), os.fstat(handle).st_ino
    finally:
        os.close(handle)
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        return Owner(f"unknown {inode}")


def lives(name: Path, owner: Owner) -> bool:
    """Whether ``owner``, read from the lock file ``name``, must be thought to be at work; false if the file is gone.

    A process of this machine is asked for. Of any other only the touches of the file speak, and no clock but this
    process's own: it looks until it sees one, at most for ``PATIENCE``. Time in which the file system gave no answer,
    or this process stood still, does not count.
    """
    known = _asked(name, owner)
    return _beats(name, PATIENCE) if known is None else known


def seen(name: Path, owner: Owner) -> bool | None:
    """The same for onlookers, who decide nothing by it and do not wait as long; none where nothing can be said.

    A touch that is recent by the clock of this machine is believed; else the owner has a beat's time to touch the file.
    """
    known = _asked(name, owner)
    if known is not None:
        return known
    if (touched := _touched(name)) is None:
        return False
    if abs(time.time() - touched[1] * 1e-9) < PATIENCE:
        return True
    return _beats(name, BEAT + 2 * POLL) or None


def last_touch(name: Path) -> float | None:
    """When the owner of a lock file last touched it, by the clock of its file system; seconds since 1970."""
    touched = _touched(name)
    return None if touched is None else touched[1] * 1e-9


def _asked(name: Path, owner: Owner) -> bool | None:
    """Whether the owner lives, by the word of the kernel; none where it knows nothing of a process of elsewhere."""
    here = owner.machine == machine()
    runs = here and bool(owner.began) and _began(owner.pid) == owner.began
    said = _kernel(name)
    asked = time.monotonic()
    while said == HELD and here and not runs and time.monotonic() - asked < POLL:
        time.sleep(0.01)  # a dead process is still being cleared away, its other threads last
        said = _kernel(name)
    if said == HELD:
        return True
    return runs and (said == SILENT or not owner.kernel) if here else None


def _beats(name: Path, patience: float) -> bool:
    """Whether the file is touched while this process looks at it."""
    first, quiet, last = _touched(name), 0.0, time.monotonic()
    while first is not None and quiet < patience:
        time.sleep(POLL)
        now, touched = time.monotonic(), _touched(name)
        if touched is None or touched[0] != first[0]:
            return False
        if touched != first:
            return True
        quiet, last = quiet + min(now - last, 2 * POLL), time.monotonic()
    return False


def lock_by_kernel(handle: int) -> bool:
    """Have the kernel hold the lock on an open file until its last handle is closed; whether it can."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise
        return False
    return True


def let_go(handle: int) -> None:
    """Have the kernel hold the lock on an open file no longer."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)


def lock_if_free(handle: int) -> bool:
    """Lock an open file that no living process has locked; whether it was free.

    Where the kernel has no locks it is thought free when nobody has written to it for :data:`PATIENCE` seconds.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise
        return time.time() - os.fstat(handle).st_mtime > PATIENCE
    return True


def machine() -> str:
    """Where the number of a process means the same: name of the host, this boot of its kernel, name space."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _kernel(name: Path) -> str:
    if (handle := _opened(name)) is None:
        return FREE
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return HELD
    except OSError as problem:
        if problem.errno not in NO_LOCKS:
            raise
        return SILENT
    finally:
        os.close(handle)
    return FREE


def _began(pid: int) -> str | None:
    """When a process of this machine began, as its kernel counts; none if it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return _without_proc(pid)
    return None if fields[0] in "ZX" else fields[19]


def _without_proc(pid: int) -> str | None:
    """The same where processes are no files."""
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"


def _touched(name: Path) -> tuple[int, int] | None:
    """File and time of its last touch, by the clock of whoever keeps it; none if it is gone."""
    if (handle := _opened(name)) is None:
        return None
    try:
        found = os.fstat(handle)
        return found.st_ino, found.st_mtime_ns
    finally:
        os.close(handle)


def _opened(name: Path) -> int | None:
    """A handle of the lock file; none if it is gone. NFS asks its server at each opening, and need not otherwise.

    Raises:
        EnvironmentProblem: it is a link or no regular file: no program of ours made it.
    """
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        if problem.errno in GONE:
            return None
        if problem.errno == errno.ELOOP:
            raise EnvironmentProblem("stands in the place of a lock and is a link; remove it", path=name) from problem
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise EnvironmentProblem("stands in the place of a lock and is no regular file; remove it", path=name)
    return handle
