"""Bars on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from crystalcli.cli import bars
from crystalcli.cli.bars import Bars
from crystalcli.cli.console import Face
from crystalcli.cli.invocation import Invocation
from crystalcli.contracts.host import Level
from crystalcli.engine.run import progress
from crystalcli.train.workflow import TRAIN


def drawn(some: Bars) -> list[str]:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(some.bar.get_renderable())
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.fixture
def some(monkeypatch: pytest.MonkeyPatch) -> Bars:
    monkeypatch.setattr(bars, "EVERY", 0.0)
    made = Bars(Console(file=io.StringIO(), force_terminal=True, width=100))
    made.forecast.clock = iter(range(0, 1000, 10)).__next__  # type: ignore[assignment]
    return made


def test_a_bar_for_each_level(some: Bars) -> None:
    for done in (6.0, 7.0):
        some.hear((Level("2-loose", 0), Level("run 2 of 5", 1, 5), Level(f"epoch {done:.0f} of 20", done, 20)))
    lines = drawn(some)
    some.stop()
    assert [line[:11] for line in lines] == ["2-loose    ", "  run 2 of ", "    epoch 7"]
    assert "so far" in lines[0]
    assert lines[1].endswith("27%, about 12 min left")  # 73 % of which 1 % takes 10 s
    assert lines[2].endswith("35%")
    assert lines[1].index("━") == lines[2].index("━")


def test_what_becomes_known_and_unknown_again(some: Bars) -> None:
    some.hear((Level("reading", 3),))
    pulsing = drawn(some)
    some.hear((Level("3 of 4 relaxed", 3, 4), Level("step 7", 0, 1)))
    assert len(drawn(some)) == 2
    assert "75%" in drawn(some)[0]
    some.hear((Level("reading", 3),))
    assert [line.partition("━")[0] for line in drawn(some)] == [line.partition("━")[0] for line in pulsing]
    assert "%" not in drawn(some)[0]
    some.stop()


def test_names_of_files_are_no_markup_and_not_too_long(some: Bars) -> None:
    some.hear((Level("[red]x[/]" + "y" * 200, 1, 4),))
    (line,) = drawn(some)
    some.stop()
    assert line.startswith("[red]x[/]yyy")
    assert "…" in line
    assert "25%" in line


@pytest.mark.parametrize(("terminal", "quiet"), [(False, False), (False, True), (True, True), (True, False)])
def test_who_draws_and_who_says(
    terminal: bool, quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    monkeypatch.setattr(Face, "console", lambda _self: Console(file=written, force_terminal=terminal, width=80))
    invocation = Invocation(replace(TRAIN), None, {"json": False, "quiet": quiet})  # type: ignore[arg-type]
    with invocation._reporter() as reporter:
        reporter.within("run 1 of 2", 0, 2).progress("epoch 3 of 5", 3, 5)
    said = capsys.readouterr().out
    assert ("run 1 of 2, epoch 3 of 5" in said) == (not terminal and not quiet)
    assert ("epoch 3 of 5" in written.getvalue()) == (terminal and not quiet)
