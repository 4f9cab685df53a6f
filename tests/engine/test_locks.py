"""Locks between real processes: refused, killed, suspended, on other hosts, taken over by many at once."""

import errno
import fcntl
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crystalcli.engine.run import files, owners
from crystalcli.engine.run.journal import Journal
from crystalcli.engine.run.locks import locked
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
CONTEXT = multiprocessing.get_context("fork")
QUICK = {"BEAT": 0.05, "PATIENCE": 0.6, "POLL": 0.02}


@pytest.fixture(params=["kernel", "no-locks", "no-links"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems with locks of the kernel, without, and with neither these nor hard links."""

    def no(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK if request.param == "no-locks" else errno.EPERM, "No locks, or no links")

    if request.param != "kernel":
        monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "No locks")))
    if request.param == "no-links":
        monkeypatch.setattr(os, "link", no)


@contextmanager
def child(work: Callable[[], object]) -> Iterator[Any]:
    """``work`` in another process."""
    process = CONTEXT.Process(target=work, daemon=True)
    process.start()
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.join()


def elsewhere(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Have this process be on another machine, whose kernel does not know of locks here (or the other way round)."""
    monkeypatch.setattr(owners, "machine", lambda: host)
    monkeypatch.setattr(owners.socket, "gethostname", lambda: host)
    sound = owners._kernel
    monkeypatch.setattr(owners, "_kernel", lambda name: owners.SILENT if sound(name) == owners.SILENT else owners.FREE)


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUICK.items():
        monkeypatch.setattr(owners, name, value)


def holding(path: Path, host: str = "", *, beats: bool = True, clock: float = 0.0) -> Callable[[], None]:
    """Hold the lock for long; the clock of the host's touches is off by ``clock`` seconds."""

    def hold() -> None:
        with pytest.MonkeyPatch.context() as patch:
            if host:
                elsewhere(patch, host)
            touch = os.utime
            late = lambda handle: touch(handle, (time.time() + clock,) * 2)  # noqa: E731
            patch.setattr(os, "utime", late if beats else lambda _handle: None)
            with locked(path):
                (path.parent / "held").write_text("")
                time.sleep(60)

    return hold


def until(there: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not there():
        assert time.monotonic() < end
        time.sleep(0.005)


def refused(path: Path) -> str:
    with pytest.raises(EnvironmentProblem) as caught, locked(path):
        pass
    assert caught.value.exit_code == Exit.ENVIRONMENT
    return str(caught.value)


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != "held")


@pytest.mark.usefixtures("system")
def test_the_second_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    path, host = tmp_path / "a.h5", owners.socket.gethostname()
    with locked(path):
        assert f"process {os.getpid()} on {host} is writing it" in refused(path)
    with child(holding(path)) as first:
        until((tmp_path / "held").exists)
        assert f"process {first.pid} on {host} is writing it" in refused(path)
    with locked(path):
        assert left(tmp_path) == [".a.h5.lock"]
    assert left(tmp_path) == []


@pytest.mark.usefixtures("system")
def test_a_killed_owner_of_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with child(holding(path)) as first:
        until((tmp_path / "held").exists)
        dead = files.unforeseen(path)
        dead.touch()
        os.utime(dead, (1.0, 1.0))  # where the kernel has no locks, age tells that nobody writes it
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: owners._began(first.pid) is None)  # dead, though nobody has asked what became of it
        began = time.monotonic()
        with locked(path):
            assert time.monotonic() - began < owners.POLL
            assert left(tmp_path) == [".a.h5.lock"]
    assert left(tmp_path) == []


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("clock", [0.0, 86400.0, -86400.0])
def test_owners_on_other_hosts_are_judged_by_their_beats_and_not_by_their_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: float
) -> None:
    impatient(monkeypatch)
    path = tmp_path / "a.h5"
    with child(holding(path, "far", clock=clock)) as first:
        until((tmp_path / "held").exists)
        elsewhere(monkeypatch, "near")
        assert f"process {first.pid} on far is writing it" in refused(path)
        os.kill(first.pid, signal.SIGKILL)
        began = time.monotonic()
        with locked(path):
            assert time.monotonic() - began > 0.9 * QUICK["PATIENCE"]
    assert left(tmp_path) == []


def test_a_lock_that_says_nothing_is_judged_by_its_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    path = tmp_path / "a.h5"
    (tmp_path / ".a.h5.lock").write_text('{"host": "old", "pid"')
    with locked(path):
        pass
    assert left(tmp_path) == []


