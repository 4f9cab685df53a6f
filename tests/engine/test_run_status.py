"""What a run does, did, or died of, seen from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from crystalcli.cli.main import run as crystal
from crystalcli.contracts.host import Host
from crystalcli.contracts.options import NoOptions
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.host import life, run_status
from crystalcli.engine.host.run_status import RunStatus, of_run, runs_in, status
from crystalcli.engine.registry import plugin_manager
from crystalcli.engine.registry.plugin_loading import Origin
from crystalcli.engine.registry.plugin_manager import OfferedPart
from crystalcli.engine.run import locks, owners, progress
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.vocabulary.errors import NumericalFailure, Stopped, UsageError


@dataclass
class Doing(Work):
    """Does what a test wants."""

    what: Any
    settled = {}

    def do(self, run: Run) -> dict[str, Any]:
        return self.what(run) or {"n": 4}


def workflow(what: Any, **more: Any) -> Workflow:
    made: dict[str, Any] = {"headline": lambda report: f"{report['n']} things"} | more
    return Workflow(
        name="toy",
        summary="Toy.",
        options=NoOptions,
        prepare=lambda _request, _host: Doing(what),
        show=lambda _data: Shown([]),
        plan=lambda _data: Shown([]),
        **made,
    )


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a function as the work of a run in a folder of that name."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    parts = plugin_manager.registry().parts

    def done(what: Any, name: str = "run", **more: Any) -> RunStatus:
        record = workflow(what, **more)
        monkeypatch.setitem(parts, ("workflow", "toy"), OfferedPart(record, Origin("toy", "toy", "toy")))
        with suppress(Stopped, NumericalFailure, ZeroDivisionError):
            life.run(record, Request(NoOptions(), {}, tmp_path / name), Host())
        return of_run(tmp_path / name)

    return done


def raising(problem: Exception) -> Any:
    def what(run: Run) -> None:
        run.reporter.progress("thing 2 of 4", 1, 4)
        raise problem

    return what


def test_a_finished_run(do: Any) -> None:
    one = do(lambda run: run.reporter.progress("thing 4 of 4", 4, 4))
    assert (one.state, one.command, one.said, one.exit_code, one.again) == ("finished", "toy", "4 things", 0, "")
    assert one.told is None
    assert not (one.path / "progress.json").exists()
    assert one.seconds is not None
    assert one.started is not None


def test_some_failed_and_it_is_finished(do: Any) -> None:
    assert do(lambda _run: {"n": 1, "exit_code": 3}).state == "finished"


def test_a_headline_that_cannot_be_made_costs_the_headline(do: Any) -> None:
    one = do(lambda _run: None, headline=lambda _report: 1 / 0)
    assert (one.state, one.said) == ("finished", "")


def test_a_stopped_run_says_how_far_it_was_and_how_to_go_on(do: Any) -> None:
    one = do(raising(Stopped("stopped by SIGTERM at thing 2; the same command goes on")))
    assert (one.state, one.exit_code, one.said) == ("stopped", 75, "stopped by SIGTERM at thing 2")
    assert one.again == f"crystal toy --resume {one.path}"
    assert one.told is not None
    assert (one.told.words, progress.share(one.told.levels)) == ("thing 2 of 4", 0.25)


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [(NumericalFailure("energies went away"), 7, "energies went away"), (ZeroDivisionError("by 0"), 1, "by 0")],
)
def test_a_failed_run_says_why(do: Any, problem: Exception, code: int, said: str) -> None:
    one = do(raising(problem))
    assert (one.state, one.exit_code, one.said) == ("failed", code, said)


def test_a_run_under_way_and_the_runs_in_it(do: Any, tmp_path: Path) -> None:
    seen: list[RunStatus] = []

    def inner(run: Run) -> None:
        run.reporter.progress("epoch 1 of 2", 0.5, 2)
        seen.append(of_run(tmp_path / "run"))

    def outer(run: Run) -> None:
        for k in (1, 9, 10):
            record = workflow(inner if k == 10 else lambda _run: None)
            plugin_manager.registry().parts["workflow", "toy"] = OfferedPart(record, Origin("toy", "toy", "toy"))
            run.child("toy", f"member-{k}", {}, {}, reporter=run.reporter.within(f"run {k} of 10", k - 1, 10))

    do(outer)
    (one,) = seen
    assert (one.state, one.said, one.again) == ("running", "run 10 of 10, epoch 1 of 2", "")
    assert one.where == f"process {os.getpid()} on {owners.me(True).host}"
    assert one.told is not None
    assert progress.share(one.told.levels) == pytest.approx(0.925)
    assert [(c.path.name, c.state) for c in one.children] == [
        ("member-1", "finished"),
        ("member-9", "finished"),
        ("member-10", "running"),
    ]
    last = one.children[-1]
    assert last.told is not None
    assert (last.said, len(last.told.levels)) == ("epoch 1 of 2", 1)  # what is its own
    assert one.to_json()["runs"][2]["progress"]["share"] == 0.25


def begun(path: Path, **more: Any) -> RunFolder:
    return RunFolder.create(path, overwrite=False, facts={"command": "train", "finished": False, **more}, config={})


def test_a_killed_run(tmp_path: Path) -> None:
    begun(tmp_path / "run").log("epoch 3/12")
    code = "import sys, time\nfrom pathlib import Path\nfrom crystalcli.engine.run import locks\n"
    code += "with locks.run_locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    words = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        alive = of_run(tmp_path / "run")
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (alive.state, alive.where.split(" on ")[0]) == ("running", f"process {other.pid}")
    dead = of_run(tmp_path / "run")
    assert (dead.state, dead.said) == ("killed", "died without a word; at last: epoch 3/12")
    assert dead.again == f"crystal train --resume {dead.path}"
    assert (tmp_path / "run" / ".run.lock").exists()  # looking changes nothing


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock of a run on another machine, which no kernel of this one knows of."""
    monkeypatch.setattr(owners, "BEAT", 0.4)
    monkeypatch.setattr(owners, "POLL", 0.05)
    begun(tmp_path / "run", host={"slurm_job": "77"})
    lock = locks.lock_of(tmp_path / "run")
    lock.write_text(owners.text_of(replace(owners.me(False), host="node7", machine="node7 another-boot", pid=12)))
    return lock


