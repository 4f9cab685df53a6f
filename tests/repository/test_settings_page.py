"""docs/settings.md is true: its file is accepted by the commands, its variables reach their options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import tomli
from doc_pages import blocks

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
TEXT = PAGE.read_text(encoding="utf-8")
(TABLES,) = [block.text for block in blocks(PAGE) if block.language == "toml"]


def crystal(folder: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"CRYSTAL_NO_PLUGINS": "1", "COLUMNS": "120"} | more
    command = [sys.executable, "-m", "crystalcli", *args]
    return subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def test_the_file_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "crystal.toml").write_text(TABLES)
    for command in tomli.loads(TABLES):
        done = crystal(tmp_path, command, "--help")
        assert (done.returncode, done.stderr) == (0, "")
    assert "Architecture lcgcn" in crystal(tmp_path, "train", "--help").stdout


def test_the_variables_are_read(tmp_path: Path) -> None:
    for name in re.findall(r"`(CRYSTAL_\w+)=\d`", TEXT):
        if name in ("CRYSTAL_DEBUG", "CRYSTAL_NO_PLUGINS"):
            continue
        done = crystal(tmp_path, "train", "--arch", "lcgcn", **{name: "many"})
        assert (done.returncode, done.stderr) == (2, f"error: {name}=many: must be a whole number\n")