def test_a_host_that_began_anew_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a process that was before means another one, or none, now."""
    impatient(monkeypatch)
    (tmp_path / ".a.h5.lock").write_text(owners.text_of(replace(owners.me(True), machine="before")))
    began = time.monotonic()
    with locked(tmp_path / "a.h5"):
        assert time.monotonic() - began > 0.9 * QUICK["PATIENCE"]


@pytest.mark.usefixtures("system")
def test_an_owner_that_stood_still_too_long_stops_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    path, told = tmp_path / "a.txt", tmp_path / "told"

    def owner() -> None:
        with pytest.MonkeyPatch.context() as patch:
            elsewhere(patch, "far")
            with locked(path):
                files.write_text(path, "first")
                (tmp_path / "held").write_text("")
                until((tmp_path / "on").exists)
                for write in (
                    lambda: files.write_text(path, "late"),
                    lambda: Journal(tmp_path / "journal", "run").add("key", 1),
                ):
                    try:
                        write()
                    except EnvironmentProblem as problem:
                        with told.open("a") as file:
                            file.write(f"{int(problem.exit_code)} {problem}\n")

    with child(owner) as first:
        until((tmp_path / "held").exists)
        os.kill(first.pid, signal.SIGSTOP)
        elsewhere(monkeypatch, "near")
        with locked(path):
            files.write_text(path, "second")
            (tmp_path / "on").touch()
            os.kill(first.pid, signal.SIGCONT)
            first.join(20)
            assert owners.read(tmp_path / ".a.txt.lock").host == "near", "the late one let go of what is not its own"
        assert path.read_text() == "second"
        assert not (tmp_path / "journal").exists()
        said = told.read_text().splitlines()
        assert len(said) == 2
        for line in said:
            assert line.startswith(f"5 {path}: the lock was lost")
            assert f"process {os.getpid()} on near has it" in line


def crowd(n: int, work: Callable[[int], object]) -> None:
    """``work(k)`` in n processes; all must end well."""
    crew = [CONTEXT.Process(target=work, args=(k,)) for k in range(n)]
    for process in crew:
        process.start()
    for process in crew:
        process.join(120)
    assert [p.exitcode for p in crew] == [0] * n


def alone(folder: Path) -> None:
    """Fail if somebody else is here now."""
    handle = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)
    time.sleep(random.random() * 0.002)
    (folder / "inside").unlink()
    os.close(handle)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("where", ["here", "far"])
@pytest.mark.parametrize("rounds", [4, pytest.param(150, marks=pytest.mark.slow)])
def test_of_many_that_take_a_dead_ones_lock_one_at_a_time_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, rounds: int
) -> None:
    """Six processes come upon the lock of a dead owner at one time, over and over; half are on other hosts."""
    path, takers = tmp_path / "a.h5", 6
    impatient(monkeypatch)
    monkeypatch.setattr(owners, "PATIENCE", 0.3)
    dead = owners.me(True)
    dead = replace(dead, machine="far") if where == "far" else replace(dead, began="before")
    gate = CONTEXT.Barrier(takers)

    def take(k: int) -> None:
        wins = 0
        with pytest.MonkeyPatch.context() as patch:
            if k % 2:
                elsewhere(patch, f"near {k}")
            for _ in range(rounds):
                if gate.wait(60) == 0:
                    (tmp_path / ".a.h5.lock").write_text(owners.text_of(dead))
                gate.wait(60)
                with suppress(EnvironmentProblem), locked(path):
                    alone(tmp_path)
                    wins += 1
                    time.sleep(0.1)  # longer than all need to come
        (tmp_path / f"wins {k}").write_text(str(wins))

    crowd(takers, take)
    wins = [int(p.read_text()) for p in tmp_path.glob("wins *")]
    assert sum(wins) >= rounds
    assert not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_eight_writers_and_sixteen_readers(tmp_path: Path, rounds: int) -> None:
    """Every item is in the result once, and who reads sees whole files only."""
    path, writers, readers = tmp_path / "result.json", 8, 16
    files.write_text(path, json.dumps([]))

    def write(k: int) -> None:
        for n in range(rounds):
            while True:
                try:
                    with locked(path):
                        alone(tmp_path)
                        files.write_text(path, json.dumps([*json.loads(path.read_text()), [k, n]]))
                    break
                except EnvironmentProblem:
                    time.sleep(random.random() * 0.02)

    def read() -> None:
        seen = 0
        while seen < writers * rounds:
            found = len(json.loads(path.read_text()))
            assert found >= seen
            seen = found
            time.sleep(0.002)

    crowd(writers + readers, lambda k: write(k) if k < writers else read())
    assert sorted(json.loads(path.read_text())) == [[k, n] for k in range(writers) for n in range(rounds)]
    assert left(tmp_path) == ["result.json"]
