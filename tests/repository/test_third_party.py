"""A plugin of somebody else: installed into a fresh environment, listed, checked, trained with, removed again."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import ase.build
import ase.io
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "third-party-plugin"


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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    for tool in ("pip", "hatchling"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed here")
    folder = tmp_path_factory.mktemp("third-party")
    shutil.copytree(EXAMPLE, folder / "source")
    environment = Environment(folder)
    before = json.loads(environment.crystal("plugins list --json").stdout)
    assert "filter" not in {p["name"] for p in before["parts"]}
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", str(folder / "source")]
    environment.run(*pip)
    return environment


def test_it_is_listed_and_shown(installed: Environment) -> None:
    found = json.loads(installed.crystal("plugins list --json").stdout)
    ours = {(p["family"], p["name"]): p for p in found["parts"] if p["distribution"] == "crystal-filter"}
    assert set(ours) == {("architecture", "filter"), ("featurizer", "inverse"), ("head", "attention")}
    assert {p["version"] for p in ours.values()} == {"0.3.0"}
    assert found["refused"] == []
    shown = installed.crystal("plugins show inverse").stdout
    assert "--cutoff" in shown
    assert "1…20" in shown
    help_ = installed.crystal("train --arch filter --help").stdout
    assert "Architecture filter" in help_
    assert "Head attention" in help_
    assert "Featurizer inverse" in help_


def test_it_keeps_the_contracts(installed: Environment) -> None:
    done = json.loads(installed.crystal("plugins check attention --json --quiet").stdout)
    assert {f["check"]: f["status"] for f in done["findings"]} == {"record": "ok", "flags": "ok", "contract": "ok"}
    own_tests = str(installed.folder.parent / "source" / "tests")
    shown = installed.run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", own_tests, own_tests).stdout
    assert " passed" in shown
    assert "failed" not in shown


def test_it_trains_predicts_and_is_missed_when_removed(installed: Environment) -> None:
    data = installed.folder / "data"
    data.mkdir()
    rows = []
    for k in range(20):
        a = 3.5 + 0.04 * k
        ase.io.write(data / f"cu-{k:02d}.cif", ase.build.bulk("Cu", "fcc", a=a))
        rows.append(f"cu-{k:02d},{(a - 3.9) ** 2:.6f}")
    (data / "id_prop.csv").write_text("\n".join(rows) + "\n")
    installed.crystal("build-graphs data --featurizer inverse --cutoff 4")
    line = "train --arch filter --n-conv 1 --heads 2 --powers 4 --epochs 3 --split random -o run"
    installed.crystal(line)
    model = "run/model.safetensors"
    assert "target" in installed.crystal(f"predict {model} data/cu-00.cif").stdout
    refused = installed.crystal("train --arch filter --pool max -o other", code=2)
    assert "--pool belongs to head crystal, which is not chosen here" in refused.stderr
    refused = installed.crystal("train --arch cgcnn -o other", code=2)
    assert refused.stderr == "error: graphs.h5: was built with featurizer 'inverse'; add --featurizer inverse\n"

    installed.run("-m", "pip", "uninstall", "-q", "-y", "crystal-filter")
    missed = installed.crystal(f"predict {model} data/cu-00.cif", code=2)
    (error,) = missed.stderr.splitlines()
    assert "needs plugin crystal-filter >= 0.3.0 for featurizer 'inverse' (pip install crystal-filter)" in error
    gone = installed.crystal("train --arch filter -o other", code=2)
    assert gone.stderr.startswith("error: no architecture 'filter'")
