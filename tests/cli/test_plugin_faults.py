"""Broken plugins cost nothing but themselves: the program as a user starts it (fault list X1–X3)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crystalcli.engine.registry import plugin_check
from crystalcli.engine.registry.plugin_manager import assemble, load_file

HOOK = "from crystalcli.contracts.hookspecs import hookimpl\n"
KINDS = {
    "import_error": "import no_such_module",
    "syntax_error": "def f(:",
    "sys_exit": "import sys; sys.exit(0)",
    "os_environ": "import os; os.environ['PATH'] = ''; raise RuntimeError('after damage')",
    "prints": "print('{\"not\": \"ours\"}')\nraise RuntimeError('after printing')",
    "slow": "import time\ntime.sleep(30)",
    "wrong_api": HOOK
    + "from crystalcli.contracts.records import Head\n@hookimpl\ndef crystal_parts():\n"
    + "    return [Head(name='old', summary='s', api=0, build=lambda a, b, c, d: None)]",
    "wrong_signature": HOOK + "@hookimpl\ndef crystal_parts(app): return []",
    "wrong_return": HOOK + "@hookimpl\ndef crystal_parts(): return {'a': 1}",
    "interrupts": "raise KeyboardInterrupt",
    "leaves": "import os\nos._exit(3)",
    "forks": "import os\nif os.fork() == 0:\n    pass\nelse:\n    os.wait()\n    raise RuntimeError('forked')",
    "shadow": HOOK
    + "from crystalcli.contracts.records import Head\n@hookimpl\ndef crystal_parts():\n"
    + "    return [Head(name='crystal', summary='s', build=lambda a, b, c, d: None)]",
}


def crystal(folder: Path, *args: str, plugins: str = "plugins", **more: str) -> subprocess.CompletedProcess[str]:
    env = (
        os.environ | {"CRYSTAL_PLUGINS": plugins, "XDG_CONFIG_HOME": str(folder), "CRYSTAL_PLUGIN_TIMEOUT": "1"} | more
    )
    command = [sys.executable, "-m", "crystalcli", *args]
    return subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    for name, text in KINDS.items():
        (tmp_path / "plugins" / f"{name}.py").write_text(text)
    return tmp_path


def test_help_works_and_is_as_fast(zoo: Path) -> None:
    times = []
    for plugins in ("", "plugins"):
        start = time.perf_counter()
        done = crystal(zoo, "--help", plugins=plugins, CRYSTAL_PLUGIN_TIMEOUT="20")
        times.append(time.perf_counter() - start)
        assert (done.returncode, done.stderr) == (0, "")
    assert times[1] < times[0] + 10.0, "the program's own help must not wait for the plugin that sleeps 30 s"
    done = crystal(zoo, "train", "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_list_reports_them_all(zoo: Path) -> None:
    done = crystal(zoo, "plugins", "list", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    status = {p["name"]: p["status"] for p in found["plugins"]}
    broken = {n for n in KINDS if n != "shadow"}
    assert {n for n, s in status.items() if s == "broken"} == broken
    for name in broken:
        assert f"plugins/{name}.py" in done.stderr
    assert [(r["family"], r["name"]) for r in found["refused"]] == [("head", "old")]
    (clash,) = found["clashes"]
    assert "plugins/shadow.py" in clash
    assert "crystal's own, which is used; theirs is 'shadow:crystal'" in clash
    assert ("head", "shadow:crystal") in {(p["family"], p["name"]) for p in found["parts"]}
    assert {"family": "architecture", "name": "lcgcn"}.items() <= next(
        p.items() for p in found["parts"] if p["name"] == "lcgcn"
    )


def test_a_command_warns_once_and_works(zoo: Path) -> None:
    (zoo / "plugins" / "shadow.py").unlink()
    done = crystal(zoo, "build-graphs", "nothing-here.cif")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: broken plugin")]
    assert len(warnings) == 1
    assert "plugins/" in warnings[0]
    assert "ours" not in done.stdout
    silent = crystal(zoo, "--no-plugins", "build-graphs", "nothing-here.cif")
    assert "plugin" not in silent.stderr
    assert silent.returncode == done.returncode


def test_the_part_that_was_asked_for(zoo: Path) -> None:
    done = crystal(zoo, "train", "--head", "old")
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert error.startswith("error: head 'old': ")
    assert "wrong_api.py offers it, but is written for plugin api 0; this crystal has 1" in error
    (zoo / "plugins" / "shadow.py").unlink()
    done = crystal(zoo, "train", "--arch", "import_error")
    assert done.returncode == 2
    assert "no architecture 'import_error'" in done.stderr
    for args in (["show", "import_error"], ["check", "import_error"]):
        done = crystal(zoo, "plugins", *args)
        assert done.returncode == 2
        assert "import_error.py is broken: ModuleNotFoundError: No module named 'no_such_module'" in done.stderr


def test_two_plugins_with_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(KINDS["shadow"].replace("'crystal'", "'twice'"))
    done = crystal(tmp_path, "train", "--head", "twice", plugins="one.py,two.py")
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert str(tmp_path / "one.py") in error
    assert str(tmp_path / "two.py") in error
    assert "say which: one:twice or two:twice" in error
    assert crystal(tmp_path, "train", "--head", "one:twice", "--help", plugins="one.py,two.py").returncode == 0
    assert crystal(tmp_path, "train", "--help", plugins="one.py,two.py").returncode == 0


def test_no_plugins_frees_a_shadowed_name(zoo: Path) -> None:
    done = crystal(zoo, "train", "--no-plugins", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    done = crystal(zoo, "train", "--help", CRYSTAL_NO_PLUGINS="1")
    assert (done.returncode, done.stderr) == (0, "")


READERS = (
    HOOK
    + """
