"""Writes that fail, tear or are the last thing a program does (an fsync ends each); kills at any time."""

import errno
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path

import pytest


def nth_write(monkeypatch: pytest.MonkeyPatch, n: int, at: str) -> list[int]:
    """Let the n-th write fail (``full``), tear, or kill the program, before it is durable; returns the count."""
    seen = [0]
    sound = os.fsync

    def sync(handle: int) -> None:
        seen[0] += 1
        if seen[0] == n:
            if at == "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            path = Path(f"/proc/self/fd/{handle}").resolve()
            if at == "tear" and path.is_file():
                os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        sound(handle)

    monkeypatch.setattr(os, "fsync", sync)
    return seen


def in_a_child(work: Callable[[], object], n: int, at: str) -> bool:
    """Do ``work`` in another process that dies at its n-th write; whether it died. It must not fail otherwise."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _no_forkserver()
            with pytest.MonkeyPatch.context() as patch:
                nth_write(patch, n, at)
                work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _no_forkserver() -> None:
    """The server of forks belongs to the process that was forked here; a program of its own begins without one."""
    forkserver._forkserver._forkserver_pid = None  # type: ignore[attr-defined]


def killed_after(seconds: float, work: Callable[[], object]) -> bool:
    """Do ``work`` in another process and kill that after some seconds; whether it was still at work."""
    end = time.monotonic() + seconds
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _no_forkserver()
            work()
            code = 0
        finally:
            os._exit(code)
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return False
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True
