"""A crystal.toml that nobody asked for sets how things are computed; it runs, overwrites and reaches nothing else."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli import some_program

from crystalcli.cli.main import run as crystal
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UnsafeInput

PART = """
from dataclasses import dataclass
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Architecture, Calculator, Head

@dataclass(frozen=True)
class Outside:
    command: str = option("", "what is called", runs=True)
    depth: int = option(1, "how deep")

@hookimpl
def crystal_parts():
    return [
        Architecture(
            name="net", summary="a net", options=Outside, build=lambda *a: None, featurizer="cgcnn", head="out"
        ),
        Head(name="out", summary="a head", build=lambda *a: None),
        Calculator(name="program", summary="another program", options=Outside, build=lambda o: None),
    ]
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "part.py").write_text(PART)
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "part.py"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    registry.cache_clear()
    yield here
    registry.cache_clear()


SETTINGS = {
    "overwrite": ("overwrite = true", "--overwrite"),
    "absolute": ('output = "{outside}/precious"', "--output={outside}/precious"),
    "parent": ('output = "../precious"', "--output=../precious"),
    "through a link": ('output = "link/precious"', "--output=link/precious"),
    "option that is run": ('[train.net]\ncommand = "touch CANARY"', "--command=touch"),
    "option that is run, flat": ('command = "touch CANARY"', "--net.command=touch"),
}


@pytest.fixture
def wish(folder: Path) -> Callable[[str], tuple[str, str]]:
    (folder / "link").symlink_to(folder.parent)
    return lambda name: tuple(t.format(outside=folder.parent) for t in SETTINGS[name])  # type: ignore[return-value]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_has_to_be_asked_for(name: str, wish: Callable, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, flag = wish(name)
    (folder / "crystal.toml").write_text(f"[train]\n{text}\n")
    with pytest.raises(UnsafeInput, match=r"crystal.toml:[23]: .* nobody asked for it; say it yourself: --") as caught:
        some_program.run(["train"])
    assert caught.value.exit_code == 6
    for said in (["-c", "crystal.toml"], [flag]):
        some_program.run(["train", *said])
    (folder / "other.toml").write_text(f"[train]\n{text}\n")
    some_program.run(["train", "-c", "other.toml"])
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_variable_counts_as_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "crystal.toml").write_text('[train]\noutput = "/tmp/x"\n')
    monkeypatch.setenv("CRYSTAL_OUTPUT", "/tmp/y")
    some_program.run(["train"])


def test_all_else_needs_no_asking(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "crystal.toml").write_text(
        '[train]\noverwrite = false\noutput = "./deep/run"\nseed = 3\n[train.net]\ndepth = 2\ncommand = ""\n'
    )
    some_program.run(["train"])
    shown = json.loads(capsys.readouterr().out)
    assert (shown["core"]["output"], shown["core"]["seed"]) == ("deep/run", 3)
    assert shown["parts"]["architecture net"]["values"]["depth"] == 2


@pytest.mark.parametrize("command", ["build-graphs", "relax", "predict"])
def test_a_scheduler_sends_what_is_run(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.cif").write_text("")
    (folder / "crystal.toml").write_text(f'[{command}]\nscheduler = "tcp://127.0.0.1:1"\n')
    words = {"predict": ["model", "a.cif"], "relax": ["a.cif", "--potential", "emt"]}.get(command, ["a.cif"])
    assert crystal([command, *words]) == 6
    assert "crystal.toml:2: scheduler = 'tcp://127.0.0.1:1' has others work" in capsys.readouterr().err


PLAN = """
candidates = ["a.extxyz"]
train = 10
[references]
Cu = -3.7
Au = -3.8
[[stages]]
name = "first"
cost = 1
{first}
[[stages]]
name = "last"
cost = 10
potential = "emt"
"""
FIRST = {
    "command": 'command = "touch CANARY; cp {input} {output}"',
    "option that is run": 'potential = "program"\n[stages.program]\ncommand = "touch CANARY"',
    "hidden behind much else": f'command = "true {" " * 400}; touch CANARY {{input}} {{output}}"',
}


@pytest.fixture
def candidates(folder: Path) -> None:
    frame = '1\nLattice="2 2 0 0 2 2 2 0 2" Properties=species:S:1:pos:R:3 pbc="T T T"\n{} 0 0 0\n'
    (folder / "a.extxyz").write_text("".join(frame.format(("Cu", "Au")[k % 2]) for k in range(14)))


@pytest.mark.usefixtures("candidates")
@pytest.mark.parametrize("first", FIRST)
def test_commands_of_a_plan_that_nobody_asked_for(first: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "plan.toml").write_text(PLAN.replace("{first}", FIRST[first]))
    (folder / "crystal.toml").write_text('[screen]\ncampaign = "plan.toml"\n')
    assert crystal(["screen", "--json"]) == 6
    said = capsys.readouterr()
    assert "plan.toml: command of 'first': " in said.err
    assert "touch CANARY" in said.err
    assert "crystal.toml:2: names plan.toml" in json.loads(said.out)["error"]
    assert sorted(p.name for p in folder.iterdir()) == ["a.extxyz", "crystal.toml", "plan.toml"]


@pytest.mark.usefixtures("candidates")
def test_a_dry_run_shows_commands_and_runs_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "plan.toml").write_text(PLAN.replace("{first}", FIRST["command"]))
    (folder / "crystal.toml").write_text('[screen]\ncampaign = "plan.toml"\n')
    assert crystal(["screen", "--dry-run", "--json"]) == 0
    said = capsys.readouterr()
    commands = [{"from": "plan.toml", "runs": "touch CANARY; cp {input} {output}", "stage": "first"}]
    assert json.loads(said.out)["commands"] == commands
    assert "would be refused" in said.err
    for words in (["--campaign", "plan.toml"], ["-c", "crystal.toml"]):
        assert crystal(["screen", "--dry-run", *words]) == 0
        said = capsys.readouterr()
        assert "plan.toml: command of 'first': touch CANARY; cp {input} {output}" in said.out
        assert "refused" not in said.err
    assert not (folder / "CANARY").exists()


@pytest.mark.usefixtures("candidates")
def test_a_plan_without_commands_needs_no_asking(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "plan.toml").write_text(PLAN.replace("{first}", 'potential = "emt"'))
    (folder / "crystal.toml").write_text('[screen]\ncampaign = "plan.toml"\n')
    assert crystal(["screen", "--dry-run"]) == 0
    assert "command" not in capsys.readouterr().out
