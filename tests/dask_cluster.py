"""A real Dask scheduler and its workers, as a user starts them, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parent
DASK = [sys.executable, "-m", "dask"]


@dataclass
class Cluster:
    """Processes of a cluster; ``file`` tells where the scheduler is."""

    folder: Path
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> str:
        return str(self.folder / "scheduler.json")

    def start(self, workers: int = 2) -> None:
        self.scheduler = self._run("scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", self.file)
        for _ in range(workers):
            self.add()
        wait_for(lambda: Path(self.file).exists())

    def add(self) -> None:
        """One more worker, with its nanny, in a process group of its own."""
        wait_for(lambda: Path(self.file).exists())
        words = ("--scheduler-file", self.file, "--nthreads", "1", "--local-directory", str(self.folder / "scratch"))
        self.workers.append(self._run("worker", *words))

    def kill_worker(self) -> None:
        """``kill -9`` of a worker and its nanny, as when a machine fails; another comes."""
        kill(self.workers.pop(0))
        self.add()

    def end(self) -> None:
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            kill(process)

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        env = os.environ | {"PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                [*DASK, *words, "--no-dashboard"], stdout=log, stderr=log, env=env, start_new_session=True
            )


def kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(true: object, seconds: float = 60.0) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def address(file: str) -> str:
    return str(json.loads(Path(file).read_text())["address"])
