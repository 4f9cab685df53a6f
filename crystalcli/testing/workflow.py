"""What every workflow must do."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from crystalcli.contracts.records import Workflow

RUN_FILES = frozenset({"config.toml", "log.txt", "metrics.jsonl", "report.json", "run.json"})
"""What the host writes."""


class WorkflowContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    The record's ``example`` gives the command line that is tried; without one nothing is run, and the tests say so. The
    workflow must be known to ``crystal``: installed, or named in ``CRYSTAL_PLUGINS``.
    """

    part: ClassVar[Workflow]
    kills: ClassVar[int] = 3

    @pytest.fixture
    def words(self, tmp_path: Path) -> list[str]:
        """Command line of the example, whose files are in ``tmp_path``."""
        if self.part.example is None:
            pytest.skip("not run: the record has no example, a function that writes a small input")
        return [self.part.name, *map(str, self.part.example(tmp_path))]

    def crystal(self, words: list[str], folder: Path, code: int = 0) -> str:
        """Run in this process; what it says."""
        from crystalcli.commands.main import run

        out = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            found = run(words)
        said = out.getvalue()
        assert found == code, f"exit code {found} instead of {code}: {said}"
        assert "Traceback" not in said, said
        return said

    def results(self, folder: Path) -> dict[str, bytes]:
        """Contents of all that the workflow itself left in a run's folder."""
        return dict(self._results(folder))

    def _results(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and path.name not in RUN_FILES and not path.name.startswith("."):
                yield name, path.read_bytes()

    def report(self, folder: Path) -> dict[str, object]:
        """What report.json says, without the folder's name."""
        found: dict[str, object] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return {k: v for k, v in found.items() if k != "output"}

    def test_dry_run(self, words: list[str], tmp_path: Path) -> None:
        """Nothing is written."""
        before = {p for p in tmp_path.rglob("*") if p.is_file()}
        assert "nothing was written" in self.crystal([*words, "--dry-run", "-o", "run"], tmp_path)
        json.loads(self.crystal([*words, "--dry-run", "--json", "--quiet", "-o", "run"], tmp_path))
        assert {p for p in tmp_path.rglob("*") if p.is_file()} == before

    def test_run(self, words: list[str], tmp_path: Path) -> None:
        """It ends well, says so, and leaves only what its record names; again it does nothing, anew the same."""
        self.crystal([*words, "-o", "run"], tmp_path)
        run = tmp_path / "run"
        names = {p.name for p in run.iterdir() if not p.name.startswith(".")} - RUN_FILES
        unnamed = {n for n in names if not any(Path(n).match(w) for w in self.part.writes)}
        assert not unnamed, f"left in the folder, and not among `writes`: {sorted(unnamed)}"
        assert names, "nothing is written but what the host writes"
        found, stamp = self.results(run), (run / "run.json").read_bytes()
        assert "finished before" in self.crystal([*words, "-o", "run"], tmp_path)
        assert (run / "run.json").read_bytes() == stamp
        self.crystal([*words, "-o", "run", "--overwrite"], tmp_path)
        assert self.results(run) == found, "a second run gives other files"
        self.crystal([self.part.name, "-c", "run/config.toml", "-o", "again"], tmp_path)
        assert self.results(tmp_path / "again") == found, "config.toml runs something else"

    def test_json(self, words: list[str], tmp_path: Path) -> None:
        """One object, which is that of report.json."""
        out = io.StringIO()
        from crystalcli.commands.main import run

        with contextlib.chdir(tmp_path), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            assert run([*words, "-o", "run", "--json"]) == 0
        said = json.loads(out.getvalue())
        assert said["exit_code"] == 0
        assert {k: v for k, v in said.items() if k != "output"} == self.report(tmp_path / "run")

    def test_killed(self, words: list[str], tmp_path: Path) -> None:
        """Killed at random moments, it goes on by the same command, and ends with the same files."""
        self.crystal([*words, "-o", "whole"], tmp_path)
        program = [sys.executable, "-m", "crystalcli"]
        chance = random.Random(0)
        process = self.begun([*program, *words, "-o", "timed"], tmp_path)
        self.wait_for_the_run(process, tmp_path / "timed")
        started = time.monotonic()
        self.complete(process)
        seconds, killed = time.monotonic() - started, 0
        for _ in range(4 * self.kills):
            process = self.begun([*program, *words, "-o", "killed"], tmp_path)
            self.wait_for_the_run(process, tmp_path / "killed")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds * chance.uniform(0.0, 0.9))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.communicate()
            if killed == self.kills:
                break
            if process.returncode == 0:
                shutil.rmtree(tmp_path / "killed")
        self.complete(self.begun([*program, *words, "-o", "killed"], tmp_path))
        assert killed, "ends too quickly to be killed"
        assert self.results(tmp_path / "killed") == self.results(tmp_path / "whole")
        assert self.report(tmp_path / "killed") == self.report(tmp_path / "whole")

    def begun(self, command: list[str], folder: Path) -> subprocess.Popen[str]:
        """A process of its own."""
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for_the_run(self, process: subprocess.Popen[str], folder: Path) -> None:
        """Wait until the process has begun, or gone on with, the run in ``folder``."""
        record = folder / "run.json"
        before = record.stat().st_mtime_ns if record.exists() else 0
        while process.poll() is None and not (record.exists() and record.stat().st_mtime_ns > before):
            time.sleep(0.01)

    def complete(self, process: subprocess.Popen[str]) -> None:
        """A process that ends well."""
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