from crystalcli.contracts.records import Reader
def broken(path): raise ValueError("boom")
def exits(path): raise SystemExit(0)
def sound(path): return True
def entries(path):
    from crystalcli.nouns.structures.entry import Entry
    if KIND == "wrong record":
        yield Entry(wrong=1)
    yield 3
@hookimpl
def crystal_parts():
    sniff = {"sniff": broken, "exits": exits}.get(KIND, sound)
    return [Reader(name="mine", summary="s", suffixes=(".cif",), sniff=sniff, read=entries)]
"""
)
CIF = """data_x
_cell_length_a 3.6
_cell_length_b 3.6
_cell_length_c 3.6
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cu 0 0 0
"""


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("sniff", 0, "mine.py was left out: its sniff raises ValueError: boom"),
        ("exits", 0, "mine.py was left out: its sniff calls sys.exit(0)"),
        ("wrong record", 4, "mine.py fails: TypeError: "),
        ("numbers", 4, "mine.py fails: TypeError: gives a int, not an Entry"),
    ],
)
def test_a_broken_reader_is_named_and_the_next_is_asked(tmp_path: Path, kind: str, code: int, said: str) -> None:
    (tmp_path / "mine.py").write_text(f"KIND = {kind!r}\n" + READERS)
    (tmp_path / "a.cif").write_text(CIF)
    done = crystal(tmp_path, "build-graphs", "a.cif", "--targets", "none", "-o", "o.h5", plugins="mine.py")
    assert done.returncode == code, done.stderr
    assert "reader 'mine' of plugin " in done.stderr
    assert said in done.stderr
    check = crystal(tmp_path, "plugins", "check", "mine", plugins="mine.py")
    assert check.returncode == 2, check.stdout
    assert re.search(r"failed .*ReaderContract: FAILED \S+ - .*[^.]$", check.stdout, re.MULTILINE), check.stdout


def test_contracts_are_tried_beside_the_plugins_that_are_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture's featurizer, or the parts of a ready model, may be another one-file plugin's."""
    for name in ("mine", "theirs"):
        (tmp_path / f"{name}.py").write_text(
            HOOK + "from crystalcli.contracts.records import Calculator\n@hookimpl\ndef crystal_parts():\n"
            f"    return [Calculator(name='{name}', summary='s', build=lambda o: None)]"
        )
    found = assemble(load_file(tmp_path / f"{name}.py") for name in ("mine", "theirs"))
    asked = {}

    def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        asked.update(how["env"])
        return subprocess.CompletedProcess(command, 0, "1 passed", "")

    monkeypatch.setattr(plugin_check.subprocess, "run", run)
    assert {f.status for f in plugin_check.check(found.get("calculator", "mine"), found, {})} == {"ok"}
    assert asked["CRYSTAL_PLUGINS"].split(",") == [str(tmp_path / "mine.py"), str(tmp_path / "theirs.py")]


