"""The life of a run, with a workflow made for it: begun, gone on with, refused, replaced, stopped, in another run."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tomli

from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.options import option
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow import Run, Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.host import life
from crystalcli.engine.record import run_record
from crystalcli.engine.registry import plugin_manager
from crystalcli.engine.registry.plugin_loading import Origin
from crystalcli.engine.registry.plugin_manager import OfferedPart
from crystalcli.engine.run import files, locks
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.vocabulary.errors import (
    EnvironmentProblem,
    Exit,
    NumericalFailure,
    PluginFault,
    RefusedLate,
    Stopped,
    UsageError,
)


@dataclass(frozen=True)
class Counting:
    files: tuple[str, ...] = option((), "files whose letters are counted", argument=True)
    times: int = option(3, "how often", min=1)
    jobs: int = option(1, "who counts")
    fails: str = option("", "how it ends")


@dataclass
class Asked:
    """Stops after so many questions."""

    after: int

    def reason(self) -> str | None:
        self.after -= 1
        return "SIGTEST" if self.after < 0 else None


class Counter(Work):
    def __init__(self, request: Request, reporter: Host) -> None:
        self.o: Counting = request.options
        if self.o.times == 13:
            raise UsageError("no times of 13")
        reporter.warn("about to count")
        self.inputs = [Path(f) for f in self.o.files]
        self.closed = 0

    def describe(self) -> dict[str, Any]:
        return {"times": self.o.times}

    def do(self, run: Run) -> Mapping[str, Any]:
        done = [int(p.stem.partition("-")[2]) for p in sorted(run.path.glob("kept-*"))]
        for k in range(self.o.times):
            if k not in done:
                run.stop_if_asked()
                run.write(f"kept-{k}", "x")
                run.reporter.progress(f"time {k}", k, self.o.times)
        if self.o.fails == "numbers":
            raise NumericalFailure("went away")
        letters = sum(len(p.read_text()) for p in self.inputs) * self.o.times
        with run.writing("counted.txt") as file:
            file.write(f"{letters}\n".encode())
        return {"letters": letters, "before": done, "resumed": run.resumed} | (
            {"exit_code": 3} if self.o.fails == "some" else {}
        )


class Twice(Work):
    def __init__(self, request: Request, _host: Host) -> None:
        self.o: Counting = request.options

    def do(self, run: Run) -> Mapping[str, Any]:
        counted = [
            run.child("count", f"part-{k}", {"files": self.o.files, "times": k + self.o.times}, {}) for k in range(2)
        ]
        return {"letters": [c["letters"] for c in counted]}


def _shown(_data: Mapping[str, Any]) -> Shown:
    return Shown([])


def workflow(name: str, prepare: Any, **more: Any) -> Workflow:
    made: dict[str, Any] = {"options": Counting, "show": _shown, "plan": _shown, "free": frozenset({"jobs"})} | more
    return Workflow(name=name, summary="Count.", prepare=prepare, **made)


COUNT = workflow("count", Counter, writes=("counted.txt",), keeps=("kept-*",))
TWICE = workflow("twice", Twice, writes=("part-*",))


class Once(Work):
    """Counts the letters of its files once, for as many runs in it as are asked for; can be ended."""

    def __init__(self, request: Request, _host: Host) -> None:
        self.o: Counting = request.options
        self.read = [len(Path(f).read_text()) for f in self.o.files]
        self.settled = {} if self.o.fails else {"fails": "never"}
        self.heard: list[str] = []

    def do(self, run: Run) -> Mapping[str, Any]:
        done = []
        for k in range(self.o.times):
            if run.ending:
                break
            heard = Host(say=self.heard.append, hear=lambda levels: self.heard.append(f"{len(levels)} {levels[0].now}"))
            options = {"files": self.o.files, "times": k + 1}
            done.append(run.child("count", f"no-{k}", options, {}, reporter=heard, prepare=self._known)["letters"])
            assert not run.inner
        return {"letters": done, "heard": self.heard}

    def _known(self, request: Request, host: Host) -> Work:
        host.say(f"known: {sum(self.read)}")
        return Inner(request, host)


class Inner(Counter):
    def do(self, run: Run) -> Mapping[str, Any]:
        assert run.inner
        return {**super().do(run), "again": run.again}


ONCE = workflow("once", Once, end=lambda _request: None)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = plugin_manager.registry().parts
    for one in (COUNT, TWICE, ONCE):
        monkeypatch.setitem(parts, ("workflow", one.name), OfferedPart(one, Origin("toy", "toy", "toy")))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text("abcde")
    return path


def asked(text: Path, **options: Any) -> Request:
    return Request(Counting(files=(str(text),), **options), path=text.parent / "run")


def test_it_is_done_once(text: Path) -> None:
    heard: list[str] = []
    reporter = Host(heard.append, heard.append)
    done = life.run(COUNT, asked(text), reporter, latest=True)
    assert done.data == {"output": str(done.path), "letters": 15, "before": [], "resumed": False, "exit_code": 0}
    assert (text.parent / "latest").resolve() == done.path
    assert sorted(p.name for p in done.path.iterdir()) == [
        "config.toml",
        "counted.txt",
        "log.txt",
        "report.json",
        "run.json",
    ]
    assert "warning: about to count" in (done.path / "log.txt").read_text()  # said before the folder was there
    record = RunFolder.read(done.path)
    assert (record["command"], record["exit_code"], record["finished"]) == ("count", 0, True)
    assert record["outputs"] == ["counted.txt", "report.json"]
    before = (done.path / "run.json").read_bytes()
    again = life.run(COUNT, asked(text, jobs=4), reporter)
    assert again.before
    assert again.data == done.data
    assert heard[-1] == f"{done.path}: finished before; nothing to do"
    assert (done.path / "run.json").read_bytes() == before


def test_it_goes_on_where_it_stopped(text: Path) -> None:
    with pytest.raises(Stopped, match=rf"stopped by SIGTEST; the same command or --resume {text.parent}/run goes on"):
        life.run(COUNT, asked(text), stop=Asked(2))
    record = RunFolder.read(text.parent / "run")
    assert (record["exit_code"], record["finished"]) == (Exit.STOPPED, False)
    done = life.resume(COUNT, text.parent / "run", {"jobs": 2})
    assert (done.data["before"], done.data["resumed"], done.data["letters"]) == ([0, 1], True, 15)
    assert RunFolder.read(done.path)["request"]["options"]["jobs"] == 2


@pytest.mark.parametrize("fails", ["numbers", ""])
def test_what_goes_wrong_is_recorded_and_can_go_on(text: Path, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fails:  # a bug, not an error that is foreseen
        monkeypatch.setattr(Counter, "do", lambda _self, _run: 1 / 0)
    with pytest.raises(NumericalFailure if fails else ZeroDivisionError):
        life.run(COUNT, asked(text, fails=fails))
    record = RunFolder.read(text.parent / "run")
    assert record["exit_code"] == (Exit.NUMERICAL if fails else Exit.BUG)
    assert not record["finished"]


def test_a_report_says_how_it_ended(text: Path) -> None:
    done = life.run(COUNT, asked(text, fails="some"))
    assert done.data["exit_code"] == RunFolder.read(done.path)["exit_code"] == Exit.SOME_FAILED
    assert life.run(COUNT, asked(text, fails="some")).before


def test_refused_before_anything_is_written(text: Path) -> None:
    with pytest.raises(UsageError, match="no times of 13"):
        life.run(COUNT, asked(text, times=13))
    assert not (text.parent / "run").exists()
    assert life.describe(COUNT, asked(text), Host()) == {"times": 3, "output": str(text.parent / "run")}
    assert not (text.parent / "run").exists()


def test_another_run_is_refused_until_it_may_be_replaced(text: Path) -> None:
    done = life.run(COUNT, asked(text))
    (done.path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds another run of count \(times differ\); --overwrite replaces it"):
        life.run(COUNT, asked(text, times=4))
    (done.path / "kept-7").write_text("left by a kill")
    assert life.run(COUNT, asked(text, times=4), overwrite=True).data["before"] == []
    assert (done.path / "notes.txt").read_text() == "mine"
    with pytest.raises(UsageError, match=r"exists; give --overwrite"):
        life.run(TWICE, asked(text))
    with pytest.raises(UsageError, match=r"is no run of crystal twice but of crystal count"):
        life.resume(TWICE, done.path, {})
    record = json.loads((done.path / "run.json").read_text())
    (done.path / "run.json").write_text(json.dumps({k: v for k, v in record.items() if k != "request"}))
    with pytest.raises(UsageError, match=r"was written by an earlier crystal.*start it anew"):
        life.resume(COUNT, done.path, {})
    with pytest.raises(UsageError, match=r"is not a run folder"):
        life.resume(COUNT, text.parent, {})


def test_changed_and_other_inputs_are_refused(text: Path) -> None:
    with pytest.raises(Stopped):
        life.run(COUNT, asked(text), stop=Asked(1))
    text.write_text("abcd")
    for go_on in (lambda: life.run(COUNT, asked(text)), lambda: life.resume(COUNT, text.parent / "run", {})):
        with pytest.raises(UsageError, match=r"is not the file that this run was started with"):
            go_on()
    text.unlink()
    with pytest.raises(UsageError, match=r"text: cannot be read: a run goes on in the folder that it was started from"):
        life.resume(COUNT, text.parent / "run", {})
    text.write_text("abcde")
    assert life.run(COUNT, asked(text)).data["letters"] == 15


def test_what_a_kill_left_of_files_goes_though_they_never_get_their_names_again(text: Path) -> None:
    path = text.parent / "run"
    with pytest.raises(Stopped):
        life.run(COUNT, asked(text), stop=Asked(1))
    for name in ("counted.txt", "state-000000007.safetensors", "structures/a/frames"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        files.unforeseen(path / name).write_text("half of it")
    (path / ".mine.tmp").write_text("not ours")
    with files.writing(path / "alive.txt"):
        life.resume(COUNT, path, {})
        assert len(list(path.rglob(".alive.txt.*.tmp"))) == 1, "somebody writes it"
    assert [p.name for p in path.rglob("*.tmp")] == [".mine.tmp"]


def test_one_at_a_time(text: Path) -> None:
    path = text.parent / "run"
    with locks.run_locked(path), pytest.raises(EnvironmentProblem, match="is writing it") as refused:
        life.run(COUNT, asked(text))
    assert refused.value.path == str(path)
    with pytest.raises(Stopped):
        life.run(COUNT, asked(text), stop=Asked(1))
    with locks.run_locked(path), pytest.raises(EnvironmentProblem, match="is writing it"):
        life.resume(COUNT, path, {})


def test_a_finished_run_may_have_more_to_do(text: Path) -> None:
    more = workflow(
        "count",
        Counter,
        writes=("counted.txt",),
        keeps=("kept-*",),
        free=frozenset({"times"}),
        more=lambda request, report: request.options.times * 5 > report["letters"],
    )
    assert life.run(more, asked(text)).data["letters"] == 15
    assert life.run(more, asked(text)).before
    longer = life.run(more, asked(text, times=5))
    assert (longer.data["letters"], longer.data["resumed"], longer.before) == (25, True, False)


class Careful(Counter):
    """Says how far it is, and refuses to count more often than seven times; but only when it sees the folder."""

    def do(self, run: Run) -> Mapping[str, Any]:
        if self.o.times > 7:
            raise UsageError("seven is enough")
        run.stop_if_asked(f"time {self.o.times}")
        return super().do(run)


def careful(request: Request, reporter: Host) -> Careful:
    work = Careful(request, reporter)
    work.facts = {"letters": 5 * work.o.times}
    return work


CAREFUL = workflow(
    "count",
    careful,
    writes=("counted.txt",),
    free=frozenset({"times"}),
    more=lambda request, report: request.options.times * 5 > report["letters"],
)


def test_a_run_that_goes_on_says_what_it_is_now(text: Path) -> None:
    """How far it was where it is stopped; its facts and its config.toml are those of what was asked last."""
    path = text.parent / "run"
    with pytest.raises(Stopped, match=rf"stopped by SIGTEST at time 3; the same command or --resume {path} goes on"):
        life.run(CAREFUL, asked(text), stop=Asked(0))
    life.resume(CAREFUL, path, {"times": 6})
    record = RunFolder.read(path)
    assert (record["letters"], record["request"]["options"]["times"], record["finished"]) == (30, 6, True)
    assert tomllib.loads((path / "config.toml").read_text())["count"]["times"] == 6


def test_the_latest_run_goes_on_by_that_name(text: Path) -> None:
    life.run(CAREFUL, asked(text), latest=True)
    latest = text.parent / "latest"
    assert life.resume(CAREFUL, latest, {"times": 4}).data["letters"] == 20
    assert latest.resolve() == text.parent / "run"
    assert not list(text.parent.rglob(".*"))


@pytest.mark.parametrize("finished", [True, False])
def test_a_finished_run_stays_finished_where_more_is_refused(text: Path, finished: bool) -> None:
    path = text.parent / "run"
    if finished:
        life.run(CAREFUL, asked(text))
    else:
        with pytest.raises(Stopped):
            life.run(CAREFUL, asked(text), stop=Asked(0))
    before = {n: (path / n).read_bytes() for n in ("run.json", "config.toml")}
    with pytest.raises(UsageError, match="seven is enough"):
        life.resume(CAREFUL, path, {"times": 8})
    assert "seven is enough" in (path / "log.txt").read_text()
    if finished:
        assert {n: (path / n).read_bytes() for n in before} == before
        assert life.resume(CAREFUL, path, {"times": 3}).before
    else:
        assert RunFolder.read(path)["exit_code"] == Exit.USAGE


@pytest.mark.parametrize("child", [True, False])
def test_the_folder_of_what_is_refused_late_is_for_another_command_unless_runs_are_in_it(
    text: Path, child: bool
) -> None:
    class Late(Counter):
        def do(self, run: Run) -> Mapping[str, Any]:
            if child:
                run.child("count", "part-0", {"files": self.o.files}, {})
            if self.o.times == 8:
                run.write("kept-0", "dear")
                raise RefusedLate("eight is too much", path=text)
            return super().do(run)

    late = workflow("late", Late, writes=("counted.txt",), keeps=("kept-*",))
    for _ in range(2):
        with pytest.raises(RefusedLate, match="eight is too much"):
            life.run(late, asked(text, times=8))
    with pytest.raises(UsageError, match="exists; give --overwrite"):  # it is no other workflow's
        life.run(ONCE, asked(text))
    text.write_text("abcd")
    if child:
        with pytest.raises(UsageError, match=r"holds another run of late \(times differ\)"):
            life.run(late, asked(text, times=2))
        return
    done = life.run(late, asked(text, times=2))
    assert (done.data["letters"], done.data["before"], done.data["resumed"]) == (8, [0], False)
    assert "refused" not in RunFolder.read(done.path)
    with pytest.raises(UsageError, match=r"holds another run of late \(times differ\)"):
        life.run(late, asked(text, times=3))


def test_runs_in_a_run(text: Path) -> None:
    stopped = Asked(4)
    with pytest.raises(Stopped, match=rf"--resume {text.parent}/run goes on"):
        life.run(TWICE, asked(text), stop=stopped)
    part = RunFolder.read(text.parent / "run" / "part-0")
    assert part["finished"]
    assert life.run(TWICE, asked(text)).data["letters"] == [15, 20]
    assert RunFolder.read(text.parent / "run" / "part-0") == part  # once
    again = RunFolder.read(text.parent / "run" / "part-1")
    assert len(again["resumed"]) == 1


def test_what_is_asked_survives_a_file(text: Path) -> None:
    request = Request(Counting(files=("ä b", "[x]"), times=2), {"who": Chosen("emt", {"asap_cutoff": True})}, text)
    there = Request.from_json(Counting, json.loads(json.dumps(request.to_json())), text)
    assert there == request
    other = Request(Counting(files=("ä b",), jobs=3), {"who": Chosen("emt", {"asap_cutoff": False})}, text)
    assert request.differs(other, frozenset({"jobs"})) == ["emt.asap_cutoff", "files", "times"]
    twins = [
        Request(Counting(), {"who": Chosen("fire", {"dt": one}), "how": Chosen("fire", {"dt": 1.0})})
        for one in (1.0, 2.0)
    ]
    assert twins[0].differs(twins[1], frozenset()) == ["who-fire.dt"]


def test_the_configuration_runs_the_same_again() -> None:
    twins = workflow("twins", Counter, chooses={"files": "relaxer", "fails": "sampler"})
    parts = {"files": Chosen("fire", {"dt": 0.2}), "fails": Chosen("fire", {"x": 1})}
    said = run_record.table(twins, Request(Counting(fails="fire"), parts))
    assert said == {
        "twins": {"times": 3, "jobs": 1, "fails": "fire", "relaxer-fire": {"dt": 0.2}, "sampler-fire": {"x": 1}}
    }


def test_a_run_in_a_run_is_prepared_and_heard_as_the_one_around_it_wants(text: Path) -> None:
    done = life.run(ONCE, asked(text, times=2))
    assert done.data["letters"] == [5, 10]
    assert done.data["heard"][:2] == ["known: 5", "1 time 0"]
    inside = json.loads((done.path / "no-1" / "report.json").read_text())
    assert inside["again"] == f"crystal once --resume {done.path}"
    assert "known: 5" in (done.path / "no-0" / "log.txt").read_text()
    assert RunFolder.read(done.path)["children"] == ["no-0", "no-1"]


def test_runs_that_were_removed_once_they_were_used_are_no_longer_told(text: Path) -> None:
    class Used(Once):
        def do(self, run: Run) -> Mapping[str, Any]:
            told = []
            for k in range(self.o.times):
                run.child("count", f"no-{k}", {"files": self.o.files, "times": k + 1}, {})
                told.append(list(RunFolder.read(run.path)["children"]))
                if k != 1:
                    shutil.rmtree(run.path / f"no-{k}")
            return {"told": told}

    done = life.run(workflow("once", Used), asked(text, times=4))
    assert done.data["told"] == [["no-0"], ["no-1"], ["no-1", "no-2"], ["no-1", "no-3"]]


def test_runs_in_a_replaced_run_do_not_count(text: Path) -> None:
    """Even where the new one asks for the same; what is no run of it stays."""
    done = life.run(ONCE, asked(text, times=2))
    for name in ("no-0", "no-1", "mine"):
        (done.path / name).mkdir(exist_ok=True)
        (done.path / name / "left").write_text("by the older one")
    before = sorted(done.path.rglob("*"))
    with locks.run_locked(done.path / "no-1"), pytest.raises(EnvironmentProblem, match=r"no-1.*is writing it"):
        life.run(ONCE, asked(text, times=1, fails="x"), overwrite=True)
    assert sorted(done.path.rglob("*")) == before
    life.run(ONCE, asked(text, times=1, fails="x"), overwrite=True)
    left = sorted(str(p.relative_to(done.path)) for p in done.path.glob("*/left"))
    assert left == ["mine/left"]
    assert sorted(p.name for p in done.path.glob("no-*")) == ["no-0"]


def test_what_was_worked_out_stands_in_the_configuration_and_makes_no_other_run(text: Path) -> None:
    done = life.run(ONCE, asked(text, times=1))
    record = RunFolder.read(done.path)
    assert (record["settled"], record["request"]["options"]["fails"]) == ({"fails": "never"}, "")
    assert tomli.loads((done.path / "config.toml").read_text())["once"]["fails"] == "never"
    assert life.run(ONCE, asked(text, times=1)).before


def test_ended_with_what_it_has(text: Path) -> None:
    with pytest.raises(Stopped):
        life.run(ONCE, asked(text), stop=Asked(1))
    done = life.resume(ONCE, text.parent / "run", {}, end=True)
    assert done.data["letters"] == []
    assert RunFolder.read(done.path)["finished"]
    with pytest.raises(Stopped):
        life.run(COUNT, Request(Counting(files=(str(text),)), path=text.parent / "other"), stop=Asked(1))
    with pytest.raises(UsageError, match="runs of crystal count cannot be ended before they are done"):
        life.resume(COUNT, text.parent / "other", {}, end=True)

    def never(request: Request) -> None:
        raise UsageError("not this one", path=request.path)

    refused = workflow("count", Counter, end=never)
    before = (text.parent / "other" / "run.json").read_bytes()
    with pytest.raises(UsageError, match="not this one"):
        life.resume(refused, text.parent / "other", {}, end=True)
    assert (text.parent / "other" / "run.json").read_bytes() == before


@dataclass
class Crew:
    """The second of two processes."""

    first_said: Any = None
    is_first: bool = False

    def firsts(self, _mine: Any) -> Any:
        return self.first_said


def test_another_process_of_a_team_writes_nothing_and_is_silent(text: Path) -> None:
    class Helper(Counter):
        team = Crew()

        def do(self, run: Run) -> Mapping[str, Any]:
            run.write("counted.txt", "mine")
            run.metric({"epoch": 1})
            run.trim_metrics(0)
            return {}

    helping = workflow("count", Helper, writes=("counted.txt",))
    done = life.run(helping, asked(text))
    assert done.silent
    assert not done.path.exists()
    Helper.team = Crew(first_said=5)  # the first one could not open it
    with pytest.raises(SystemExit) as ended:
        life.run(helping, asked(text))
    assert ended.value.code == 5


def test_a_word_that_python_keeps() -> None:
    @dataclass(frozen=True)
    class Words:
        from_: str = option("", "where from")

    (spec,) = opt.specs(Words)
    assert (spec.name, spec.flag) == ("from_", "from")
    for name in ("from", "from_"):
        assert opt.make(Words, {name: "here"}, owner="x") == Words("here")
    with pytest.raises(UsageError, match="x has no option 'form'; did you mean 'from_'"):
        opt.make(Words, {"form": "here"}, owner="x")
    words = workflow("words", Counter, options=Words)
    assert run_record.table(words, Request(Words("here"))) == {"words": {"from": "here"}}


@pytest.mark.parametrize("dry", [True, False])
def test_what_is_prepared_is_a_work(text: Path, dry: bool) -> None:
    odd = replace(ONCE, prepare=lambda _request, _host: object())
    with pytest.raises(PluginFault, match="workflow once: prepare gives a object, not a Work"):
        _ = life.describe(odd, asked(text), life.SILENT) if dry else life.run(odd, asked(text))
    assert not (text.parent / "run").exists()
