"""A plugin of somebody else: installed into a fresh environment, listed, checked, trained with, removed again."""

from __future__ import annotations

import json

import ase.build
import ase.io
import pytest
from third_party import Environment, install


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install("third-party-plugin", "filter", tmp_path_factory.mktemp("third-party"))


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
    assert "--pool belongs to head crystal and head ridge, which are not chosen here" in refused.stderr
    refused = installed.crystal("train --arch cgcnn -o other", code=2)
    cure = "add --featurizer inverse, or build it with crystal build-graphs --featurizer cgcnn"
    assert refused.stderr == f"error: graphs.h5: was built with featurizer 'inverse'; {cure}\n"

    installed.run("-m", "pip", "uninstall", "-q", "-y", "crystal-filter")
    missed = installed.crystal(f"predict {model} data/cu-00.cif", code=2)
    (error,) = missed.stderr.splitlines()
    assert "needs plugin crystal-filter >= 0.3.0 for featurizer 'inverse' (pip install crystal-filter)" in error
    gone = installed.crystal("train --arch filter -o other", code=2)
    assert gone.stderr.startswith("error: no architecture 'filter'")
