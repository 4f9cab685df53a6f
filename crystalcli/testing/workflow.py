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

from crystalcli.contracts.workflow_record import Workflow

RUN_FILES = frozenset({"config.toml", "log.txt", "metrics.jsonl", "report.json", "run.json"})
"""What the host writes."""


class WorkflowContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    The record's ``example`` gives the command line that is tried; without one nothing is run, and the tests say so. The
    workflow must be known to ``crystal``: installed, or named in ``CRYSTAL_PLUGINS``. One without a run folder is tried
    in folders of its own with the example's files, and writes where its ``output`` says when nobody names it.
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
        from crystalcli.cli.main import run

        out = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            found = run(words)
        said = out.getvalue()
        assert found == code, f"exit code {found} instead of {code}: {said}"
        assert "Traceback" not in said, said
        return said

    def place(self, tmp_path: Path, name: str) -> tuple[list[str], Path, Path]:
        """Where a run called ``name`` works: more words, the folder it is started in, that of its results."""
        if self.part.home == "folder":
            return ["-o", name], tmp_path, tmp_path / name
        there = tmp_path.with_name(f"{tmp_path.name}-{name}")
        if not there.exists():
            shutil.copytree(tmp_path, there)
        return [], there, there

    def results(self, folder: Path) -> dict[str, bytes]:
        """Contents of all that the workflow itself left in a run's folder."""
        return dict(self._results(folder))

    def _results(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and path.name not in RUN_FILES and not path.name.startswith("."):
                yield name, path.read_bytes()

    def report(self, folder: Path) -> dict[str, object]:
        """What report.json says, without the folder's name; nothing where there is none."""
        if self.part.home == "file":
            return {}
        found: dict[str, object] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return {k: v for k, v in found.items() if k != "output"}

    def test_dry_run(self, words: list[str], tmp_path: Path) -> None:
        """Nothing is written."""
        more, home, _ = self.place(tmp_path, "run")
        before = {p for p in home.rglob("*") if p.is_file()}
        said = self.crystal([*words, "--dry-run", *more], home)
        assert self.part.home == "file" or "nothing was written" in said
        json.loads(self.crystal([*words, "--dry-run", "--json", "--quiet", *more], home))
        assert {p for p in home.rglob("*") if p.is_file()} == before

    def test_run(self, words: list[str], tmp_path: Path) -> None:
        """It ends well, says so, and leaves only what its record names; again it does nothing, anew the same."""
        if self.part.home == "file":
            self.try_files(words, tmp_path)
            return
        self.crystal([*words, "-o", "run"], tmp_path)
        run = tmp_path / "run"
        names = {p.name for p in run.iterdir() if not p.name.startswith(".")} - RUN_FILES
        unnamed = {n for n in names if not any(Path(n).match(w) for w in self.part.writes)}
        assert not unnamed, f"left in the folder, and not among `writes`: {sorted(unnamed)}"
        assert names, "nothing is written but what the host writes"
        headline = self.part.headline(json.loads((run / "report.json").read_text(encoding="utf-8")))
        assert isinstance(headline, str), f"headline gives a {type(headline).__name__}"
        assert "\n" not in headline, "headline is more than a line"
        found, stamp = self.results(run), (run / "run.json").read_bytes()
        assert "finished before" in self.crystal([*words, "-o", "run"], tmp_path)
        assert (run / "run.json").read_bytes() == stamp
        self.crystal([*words, "-o", "run", "--overwrite"], tmp_path)
        assert self.results(run) == found, "a second run gives other files"
        self.crystal([self.part.name, "-c", "run/config.toml", "-o", "again"], tmp_path)
        assert self.results(tmp_path / "again") == found, "config.toml runs something else"

    def try_files(self, words: list[str], tmp_path: Path) -> None:
        """Of one without a run folder: again it changes nothing, whether it refuses or has nothing to do."""
        _, home, _ = self.place(tmp_path, "run")
        before = self.results(home)
        self.crystal(words, home)
        found = self.results(home)
        assert found.keys() > before.keys(), "nothing is written"
        assert {n: found[n] for n in before} == before, "an input was changed"
        out = io.StringIO()
        from crystalcli.cli.main import run

        with contextlib.chdir(home), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            assert run(words) in (0, 2), out.getvalue()
        assert self.results(home) == found, "what was there is overwritten, and nobody asked for it"
        self.crystal([*words, "--overwrite"], home)
        assert self.results(home) == found, "a second run gives other files"

    def test_json(self, words: list[str], tmp_path: Path) -> None:
        """One object, which is that of report.json."""
        out = io.StringIO()
        from crystalcli.cli.main import run

        more, home, results = self.place(tmp_path, "run")
        with contextlib.chdir(home), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            assert run([*words, *more, "--json"]) == 0
        said = json.loads(out.getvalue())
        assert said["exit_code"] == 0
        if self.part.home == "folder":
            assert {k: v for k, v in said.items() if k != "output"} == self.report(results)

    def test_page(self, words: list[str], tmp_path: Path) -> None:
        """``--report`` makes a page of the finished run, and its own sections, if it has any, raise nothing."""
        if self.part.home == "file":
            pytest.skip("has no run folder, and so no page")
        self.crystal([*words, "-o", "run"], tmp_path)
        said = self.crystal([*words, "-o", "run", "--report"], tmp_path)
        assert "could not be made" not in said, said
        assert "What was asked" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")

    def test_killed(self, words: list[str], tmp_path: Path) -> None:
        """Killed at random moments, it goes on by the same command, and ends with the same files."""
        more, home, whole = self.place(tmp_path, "whole")
        self.crystal([*words, *more], home)
        program = [sys.executable, "-m", "crystalcli"]
        chance = random.Random(0)
        more, home, timed = self.place(tmp_path, "timed")
        process = self.begun([*program, *words, *more], home)
        self.wait_for_the_run(process, timed)
        started = time.monotonic()
        self.complete(process)
        seconds, killed = time.monotonic() - started, 0
        for _ in range(4 * self.kills):
            more, home, results = self.place(tmp_path, "killed")
            process = self.begun([*program, *words, *more], home)
            self.wait_for_the_run(process, results)
            first = 0.0 if self.part.home == "folder" else 0.3  # the beginning of its work is not to be seen
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds * chance.uniform(first, 0.9))
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.communicate()
            if killed == self.kills:
                break
            if process.returncode == 0:
                shutil.rmtree(results)
        more, home, results = self.place(tmp_path, "killed")
        again = [] if self.part.resumes else ["--overwrite"]
        self.complete(self.begun([*program, *words, *more, *again], home))
        assert killed, "ends too quickly to be killed"
        assert self.results(results) == self.results(whole)
        assert self.report(results) == self.report(whole)

    def begun(self, command: list[str], folder: Path) -> subprocess.Popen[str]:
        """A process of its own."""
        return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for_the_run(self, process: subprocess.Popen[str], folder: Path) -> None:
        """Wait until the process has begun, or gone on with, the run in ``folder``; not where there is none."""
        if self.part.home == "file":
            return
        record = folder / "run.json"
        before = record.stat().st_mtime_ns if record.exists() else 0
        while process.poll() is None and not (record.exists() and record.stat().st_mtime_ns > before):
            time.sleep(0.01)

    def complete(self, process: subprocess.Popen[str]) -> None:
        """A process that ends well."""
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
