"""The contract of workflows fails those that break it, each for what it does."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from crystalcli.cli import group
from crystalcli.contracts import run_options
from crystalcli.contracts.host import Host
from crystalcli.contracts.options import option
from crystalcli.contracts.request import Request
from crystalcli.contracts.validation import part_problems
from crystalcli.contracts.workflow import Run, Running, Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.registry import plugin_manager
from crystalcli.engine.registry.plugin_loading import Origin
from crystalcli.engine.registry.plugin_manager import OfferedPart
from crystalcli.engine.run import files
from crystalcli.label_sites.workflow import LABEL_SITES
from crystalcli.relax.workflow import RELAX
from crystalcli.screen.workflow import SCREEN
from crystalcli.testing import WorkflowContract


@dataclass(frozen=True)
class Options:
    letters: int = option(3, "how many")


class Writing(Work):
    def __init__(self, request: Request, _host: Host) -> None:
        self.o: Options = request.options

    def describe(self) -> dict[str, Any]:
        return {"letters": self.o.letters}

    def do(self, run: Run) -> Mapping[str, Any]:
        run.write("letters.txt", "x" * self.o.letters)
        return {"letters": self.o.letters}


COUNTED = itertools.count()


class OtherEachTime(Writing):
    def do(self, run: Run) -> Mapping[str, Any]:
        run.write("letters.txt", str(next(COUNTED)))
        return {}


class LeavesMore(Writing):
    def do(self, run: Run) -> Mapping[str, Any]:
        run.write("more.txt", "?")
        return super().do(run)


class WritesNothing(Writing):
    def do(self, _run: Run) -> Mapping[str, Any]:
        return {}


class WritesTooEarly(Writing):
    def __init__(self, request: Request, host: Host) -> None:
        super().__init__(request, host)
        Path("early.txt").write_text("!")


class Fails(Writing):
    def do(self, _run: Run) -> Mapping[str, Any]:
        return {"exit_code": 3}


def shown(_data: Mapping[str, Any]) -> Shown:
    return Shown([])


GOOD = Workflow(
    name="write",
    summary="Write.",
    options=Options,
    prepare=Writing,
    show=shown,
    plan=shown,
    writes=("letters.txt",),
    example=lambda _folder: ["--letters", "4"],
)


def contract(part: Workflow, monkeypatch: pytest.MonkeyPatch) -> WorkflowContract:
    monkeypatch.setitem(
        plugin_manager.registry().parts, ("workflow", part.name), OfferedPart(part, Origin("toy", "toy", "toy"))
    )

    monkeypatch.setattr(group, "_offered", lambda: {part.name: part})

    class Contract(WorkflowContract):
        pass

    Contract.part = part
    return Contract()


def test_a_good_one_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = contract(GOOD, monkeypatch)
    words = ["write", "--letters", "4"]
    tests.test_dry_run(words, tmp_path)
    tests.test_json(words, tmp_path)
    (tmp_path / "other").mkdir()
    tests.test_run(words, tmp_path / "other")


BROKEN = {
    OtherEachTime: "gives other files",
    LeavesMore: r"not among `writes`: \['more.txt'\]",
    WritesNothing: "nothing is written",
    Fails: "exit code 3",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_ones_fail(kind: type[Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = contract(replace(GOOD, prepare=kind), monkeypatch)
    with pytest.raises(AssertionError, match=BROKEN[kind]):
        tests.test_run(["write"], tmp_path)


def test_sections_that_raise_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract(GOOD, monkeypatch).test_page(["write"], tmp_path)
    tests = contract(replace(GOOD, sections=lambda run: [run.report["volume"]]), monkeypatch)
    (tmp_path / "other").mkdir()
    with pytest.raises(AssertionError, match="could not be made"):
        tests.test_page(["write"], tmp_path / "other")


HEADLINES = [(lambda _report: 3, "gives a int"), (lambda report: f"{report}\n", "more than a line")]


@pytest.mark.parametrize(("headline", "said"), HEADLINES)
def test_a_headline_is_a_line(
    headline: Callable[..., str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = contract(replace(GOOD, headline=headline), monkeypatch)
    with pytest.raises(AssertionError, match=said):
        tests.test_run(["write"], tmp_path)


@dataclass(frozen=True)
class FileOptions(Options):
    output: Path = run_options.output(Path("letters.txt"))


class WritingAFile(Work):
    def __init__(self, request: Request, _host: Host) -> None:
        self.o: FileOptions = request.options
        files.refuse_to_overwrite(self.o.output, request.overwrite)

    def describe(self) -> dict[str, Any]:
        return {"letters": self.o.letters}

    def do(self, _run: Running) -> Mapping[str, Any]:
        self.o.output.write_text("x" * self.o.letters)
        return {"letters": self.o.letters}


class OverwritesUnasked(WritingAFile):
    def __init__(self, request: Request, _host: Host) -> None:
        self.o = request.options

    def do(self, run: Running) -> Mapping[str, Any]:
        self.o = replace(self.o, letters=next(COUNTED))
        return super().do(run)


class WritesNoFile(WritingAFile):
    def do(self, _run: Running) -> Mapping[str, Any]:
        return {}


class ChangesAnInput(WritingAFile):
    def do(self, run: Running) -> Mapping[str, Any]:
        Path("in.txt").write_text("changed")
        return super().do(run)


BROKEN_FILES = {
    WritingAFile: None,
    OverwritesUnasked: "is overwritten, and nobody asked",
    WritesNoFile: "nothing is written",
    ChangesAnInput: "an input was changed",
}


@pytest.mark.parametrize("kind", BROKEN_FILES)
def test_those_without_a_run_folder(kind: type[Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = replace(GOOD, prepare=kind, home="file", resumes=False, options=FileOptions, writes=())
    assert part_problems(part) == []
    tests = contract(part, monkeypatch)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "in.txt").write_text("as it was")
    said = BROKEN_FILES[kind]
    tests.test_dry_run(["write"], tmp_path / "in")
    with contextlib.nullcontext() if said is None else pytest.raises(AssertionError, match=said):
        tests.test_run(["write"], tmp_path / "in")


def test_records_whose_home_does_not_fit() -> None:
    file = replace(GOOD, home="file", writes=())
    assert part_problems(file) == ["has no run folder, and no option output that names what it writes"]
    assert "resumes=False is for home='file'" in part_problems(replace(GOOD, resumes=False))[0]
    assert part_problems(replace(GOOD, options=FileOptions)) == ["options: output is a flag of every command"]
    assert "home must be" in part_problems(replace(GOOD, home="nowhere"))[0]


def test_one_that_writes_before_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = contract(replace(GOOD, prepare=WritesTooEarly), monkeypatch)
    with pytest.raises(AssertionError):
        tests.test_dry_run(["write"], tmp_path)


FORGETS = '''
import time
from dataclasses import dataclass
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import NoOptions
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.contracts.workflow import Shown, Work

class Forgets(Work):
    """What it had done before it was killed stands in its result."""
    def __init__(self, request, host): pass
    def describe(self): return {}
    def do(self, run):
        for k in range(60):
            with (run.path / "counted.txt").open("a") as file:
                file.write(f"{k}\\n")
            time.sleep(0.05)
        return {}

@hookimpl
def crystal_parts():
    show = lambda data: Shown([])
    return [Workflow(name="forgets", summary="Forget.", options=NoOptions, prepare=Forgets, show=show, plan=show,
                     writes=("counted.txt",), example=lambda folder: [])]
'''


def test_one_that_does_not_go_on_as_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forgets.py").write_text(FORGETS)
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "forgets.py"))
    plugin_manager.registry.cache_clear()
    try:
        part: Any = plugin_manager.registry().get("workflow", "forgets")

        class Contract(WorkflowContract):
            kills: ClassVar[int] = 3  # of one, a slow machine may see nothing: it may fall before the first line

        Contract.part = part
        with pytest.raises(AssertionError):
            Contract().test_killed(["forgets"], tmp_path)
    finally:
        plugin_manager.registry.cache_clear()


class TestLabelSites(WorkflowContract):
    """Workflow ``label-sites``, which has no run folder."""

    part = LABEL_SITES
    kills = 1


class TestRelax(WorkflowContract):
    """Workflow ``relax``; its kills are tested with its own tests."""

    part = RELAX
    test_killed = None  # type: ignore[assignment]


class TestScreen(WorkflowContract):
    """Workflow ``screen``; its kills are tested with its own tests."""

    part = SCREEN
    test_killed = None  # type: ignore[assignment]
