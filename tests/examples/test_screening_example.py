"""The example of a campaign as its README types it, smaller; and the plan in the documentation."""

import csv
import re
import runpy
import sys
from pathlib import Path

import pytest

from crystalcli.cli.main import run
from crystalcli.contracts import options
from crystalcli.screen import reading
from crystalcli.screen.options import KINDS, ScreenOptions, Settings, TrainingTable

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "screening"


def test_the_example_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["make", "candidates.extxyz", "elements.extxyz", "--elements", "Al,Ni,Pt", "--count", "30"]
    )
    runpy.run_path(str(EXAMPLE / "make_candidates.py"), run_name="__main__")
    text = (EXAMPLE / "plan.toml").read_text()
    for old, new in (("train = 60", "train = 15"), ("ensemble = 5", "ensemble = 2"), ("epochs = 150", "epochs = 3")):
        assert old in text
        text = text.replace(old, new)
    Path("plan.toml").write_text(text)
    assert run(["screen", "--campaign", "plan.toml", "--threads", "1", "--quiet"]) in (0, 3)
    capfd.readouterr()
    with Path("runs/latest/screening.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 30


def test_the_plan_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "screening.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[[stages]]" in b]
    (tmp_path / "plan.toml").write_text(block, encoding="utf-8")
    plan = reading.read(tmp_path / "plan.toml", (), ScreenOptions())
    assert [s.name for s in plan.stages] == ["volume", "tight"]
    tables = (Settings, TrainingTable, *KINDS.values())
    keys = {s.name for model in tables for s in options.specs(model)} - {"start"}
    assert [k for k in sorted(keys) if not re.search(rf"\b{k}\b", text)] == []
