"""Man pages and completion scripts are what the command tree says, and work in their programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository.test_startup import command_lines

from crystalcli.cli.man_pages import _text
from crystalcli.cli.tree import pages

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "crystalcli.cli.pages", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder


@pytest.mark.parametrize("name", ["man", "completions"])
def test_committed_files_are_up_to_date(fresh: Path, name: str) -> None:
    def texts(folder: Path) -> dict[str, str]:
        return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if not p.name.startswith(".")}

    made, kept = texts(fresh / name), texts(ROOT / name)
    stale = sorted(n for n in made.keys() | kept.keys() if made.get(n) != kept.get(n))
    assert not stale, f"run: python -m crystalcli.cli.pages   ({', '.join(stale)})"


def test_every_command_has_a_page(fresh: Path) -> None:
    expected = {"-".join(["crystal", *line]) + ".1" for line in command_lines()}
    assert {p.name for p in (fresh / "man").iterdir()} == expected


def test_pages_name_every_option_and_part(fresh: Path) -> None:
    for page in pages():
        text = (fresh / "man" / ("-".join(["crystal", *page.path]) + ".1")).read_text(encoding="utf-8")
        for item in (*page.options, *page.part_options):
            for name in item.names:
                assert f"\\fB{_text(name)}\\fR" in text
    train = (fresh / "man" / "crystal-train.1").read_text(encoding="utf-8")
    for heading in ("OPTIONS OF ARCHITECTURE LCGCN", "OPTIONS OF HEAD CRYSTAL", "OPTIONS OF FEATURIZER CGCNN"):
        assert f".SH {heading}" in train


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_man_pages_are_clean_roff(fresh: Path) -> None:
    for path in (fresh / "man").iterdir():
        done = subprocess.run(
            ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z", path], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), path.name


SHELL = """
source {script}
words=({words} "")
COMP_WORDS=("${{words[@]:0:{n}}}") COMP_CWORD=$(({n} - 1))
_crystal
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(line: str, path: str) -> list[str]:
    words = line.split(" ")
    quoted = " ".join(f"'{w}'" for w in words)
    text = SHELL.format(script=ROOT / "completions" / "crystal.bash", words=quoted, n=len(words))
    env = os.environ | {"PATH": path + os.pathsep + os.environ["PATH"], "CRYSTAL_NO_PLUGINS": "1"}
    done = subprocess.run(["bash", "-c", text], env=env, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completion() -> None:
    path = str(BIN)
    assert bash("crystal plug", path) == ["plugins"]
    assert set(bash("crystal plugins ", path)) == {"list", "show", "check", "new"}
    assert "lcgcn" in bash("crystal train --arch ", path)
    assert "--pool" in bash("crystal train --arch lcgcn --po", path)
    assert bash("crystal train --arch lcgcn --pool fc", path) == ["fcmax"]
    assert bash("crystal plugins show lc", path) == ["lcgcn", "lcgcn-ff"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completion_without_the_program(tmp_path: Path) -> None:
    (tmp_path / "crystal").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "crystal").chmod(0o755)
    assert bash("crystal tra", str(tmp_path)) == ["train"]
    assert "--pool" in bash("crystal train --po", str(tmp_path))
    assert bash("crystal train --arch ", str(tmp_path)) == []


@pytest.mark.parametrize(("shell", "name"), [("zsh", "_crystal"), ("fish", "crystal.fish"), ("bash", "crystal.bash")])
def test_scripts_are_good_syntax(shell: str, name: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", ROOT / "completions" / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_fish_completion() -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    script = f"source {ROOT / 'completions' / 'crystal.fish'}; complete -C 'crystal plugins sh'"
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\t")[0] == "show"
