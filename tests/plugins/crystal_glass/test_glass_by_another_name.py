"""``crystal md --sampler melt-quench`` is ``crystal glass``: samplers are what users of ``md`` look for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crystalcli.cli.main import run
from crystalcli.cli.workflow_command import handed_over, words_of_other_commands
from crystalcli.engine.registry.plugin_manager import registry


def planned(capsys: pytest.CaptureFixture[str], *line: str) -> dict[str, Any]:
    assert run([*line, "--dry-run", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    found.pop("output", None)
    return found


def test_the_other_name_plans_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--potential", "emt", "--atoms", "20", "--retries", "1"]
    same = planned(capsys, "glass", "CuNi", "Al", *more, "--sampler", "langevin", "--friction", "0.02")
    for line in (
        ["--sampler", "melt-quench", "--composition", "CuNi", "--composition=Al"],
        ["--sampler=melt-quench", "CuNi", "--composition", "Al"],
        ["--composition", "CuNi", "--md.sampler", "melt-quench", "--composition", "Al"],
    ):
        assert planned(capsys, "md", *line, *more, "--sampler", "langevin", "--friction", "0.02") == same
    assert {b["formula"] for b in same["boxes"]} == {"CuNi", "Al"}


def test_it_runs(tmp_path: Path) -> None:
    words = ["--atoms=8", "--melt-steps=4", "--quench-steps=4", "--hold-steps=4", "--relax=none", "--references=none"]
    line = ["md", "--sampler", "melt-quench", "--composition", "CuNi", "--potential", "emt", "--melt", "1500", *words]
    assert run([*line, "-o", str(tmp_path / "run"), "--quiet"]) == 0
    assert (tmp_path / "run" / "glasses" / "Cu4Ni4" / "glass.json").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["command"] == "glass"


def test_nothing_else_is_handed_over(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "melt-quench" not in registry().names("sampler")
    assert words_of_other_commands("md", "--sampler") == ["melt-quench"]
    assert words_of_other_commands("md", "--potential") == words_of_other_commands("relax", "--sampler") == []
    for line in (["a.cif", "--sampler", "nvt"], ["--potential", "melt-quench"], ["--", "--sampler", "melt-quench"], []):
        assert handed_over("md", line) == ("md", line)
    assert handed_over("relax", ["--sampler", "melt-quench"]) == ("relax", ["--sampler", "melt-quench"])
    line = ["--sampler", "melt-quench", "-q", "--", "--composition"]
    assert handed_over("md", line) == ("glass", ["-q", "--", "--composition"])
    assert run(["md", "x.cif", "--potential", "emt", "--sampler", "melt-quenched"]) == 2
    assert "no sampler 'melt-quenched'" in capsys.readouterr().err
    monkeypatch.setenv("CRYSTAL_MD_SAMPLER", "melt-quench")
    assert run(["md", "x.cif", "--potential", "emt"]) == 2
    assert "melt-quench is a command of another name; say --sampler" in capsys.readouterr().err
