"""A file of the folder in which one works comes before a model or calculator of its name, and every one is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from crystalcli.cli.main import run

PLUGIN = """
from dataclasses import dataclass
from crystalcli.contracts import run_options as common
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow

@dataclass(frozen=True, kw_only=True)
class Options:
    low: str = common.potential()
    high: str = common.potential()
    others: tuple[str, ...] = option((), "more of them", names=common.CALCULATOR)

class Nothing(Work):
    def describe(self):
        return {}

def show(found):
    return Shown([])

@hookimpl
def crystal_parts():
    return [Workflow(name="between", summary="Nothing between two potentials.", options=Options,
                     prepare=lambda request, host: Nothing(), show=show, plan=show)]
"""


def test_every_hidden_name_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "plugin.py"))
    monkeypatch.chdir(tmp_path)
    for name in ("emt", "sw", "lj"):
        (tmp_path / name).touch()
    words = ["--low", "sw", "--high", "emt", "--others", "emt", "--others", "lj", "--others", "matsui"]
    assert run(["between", *words, "--dry-run"]) == 0
    warned = [line for line in capfd.readouterr().err.splitlines() if "is the file or folder here" in line]
    assert [line.split()[1] for line in warned] == ["sw", "emt", "lj"]


def test_potential_check_says_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emt").touch()
    assert run(["potential", "check", "emt", "--only", "core"]) != 0  # an empty file is no model
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "is the file or folder here" in line]
    assert "for the calculator by that name" in line