def test_on_another_machine(elsewhere: Path) -> None:
    one = of_run(elsewhere.parent)
    assert (one.state, one.where) == ("running", "process 12 on node7, Slurm job 77")


def test_on_another_machine_whose_clock_is_wrong(elsewhere: Path) -> None:
    """Its touches are hours old by ours, and it goes on touching."""
    long_ago = time.time() - 9999
    os.utime(elsewhere, (long_ago, long_ago))
    code = "import os, sys, time\nfor k in range(40):\n    time.sleep(0.05)\n    os.utime(sys.argv[1], (k, k))\n"
    with subprocess.Popen([sys.executable, "-c", code, str(elsewhere)]):
        assert of_run(elsewhere.parent).state == "running"


def test_on_another_machine_and_not_heard_of(elsewhere: Path) -> None:
    long_ago = time.time() - 7200
    os.utime(elsewhere, (long_ago, long_ago))
    one = of_run(elsewhere.parent)
    said = "no sign of process 12 on node7, Slurm job 77 for 2.0 h: killed, or its machine or file system stands still"
    assert (one.state, one.said) == ("unknown", said)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"levels": 3}', '{"levels": [{"x": 1}], "at": 1}'])
def test_broken_files_are_not_believed(tmp_path: Path, text: str) -> None:
    begun(tmp_path / "a")
    (tmp_path / "a" / "progress.json").write_text(text)
    assert of_run(tmp_path / "a").told is None
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_text(text)
    assert of_run(tmp_path / "b").state == "unknown"


def test_words_of_files_steer_no_terminal(tmp_path: Path) -> None:
    begun(tmp_path / "a").log("epoch \x1b[2J 3")
    assert of_run(tmp_path / "a").last == r"epoch \x1b[2J 3"


