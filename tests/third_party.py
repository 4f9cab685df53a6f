"""A fresh virtual environment with a third party's plugin, for tests of what its users see."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


class Environment:
    """A virtual environment that sees the packages of this one, so that nothing is downloaded."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", with_pip=False)
        self.python = folder / "env" / "bin" / "python"
        self.folder = folder / "work"
        self.folder.mkdir()
        outer = sysconfig.get_path("purelib")
        (site,) = (folder / "env" / "lib").glob("python*/site-packages")
        (site / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("CRYSTAL_") and k != "PYTHONPATH"}
        self.env |= {"XDG_CONFIG_HOME": str(folder / "config"), "OMP_NUM_THREADS": "1"}

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), *args]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def crystal(self, line: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "crystalcli", *line.split(), code=code)


def install(example: str, part: str, folder: Path) -> Environment:
    """An environment with the plugin of ``examples/EXAMPLE``, whose ``part`` is not known before."""
    for tool in ("pip", "hatchling"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed here")
    shutil.copytree(EXAMPLES / example, folder / "source")
    environment = Environment(folder)
    before = json.loads(environment.crystal("plugins list --json").stdout)
    assert part not in {p["name"] for p in before["parts"]}
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", str(folder / "source")]
    environment.run(*pip)
    return environment
