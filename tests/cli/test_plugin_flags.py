"""Flags of the chosen parts: long spellings, collisions, flags of parts that are not chosen, help, completion."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli import some_parts, some_program

from crystalcli.cli.command_line import word_in
from crystalcli.cli.main import run
from crystalcli.cli.plugin_flags import words
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(Path(some_parts.__file__)))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture
def net(capsys: pytest.CaptureFixture[str]) -> Any:
    def one(line: str) -> dict[str, Any]:
        some_program.run(["train", *line.split()])
        values: dict[str, Any] = json.loads(capsys.readouterr().out)["parts"]["architecture net"]["values"]
        return values

    return one


def problem(line: str) -> str:
    with pytest.raises(UsageError) as caught:
        some_program.run(line.split())
    return str(caught.value)


def test_kinds_of_flags(net: Any) -> None:
    line = "--depth 4 --rate=1e-3 --no-outer --kind fancy --tag --"
    with_text = net(line.replace(" --tag --", " --tag x"))
    assert with_text == {"depth": 4, "rate": 1e-3, "outer": False, "kind": "fancy", "tag": "x"}
    assert net("--outer")["outer"] is True


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("--net.depth 4", "depth", 4),
        ("--net.depth=4", "depth", 4),
        ("--net.outer", "outer", True),
        ("--no-net.outer", "outer", False),
        ("--net.no-outer", "outer", False),
        ("--head clash --net.depth 4", "depth", 4),
    ],
)
def test_long_spellings(net: Any, line: str, name: str, value: Any) -> None:
    assert net(line)[name] == value


def test_after_two_dashes_nothing_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    some_program.run(["train", "--", "--net.depth", "--arch", "nothing"])
    assert json.loads(capsys.readouterr().out)["core"]["caches"] == ["--net.depth", "--arch", "nothing"]


def test_two_parts_declare_one_flag() -> None:
    assert problem("train --head clash --depth 3") == (
        "--depth is declared by architecture net (--net.depth) and head clash (--clash.depth); write the long spelling"
    )


def test_a_part_and_the_command_declare_one_flag() -> None:
    assert problem("train --head clash --seed 3") == (
        "--seed is declared by head clash (--clash.seed) and the command (--train.seed); write the long spelling"
    )


def test_a_part_that_nobody_named_takes_no_flag_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``glass --dt`` is its own, though its default relaxer has one, too."""
    monkeypatch.chdir(tmp_path)
    words = ["glass", "Cu", "--potential", "emt", "--dt", "1", "--dry-run"]
    assert run(words) == 0
    assert "1500 × 1 fs" in capsys.readouterr().out
    assert run([*words, "--relaxer", "fire"]) == 2
    assert run([*words[:-3], "--glass.dt", "1", "--fire.dt", "0.5", "--dry-run"]) == 0


def test_a_flag_of_a_part_that_is_not_chosen() -> None:
    assert problem("train --arch plain-net --rate 3") == (
        "--rate belongs to architecture net, which is not chosen here"
    )
    assert problem("train --arch plain-net --no-outer") == (
        "--no-outer belongs to architecture net, which is not chosen here"
    )
    assert problem("train --clash.seed 3") == "--clash.seed belongs to head clash, which is not chosen here"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        # springs, a head, has --max-steps: nothing that these commands could choose
        ("relax x --max-steps 3", "no such option: --max-steps; did you mean '--max-step' or '--steps'?"),
        ("relax x --relaxer lbfgs --max-steps=3", "did you mean '--max-step' or '--steps'?"),
        ("relax x --dt-max 2 --relaxer bfgs", "--dt-max belongs to relaxer fire, which is not chosen here"),
        ("relax x --message-scale one", " and architecture lcgcn, and is no option of this command"),
        ("train x --max-steps 3", "--max-steps belongs to head springs, which is not chosen here"),
        ("train x --symprec 1", "--symprec belongs to featurizer symmetry, and is no option of this command"),
    ],
)
def test_a_part_is_named_only_where_it_can_be_chosen(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(line.split()) == 2
    assert said in capsys.readouterr().err
    (tmp_path / "crystal.toml").write_text("[relax]\nmax_steps = 3\n")
    assert run(["relax", "x"]) == 2
    assert "unknown key 'max_steps'; did you mean 'max_step'?" in capsys.readouterr().err


def test_unknown_flags_and_parts() -> None:
    assert problem("train --epoch 3") == "no such option: --epoch; did you mean '--epochs'?"
    assert problem("train --dept 3") == "no such option: --dept; did you mean '--depth'?"
    assert problem("train --zzzzz 3") == "no such option: --zzzzz; see --help"
    assert problem("train --arch nett") == "no architecture 'nett'; did you mean 'net'?"


def test_help_shows_the_chosen_parts(capsys: pytest.CaptureFixture[str]) -> None:
    some_program.run(["train", "--help"])
    shown = capsys.readouterr().out
    assert "─ Architecture net ─" in shown
    assert "─ Head out ─" in shown
    assert "a rate [of something] (1/Å)" in shown
    assert "[default: max]" in shown, "what the architecture wants of its head is the default"
    assert "[default: 7]" in shown, "so is the recipe"
    some_program.run(["train", "--head", "clash", "--help"])
    shown = capsys.readouterr().out
    assert "--clash.depth" in shown
    assert "--net.depth" in shown
    assert "Head out" not in shown


def complete(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    words = line.split(" ")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("_PROGRAM_COMPLETE", "complete_bash")
    from typer.completion import completion_init

    completion_init()
    with pytest.raises(SystemExit):
        some_program.run(["ignored"])
    for name in ("COMP_WORDS", "COMP_CWORD", "_PROGRAM_COMPLETE"):
        os.environ.pop(name)
    return capsys.readouterr().out.split()


def test_completion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def at(line: str) -> list[str]:
        return complete(line, capsys, monkeypatch)

    assert at("program tr") == ["train"]
    assert {"net", "plain-net"} <= set(at("program train --arch "))
    assert at("program train --arch pl") == ["plain-net"]
    assert at("program train --de") == ["--depth", "--debug"] or set(at("program train --de")) == {"--depth", "--debug"}
    assert at("program train --arch plain-net --dep") == []
    assert at("program train --kind ") == ["plain", "fancy"]
    assert at("program train --arch nonsense --ep") == ["--epochs"], "a wrong name does not break completion"


def test_completion_between_commas() -> None:
    of = ("top", "bridge", "hollow")
    listed = words(of, between_commas=True)
    assert listed("") == list(of)
    assert listed("top,") == ["top,bridge", "top,hollow"], "each once"
    assert listed("top,b") == ["top,bridge"]
    assert words(of, between_commas=False)("top,") == []


def test_word_in() -> None:
    assert word_in(["--arch", "a", "--arch=b"], ("--arch",)) == "b"
    assert word_in(["--arch=b", "--arch", "a"], ("--arch",)) == "a"
    assert word_in(["--", "--arch", "a"], ("--arch",)) is None
    assert word_in(["--arch"], ("--arch",)) is None
