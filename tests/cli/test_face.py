"""How the program behaves around its commands: streams, locales, exit codes, one line per error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from crystalcli.cli import failures
from crystalcli.cli.main import run
from crystalcli.cli.streams import Left
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, UsageError


def crystal(*args: str, cwd: Path | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    env = os.environ | more.pop("env", {})
    command = [sys.executable, "-m", "crystalcli", *args]
    return subprocess.run(command, check=False, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, **more)


def test_version_and_help() -> None:
    done = crystal("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crystal {version('crystal-graphs')}\n", "")
    for flag in ("-h", "--help"):
        assert "build-graphs" in crystal(flag).stdout
        assert crystal("train", flag).returncode == 0


def test_nothing_to_do_shows_help() -> None:
    for args in ((), ("plugins",)):
        done = crystal(*args)
        assert done.returncode == 2
        assert "Usage: crystal" in done.stdout
        assert "error" not in done.stderr


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("trian", "error: no such command 'trian'. Did you mean 'train'?"),
        ("plugins lsit", "error: no such command 'lsit'. Did you mean 'list'?"),
        ("plugins show", "error: missing argument 'name'"),
        ("plugins show lcgnn", "error: no part or plugin 'lcgnn'; did you mean 'cgcnn' or 'lcgcn'?"),
        ("plugins list --family heads", "error: no family 'heads'; did you mean 'head'?"),
        ("plugins list extra", "error: got unexpected extra argument(s) (extra)"),
        ("train --arch lcgcn --n-conv 99", "error: '--n-conv': must be less than or equal to 20"),
        ("train --n-conv three", "error: '--n-conv': must be a whole number"),
        ("train --n-conv", "error: option '--n-conv' requires an argument"),
        ("train --cutoff 5", "error: --cutoff belongs to featurizer cgcnn, but is no option of this command"),
        ("train --poll max", "error: no such option: --poll; did you mean '--pool'?"),
    ],
)
def test_usage_errors_are_one_line(line: str, error: str, tmp_path: Path) -> None:
    done = crystal(*line.split(), cwd=tmp_path, env={"CRYSTAL_NO_PLUGINS": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (2, "", error + "\n")


def test_a_command_that_nobody_has_may_be_of_a_broken_plugin(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise ImportError('no foo')\n")
    done = crystal("anneal", cwd=tmp_path, env={"CRYSTAL_PLUGINS": str(tmp_path / "mine.py")})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no such command 'anneal'; broken: ")
    assert done.stderr.endswith("mine.py: ImportError: no foo\n")


@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"COLUMNS": "1"},
        {"TERM": "dumb"},
        {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
    ],
)
def test_odd_environments(env: dict[str, str]) -> None:
    for args in (("--help",), ("train", "--help"), ("plugins", "list"), ("plugins", "show", "cgcnn")):
        done = crystal(*args, env=env)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout


LOST = "error: stdout: cannot write: {}; what was to be read there is lost, all else is done\n"


@pytest.mark.parametrize(
    ("streams", "code", "said"),
    [
        ("<&-", 0, ""),
        ("2>&-", 0, ""),
        (">&-", 5, LOST.format("Bad file descriptor")),
        ("1</dev/null", 5, LOST.format("Bad file descriptor")),
        (">/dev/full", 5, LOST.format("No space left on device")),
        (">/dev/full 2>/dev/full", 5, ""),
        ("<&- >&- 2>&-", 5, ""),
    ],
)
def test_what_cannot_be_printed_is_never_lost_silently(streams: str, code: int, said: str) -> None:
    for line in ("plugins list --json --quiet", "train --help"):
        command = f"{sys.executable} -m crystalcli {line} {streams}"
        done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (code, said), line
        assert bool(done.stdout) is (code == 0)


def test_broken_pipe_is_silent() -> None:
    for line in ("plugins show cgcnn", "train --help", "plugins list --json --quiet"):
        command = f"{sys.executable} -m crystalcli {line}; echo code $? >&2"
        process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        process.wait(timeout=60)
        process.stderr.close()
        assert said.strip() == "code 0"


FAILING = {
    "bug": (
        ZeroDivisionError("division by zero"),
        1,
        "error: bug: ZeroDivisionError: division by zero (run with --debug)",
    ),
    "usage": (UsageError("no", path="a.cif", line=3), 2, "error: a.cif:3: no"),
    "environment": (EnvironmentProblem("disk full"), 5, "error: disk full"),
    "oserror": (PermissionError(13, "Permission denied", "x.h5"), 5, "error: x.h5: Permission denied"),
    "memory": (MemoryError(), 5, "error: out of memory; use a smaller batch or fewer jobs"),
    "interrupt": (KeyboardInterrupt(), 130, "error: interrupted"),
    "abort": (typer.Abort(), 130, "error: interrupted"),
    "reader gone": (Left(), 0, ""),
    "another pipe": (BrokenPipeError(32, "Broken pipe"), 5, "error: Broken pipe"),
    "told to stop": (KeyboardInterrupt("SIGUSR1"), 130, "error: interrupted by SIGUSR1"),
    "exit": (SystemExit(3), 3, ""),
    "control characters": (UsageError("a\nb\x1b[31m"), 2, "error: a\\nb\\x1b[31m"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_every_bad_end(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    problem, code, line = FAILING[kind]
    assert failures.report(problem, []) == code
    assert capsys.readouterr().err == (line + "\n" if line else "")


def test_json_gets_one_object_even_then(capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("graphs info --json nothing.h5", "plugins show lcgnn --json", "trian --json", "train --json --poll 3"):
        code = run(line.split())
        out, err = capsys.readouterr()
        said = json.loads(out)
        assert err == f"error: {said['error']}\n"
        assert said["exit_code"] == code != 0
    run(["plugins", "show", "--", "--json"])
    assert capsys.readouterr().out == ""


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("here")
    assert failures.report(caught.value, ["train", "--debug"]) == Exit.BUG
    assert "Traceback" in capsys.readouterr().err
    assert failures.report(caught.value, ["train", "--", "--debug"]) == Exit.BUG
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("CRYSTAL_DEBUG", "1")
    failures.report(caught.value, ["train"])
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_in_a_plugin_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from crystalcli.engine.registry import plugin_loading

    path = tmp_path / "faulty.py"
    path.write_text("def build(): return 1 / 0\n")
    module = plugin_loading._import_file(path)
    with pytest.raises(ZeroDivisionError) as caught:
        module.build()
    failures.report(caught.value, [])
    assert f"error: bug in plugin {path}: ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("status", ["0", "", "3", "'no licence'"])
def test_a_plugin_does_not_end_the_program_without_a_word(
    status: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from crystalcli.engine.registry import plugin_loading

    path = tmp_path / "quitter.py"
    path.write_text(f"import sys\ndef forward(): sys.exit({status})\n")
    module = plugin_loading._import_file(path)
    with pytest.raises(SystemExit) as caught:
        module.forward()
    assert failures.report(caught.value, ["predict", "--json"]) == Exit.BUG
    out, err = capsys.readouterr()
    assert err.startswith(f"error: bug in plugin {path}: calls sys.exit({status})")
    assert json.loads(out)["exit_code"] == 1


def test_the_core_is_no_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    from crystalcli.vocabulary.errors import one_line

    with pytest.raises(AttributeError) as caught:
        one_line(None)  # type: ignore[arg-type]
    failures.report(caught.value, [])
    assert capsys.readouterr().err.startswith("error: bug: AttributeError")
