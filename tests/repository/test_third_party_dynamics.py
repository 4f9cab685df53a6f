"""A relaxer and a sampler of somebody else: installed, listed, checked against the contracts."""

from __future__ import annotations

import json

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
    assert {k: f["status"] for k, f in found.items()} == {"record": "ok", "flags": "ok", "contract": "ok"}
    assert "passed" in found["contract"]["text"]


def test_their_own_tests(installed: Environment) -> None:
    tests = str(installed.folder.parent / "source" / "tests")
    shown = installed.run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tests, tests).stdout
    assert " passed" in shown
    assert "failed" not in shown
