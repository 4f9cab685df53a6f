"""Start-up is felt at every command and every TAB: help loads nothing heavy and is quick."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from crystalcli.cli import workflow_command
from crystalcli.cli.main import COMMANDS, WORKFLOWS, app, run
from crystalcli.contracts.validation import part_problems
from crystalcli.engine.registry.plugin_manager import registry

HEAVY = (
    "torch",
    "pymatgen",
    "ase",
    "scipy",
    "h5py",
    "matplotlib",
    "numpy",
    "gemmi",
    "safetensors",
    "pandas",
    "distributed",
    "dask",
)
NEEDLESS = ("pydantic", "pydantic_core", "markdown_it", "pygments", "rich")
"""What Typer loads for values and for its own help, and help does without."""
ALL = 340
"""Modules that help loads at most, those of Python and Typer among them: a module costs about half a millisecond."""
WIDTHS = ("80", "140")
"""Columns of a terminal on which help is a list, and on which it is a table."""
CHECKS = "crystalcli.contracts.validation"
"""Looks at the records of others' plugins, and has nothing to do where there are none."""
OWN = 85
"""Modules of the program itself that help loads at most; the packages of its plugins load their records."""


def command_lines() -> list[list[str]]:
    """Every command and group of the program."""

    def walk(command: Any, path: list[str]) -> list[list[str]]:
        found = [path]
        for name, child in getattr(command, "commands", {}).items():
            found += walk(child, [*path, name])
        return found

    return walk(typer.main.get_command(app), [])


PROBE = """
import sys
from crystalcli.cli.main import run
code = run(sys.argv[1:])
loaded = sorted({m.partition(".")[0] for m in sys.modules} & set(HEAVY))
print(code, *loaded, file=sys.stderr)
""".replace("HEAVY", repr(HEAVY))
PROBE_OF_HELP = (
    """
import os, sys
from crystalcli.cli.main import run
for width in WIDTHS:
    os.environ["COLUMNS"] = width
    code = run([*sys.argv[1:], "--help"])
own = [name for name in sys.modules if name.startswith("crystalcli")]
commands = [name for name in own if hasattr(sys.modules[name], "register")]
loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(NEEDLESS))
loaded += [name for name in own if name == CHECKS]
print(code, len(sys.modules), len(own), len(commands), *loaded, file=sys.stderr)
""".replace("WIDTHS", repr(WIDTHS))
    .replace("NEEDLESS", repr((*HEAVY, *NEEDLESS)))
    .replace("CHECKS", repr(CHECKS))
)


@pytest.mark.parametrize("line", command_lines(), ids=" ".join)
def test_help_loads_nothing_needless(line: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE_OF_HELP, *line],
        env=os.environ | {"CRYSTAL_NO_PLUGINS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, every, own, commands, *loaded = done.stderr.split()
    assert (code, loaded) == ("0", [])
    assert int(every) <= ALL
    assert int(own) <= OWN
    modules = [name for name in COMMANDS if name not in WORKFLOWS and (not line or line[0] == name)]
    assert int(commands) == len(modules)
    assert done.stdout.count("Usage: crystal") == len(WIDTHS)


@pytest.mark.parametrize("line", [["plugins", "list"], ["plugins", "show", "lcgcn"], ["train", "--arch", "nothing"]])
def test_neither_do_listings_and_errors(line: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *line], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.splitlines()[-1].split() in (["0"], ["2"])


def test_completion_loads_nothing_heavy() -> None:
    env = os.environ | {"_CRYSTAL_COMPLETE": "complete_bash", "COMP_WORDS": "crystal train --arch ", "COMP_CWORD": "3"}
    probe = PROBE.replace("code = run(sys.argv[1:])", "code = run(['x'])")
    done = subprocess.run(
        [sys.executable, "-c", probe], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.split() == ["0"]
    assert "lcgcn" in done.stdout.split()


def test_help_of_the_program_makes_no_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """What each does is read from its record: the flags of all of them took a fifth of the time."""
    monkeypatch.setattr(workflow_command, "function", lambda workflow: pytest.fail(f"makes {workflow.name}"))
    assert run(["--help"]) == 0
    assert "glass" in capsys.readouterr().out


def test_records_that_come_with_crystal_are_right() -> None:
    """Those of others are looked at whenever they are loaded."""
    assert [(o.part.name, part_problems(o.part)) for o in registry().offered() if part_problems(o.part)] == []


LIGHT = ("loads no torch", "loads nothing heavy")
"""What modules say of themselves."""


def _said_to_be_light() -> list[str]:
    """Modules whose docstring says so, those of plugins among them."""
    root, found = Path(__file__).parents[2], []
    for path in sorted([*root.glob("crystalcli/**/*.py"), *root.glob("plugins/**/*.py")]):
        said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").lower()
        if any(word in said for word in LIGHT):
            place = path.relative_to(root / "plugins" if "plugins" in path.parts else root).with_suffix("")
            found.append(".".join(place.parts).removesuffix(".__init__"))
    return found


def test_what_says_that_it_loads_no_torch_does_not() -> None:
    """Workers that read files are forked only before torch is loaded, and help is quick without it."""
    names = _said_to_be_light()
    assert len(names) > 40
    probe = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    probe += "    if 'torch' in sys.modules: sys.exit(name)"
    done = subprocess.run(
        [sys.executable, "-c", probe, *names], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
