"""docs/writing-plugins.md is true: its plugin loads, keeps the contract, and its commands work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import blocks

from crystalcli.contracts.families import FAMILIES
from crystalcli.contracts.records import API_VERSION
from crystalcli.engine.registry.plugin_loading import TIME_LIMIT

PAGE = Path(__file__).parents[2] / "docs" / "writing-plugins.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [(block.language, block.text) for block in blocks(PAGE)]


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


def test_the_reader_and_the_calculator(tmp_path: Path) -> None:
    """They keep their contracts, read a file of the lab with a bad line, and relax what is in it."""
    (tmp_path / "lab.py").write_text(next(code for _, code in BLOCKS if code.startswith('"""Files of a lab')))
    (tmp_path / "run.lab").write_text("# lab 1\n3.6 Cu -12.5 a\n4.05 Qq -13.0 b\n4.1 Al -13.1 b\n")
    program = [sys.executable, "-m", "crystalcli"]
    script = f"""
    {" ".join(program)} plugins check lab.py
    {" ".join(program)} build-graphs run.lab --targets energy -o run.h5 || test $? = 3
    {" ".join(program)} graphs info run.h5
    {" ".join(program)} relax run.lab --potential wells --depth 0.4 --cell isotropic -o relaxed || test $? = 3
    cat relaxed/relaxation.csv
    """
    env = os.environ | {"CRYSTAL_PLUGINS": "lab.py", "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "6 of 6 checks passed, 0 failed, 0 not run" in said
    assert "run.lab:3: no crystal: " in said
    assert "2 structures" in said
    assert "run:2," in said
    assert said.count(",true,converged,") == 2


def test_the_logger(tmp_path: Path) -> None:
    """It keeps its contract with a stand-in of its service that writes what it is told."""
    (tmp_path / "follow.py").write_text(next(code for _, code in BLOCKS if "wandb.init" in code))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "wandb.py").write_text(
        "from pathlib import Path\n"
        "class Run:\n"
        "    def log(self, values, step): self.file.write_text(f'{step} {values}')\n"
        "    def finish(self): pass\n"
        "def init(dir, name):\n"
        "    (Path(dir) / 'wandb').mkdir(parents=True, exist_ok=True)\n"
        "    run = Run()\n"
        "    run.file = Path(dir) / 'wandb' / name\n"
        "    return run\n"
    )
    env = os.environ | {"CRYSTAL_PLUGINS": "follow.py", "PYTHONPATH": str(tmp_path / "here")}
    command = [sys.executable, "-m", "crystalcli", "plugins", "check", "follow.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 checks passed, 0 failed, 0 not run" in done.stdout + done.stderr


def test_the_facts() -> None:
    for kind in FAMILIES.values():
        assert f"`{kind.__name__}`" in TEXT
    assert f"contract, now {API_VERSION}." in TEXT
    assert f"more than {TIME_LIMIT:g} s" in TEXT