def test_what_was_not_run_is_not_passed(tmp_path: Path) -> None:
    text = READERS.replace("(path): return True", "(path): return False").replace(
        "    yield 3\n", "    return\n    yield\n"
    )
    (tmp_path / "mine.py").write_text("KIND = ''\n" + text)
    done = crystal(tmp_path, "plugins", "check", "mine", plugins="mine.py")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the record has no example" in done.stdout
    assert "2 of 3 checks passed, 0 failed, 1 not run" in done.stdout


@pytest.mark.parametrize("made", ["object()", "type('Half', (), {'implemented_properties': ['energy']})()"])
def test_what_is_no_calculator_names_its_plugin(tmp_path: Path, made: str) -> None:
    (tmp_path / "mine.py").write_text(
        HOOK + "from crystalcli.contracts.records import Calculator\n@hookimpl\ndef crystal_parts():\n"
        f"    return [Calculator(name='none-such', summary='s', build=lambda o: {made})]"
    )
    (tmp_path / "a.cif").write_text(CIF)
    done = crystal(tmp_path, "relax", "a.cif", "--potential", "none-such", "-o", "r", plugins="mine.py")
    assert done.returncode == 2, done.stderr
    assert "mine.py gives a " in done.stderr
    assert "which is no ASE calculator" in done.stderr


def test_a_crash_at_import_says_where(tmp_path: Path) -> None:
    (tmp_path / "crash.py").write_text("import ctypes\nctypes.string_at(0)\n")
    done = crystal(tmp_path, "plugins", "list", plugins="crash.py")
    assert done.returncode < 0
    assert "crash.py" in done.stderr


QUITTER = (
    HOOK
    + """
import sys
from crystalcli.contracts.records import Relaxer
class Quitter:
    def init(self, x, index, n_structures): return None
    def step(self, state, x, energy, forces, active): sys.exit(0)
@hookimpl
def crystal_parts():
    return [Relaxer(name="quitter", summary="s", build=lambda _: Quitter())]
"""
)


def test_a_part_that_exits_is_named(tmp_path: Path) -> None:
    """It said nothing, and the exit code was 0."""
    (tmp_path / "quitter.py").write_text(QUITTER)
    (tmp_path / "cu.cif").write_text(CIF)
    done = crystal(
        tmp_path, "relax", "cu.cif", "--potential", "emt", "--relaxer", "quitter", "--fmax", "0", "--json",
        plugins="quitter.py",
    )  # fmt: skip
    assert done.returncode == 1
    assert "quitter.py: calls sys.exit(0)" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1


def test_a_potential_that_may_be_of_a_broken_plugin(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text("raise ValueError('boom')\n")
    (tmp_path / "cu.cif").write_text(CIF)
    done = crystal(tmp_path, "relax", "cu.cif", "--potential", "wells", plugins="lab.py")
    assert done.returncode == 2
    assert re.search(r"no potential 'wells': .*; broken: .*lab\.py: ValueError: boom", done.stderr)
