"""docs/writing-plugins.md is true: its plugin loads, keeps the contract, and its commands work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from crystalcli.contracts.records import API_VERSION, FAMILIES
from crystalcli.mechanisms.registry.plugin_loading import TIME_LIMIT

TEXT = (Path(__file__).parents[2] / "docs" / "writing-plugins.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "species.py").write_text(next(code for language, code in BLOCKS if language == "python"))
    return tmp_path


def test_the_commands(folder: Path) -> None:
    script = next(code for language, code in BLOCKS if language == "sh")
    env = os.environ | {
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "XDG_CONFIG_HOME": str(folder),
    }
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "species.py" in done.stdout
    assert "--reach" in done.stdout
    assert "4 of 4 checks passed" in done.stdout
    assert "Architecture species" in done.stdout


def test_the_facts() -> None:
    for kind in FAMILIES.values():
        assert f"`{kind.__name__}`" in TEXT
    assert f"contract, now {API_VERSION}." in TEXT
    assert f"more than {TIME_LIMIT:g} s" in TEXT
