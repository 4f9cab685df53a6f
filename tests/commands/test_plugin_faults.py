"""Broken plugins cost nothing but themselves: the program as a user starts it (fault list X1–X3)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
    assert done.returncode == 2, "the default head has two owners in this zoo"
    assert "head 'crystal': both crystal-graphs" in done.stderr
    (zoo / "plugins" / "shadow.py").unlink()
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
    assert [(r["family"], r["name"]) for r in found["refused"]] == [("head", "crystal"), ("head", "old")]
    assert "plugins/shadow.py" in found["refused"][0]["reason"]
    assert "crystal-graphs" in found["refused"][0]["reason"]
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
    assert crystal(tmp_path, "train", "--help", plugins="one.py,two.py").returncode == 0


def test_no_plugins_frees_a_shadowed_name(zoo: Path) -> None:
    done = crystal(zoo, "train", "--no-plugins", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    done = crystal(zoo, "train", "--help", CRYSTAL_NO_PLUGINS="1")
    assert (done.returncode, done.stderr) == (0, "")
