"""Streams that cannot be written: talk stops no work, values do, and neither is lost without a word."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io
import pytest
from common import small_cache
from common.some_trainings import train
from train.test_training import plan

from crystalcli.cli import streams
from crystalcli.cli.console import Face
from crystalcli.cli.main import run
from crystalcli.cli.streams import Closed, Left, Outlet, watched
from crystalcli.engine.evaluate.evaluator import Evaluator
from crystalcli.engine.potential.potentials import PairedPotential
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit


class Broken(io.StringIO):
    """A stream that takes ``room`` characters and then fails."""

    def __init__(self, number: int, room: int = 0) -> None:
        super().__init__()
        self.number, self.room = number, room

    def write(self, text: str) -> int:
        if self.tell() + len(text) > self.room:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(text)


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 5), (errno.EBADF, 5), (errno.EIO, 5), (errno.EPIPE, 0)])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_talk_goes_on_and_the_loss_is_told(number: int, code: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = io.StringIO()
    for one in ("stdout", "stderr"):
        monkeypatch.setattr(sys, one, Broken(number, 8) if one == name else other)
    with watched() as both:
        face = Face(json=name == "stderr")
        for k in range(3):
            face.say(f"line {k}")  # does not raise
        assert both.end(0) == code
        assert both.end(3) == 3
    told = other.getvalue()
    assert (f"{name}: cannot write: {os.strerror(number)}; what was to be read there is lost" in told) is (
        code == 5 and name == "stdout"
    )


def test_values_are_delivered_or_all_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, kind in ((errno.EPIPE, Left), (errno.ENOSPC, EnvironmentProblem), (errno.EBADF, EnvironmentProblem)):
        monkeypatch.setattr(sys, "stdout", Broken(number, 4))
        with watched() as both:
            streams.deliver(sys.stdout, "abc\n")
            with pytest.raises(kind):
                streams.deliver(sys.stdout, "def\n")
            assert both.end(5) == 5
    assert not isinstance(Left(), EnvironmentProblem)


def test_what_is_closed_says_so_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (Closed(1), Outlet(Closed(1), "stdout")):  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(EnvironmentProblem, match="-o FILE"):
            streams.refuse_closed()
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    streams.refuse_closed()


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import os, sys; from crystalcli.cli.streams import open_streams; open_streams();"
        f"file = open({str(tmp_path / 'model')!r}, 'w'); os.write(1, b'from a library'); file.write('mine')"
    )
    subprocess.run(f'{sys.executable} -c "{code}" <&- >&- 2>&-', shell=True, check=True)
    assert (tmp_path / "model").read_text() == "mine"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("streams")
    small_cache.write(home / "graphs.h5")
    train(plan(home / "graphs.h5", home / "run"))
    return home


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOSPC, errno.EPIPE])
@pytest.mark.parametrize(
    "flags", [[], ["--json"], ["--format", "jsonl"], ["--format", "pymatgen"], ["--format", "extxyz"]]
)
def test_predictions_that_nobody_gets(
    home: Path, number: int, flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Broken(number, 2000 if flags != ["--json"] else 0)
    monkeypatch.setattr(sys, "stdout", out)
    code = run(["predict", str(home / "run"), str(home / "graphs.h5"), "--quiet", *flags])
    assert code == (Exit.OK if number == errno.EPIPE else Exit.ENVIRONMENT)
    said = capsys.readouterr().err
    assert ("error: stdout: cannot write: " in said) is (number != errno.EPIPE)
    if flags == ["--format", "jsonl"]:
        assert [json.loads(line)["id"] for line in out.getvalue().splitlines()]  # what came is whole lines


def test_files_come_though_nobody_listens(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a person would read is lost; results in files are not, and with --quiet nothing is lost at all."""
    line = ["predict", str(home / "run"), str(home / "graphs.h5"), "-o"]
    for number, more, code in (
        (errno.EPIPE, [], 0),
        (errno.ENOSPC, [], 5),
        (errno.EBADF, ["--quiet"], 0),
    ):
        monkeypatch.setattr(sys, "stdout", Broken(number))
        out = tmp_path / f"{number}.csv"
        assert run([*line, str(out), *more]) == code
        assert len(out.read_text().splitlines()) == 43
        assert (tmp_path / f"{number}-parity-energy_per_atom.png").exists()
    monkeypatch.setattr(sys, "stdout", Broken(errno.EPIPE))
    words = [
        "train",
        str(home / "graphs.h5"),
        "--epochs",
        "2",
        "--width",
        "8",
        "--n-conv",
        "1",
        "-o",
        str(tmp_path / "r"),
    ]
    assert run([*words, "--split", "random", "--threads", "1"]) == 0
    assert (tmp_path / "r" / "model.safetensors").exists()


def test_words_of_files_steer_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table("id", "b[red]", title="x[/] \x1b[31m :b:")
    table.add_row("[/]\x1b[2J :smile:", "\u202e\x9b")
    face = Face()
    face.console().print(table)
    face.console().print("[bold]a[/bold] \x07")
    face.say("b \x1b]0;title\x07 [red]")
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    for word in (
        "b[red]",
        "x[/] \\x1b[31m :b:",
        "[/]\\x1b[2J :smile:",
        "\\u202e\\x9b",
        "[bold]a[/bold] \\x07",
        "b \\x1b]0;",
    ):
        assert word in shown


def test_a_bar_takes_any_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal
    monkeypatch.setenv("TERM", "xterm")
    with Face().progress("verify [/] a[red]", 2) as advance:
        advance(1, "[/x]")
    capsys.readouterr()


def test_what_a_plugin_prints_is_no_part_of_a_result(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def talks(self: object, *words: object, **more: object) -> object:
        print("from a library")
        return inner(self, *words, **more)

    inner = Evaluator.__call__
    monkeypatch.setattr(Evaluator, "__call__", talks)
    line = ["predict", str(home / "run"), str(home / "graphs.h5"), "--quiet"]
    assert run([*line, "--json"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["rows"]) == 42
    assert "from a library" in err
    assert run(line) == 0
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), "from a library" in err) == (43, True)
    inner = PairedPotential.evaluate
    monkeypatch.setattr(PairedPotential, "evaluate", talks)
    ase.io.write(tmp_path / "cu.extxyz", ase.build.bulk("Cu"))
    words = ["relax", str(tmp_path / "cu.extxyz"), "--potential", "emt", "-o", str(tmp_path / "relaxed"), "--json"]
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["converged"], "from a library" in err) == (1, True)
