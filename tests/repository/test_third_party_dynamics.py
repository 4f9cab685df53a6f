"""A relaxer and a sampler of somebody else: installed, listed, checked against the contracts."""

from __future__ import annotations

import json

import ase.build
import ase.io
import numpy as np
import pytest
from third_party import Environment, install


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install("third-party-dynamics", "andersen", tmp_path_factory.mktemp("third-party"))


def test_they_are_listed_and_shown(installed: Environment) -> None:
    found = json.loads(installed.crystal("plugins list --json").stdout)
    ours = {(p["family"], p["name"]): p for p in found["parts"] if p["distribution"] == "crystal-downhill"}
    assert set(ours) == {("relaxer", "barzilai"), ("sampler", "andersen")}
    assert found["refused"] == []
    shown = installed.crystal("plugins show andersen").stdout
    assert "--rate" in shown
    assert "1/fs" in shown


@pytest.mark.parametrize("name", ["barzilai", "andersen"])
def test_they_keep_the_contracts(installed: Environment, name: str) -> None:
    done = json.loads(installed.crystal(f"plugins check {name} --json --quiet").stdout)
    found = {f["check"]: f for f in done["findings"]}
    shared = "warning" if name == "andersen" else "ok"  # crystal glass has a --rate, too
    assert {k: f["status"] for k, f in found.items()} == {"record": "ok", "flags": shared, "contract": "ok"}
    assert "passed" in found["contract"]["text"]


def test_their_own_tests(installed: Environment) -> None:
    tests = str(installed.folder.parent / "source" / "tests")
    shown = installed.run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tests, tests).stdout
    assert " passed" in shown
    assert "failed" not in shown


def test_they_relax_and_run(installed: Environment) -> None:
    rng = np.random.default_rng(0)
    shaken = []
    for k in range(2):
        atoms = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True).repeat((1, 1, k + 1))
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        shaken.append(atoms)
    ase.io.write(installed.folder / "shaken.extxyz", shaken)
    words = "--potential emt --relaxer barzilai --longest 0.05 --fmax 0.01 --json --quiet"
    installed.crystal(f"relax shaken.extxyz {words} -o relaxed")
    for atoms in ase.io.read(installed.folder / "relaxed" / "relaxed.extxyz", index=":"):
        lengths = atoms.get_all_distances(mic=True)
        assert lengths[lengths > 0.1].min() == pytest.approx(3.6 / 2**0.5, abs=0.02)
    words = "--potential emt --sampler andersen --rate 0.05 --steps 40 --frame-every 20 --no-analysis --json --quiet"
    installed.crystal(f"md relaxed/relaxed.extxyz {words} -o run")
    refused = installed.crystal("md shaken.extxyz --potential emt --sampler nve --rate 0.05 -o other", code=2)
    assert "--rate belongs to sampler andersen" in refused.stderr