@pytest.fixture
def some(tmp_path: Path) -> Iterator[Path]:
    """A folder with runs of three kinds, one of them below another folder, and a link to one."""
    runs = tmp_path / "runs"
    for name, code, when in (("deep/old", 2, "01"), ("middle", 75, "02"), ("new", None, "03")):
        folder = begun(runs / name, exit_code=code, started=f"2026-11-{when}T10:00:00+00:00")
        folder.record["exit_code"] = code
        folder.write_record()
    begun(runs / "middle" / "member-0")
    (runs / "latest").symlink_to("middle")
    with ExitStack() as inside:
        inside.enter_context(locks.run_locked(runs / "new"))
        yield runs


def test_all_runs_the_newest_last(some: Path) -> None:
    assert [(one.path.name, one.state) for one in runs_in(some)] == [
        ("old", "failed"),
        ("middle", "stopped"),
        ("new", "running"),
    ]
    assert [one.path.name for one in runs_in(some / "middle")] == ["middle"]
    with pytest.raises(UsageError, match="no such folder: nothing has run here yet"):
        runs_in(some / "none")


def test_the_commands(some: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(some.parent)
    assert crystal(["runs"]) == 0
    heads, *rows, counts = capsys.readouterr().out.splitlines()
    assert heads.split() == ["run", "state", "command", "size", "begun"]
    assert [row.split()[:3] for row in rows] == [
        ["deep/old", "failed", "train"],
        ["middle", "stopped", "train"],
        ["new", "running", "train"],
    ]
    assert counts == "1 failed, 1 stopped, 1 running"
    assert crystal(["runs", "--state", "stopped,failed", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["runs"]
    assert [(one["state"], one["bytes"] > 0) for one in found] == [("failed", True), ("stopped", True)]
    assert crystal(["status"]) == 0  # of the newest
    assert capsys.readouterr().out.startswith("runs/new: crystal train, running for ")
    assert crystal(["status", "runs/latest", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["runs"][0]["path"]) == ("stopped", "runs/latest/member-0")
    for words, said in (
        (["status", "runs"], "is no run folder; crystal runs runs lists those in it"),
        (["status", "nothing"], "no run is there"),
        (["runs", "--state", "dead"], "no state 'dead'"),
    ):
        assert crystal(words) == 2
        assert said in capsys.readouterr().err


def test_without_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert crystal(["status"]) == 2
    (tmp_path / "runs").mkdir()
    assert crystal(["runs"]) == 0
    assert capsys.readouterr().out == "no runs in runs\n"


def test_of_a_command_that_writes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    ase_build = pytest.importorskip("ase.build")
    ase_io = pytest.importorskip("ase.io")
    monkeypatch.chdir(tmp_path)
    crystals = [ase_build.bulk("Cu", a=3.6 + 0.01 * k, cubic=True) for k in range(4)]
    ase_io.write("some.extxyz", crystals, format="extxyz")
    seen: list[RunStatus] = []
    sound = progress.Notes.hear

    def hear(self: Any, levels: Any) -> None:
        sound(self, levels)
        seen.append(status(Path("graphs.h5")))

    monkeypatch.setattr(progress.Notes, "hear", hear)
    assert crystal(["build-graphs", "some.extxyz", "--jobs", "1"]) == 0
    assert {(one.state, one.command) for one in seen} == {("running", "build-graphs")}
    assert "4 of 4 graphs" in seen[-1].said
    assert seen[-1].told is not None
    assert progress.share(seen[-1].told.levels) == 1.0
    assert status(Path("graphs.h5")).state == "finished"
    assert not [p for p in tmp_path.iterdir() if "progress" in p.name]
    # one that was killed: its file of notes is there, and nobody holds the lock
    progress.beside(Path("other.h5")).write_text(
        json.dumps({"command": "build-graphs", "argv": ["crystal", "build-graphs", "x"], **seen[0].told.to_json()})  # type: ignore[union-attr]
    )
    one = status(Path("other.h5"))
    assert (one.state, one.again) == ("stopped", "crystal build-graphs x")


def test_size_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").write_bytes(b"x" * 24)
    assert run_status.size_of(tmp_path) == 1024
