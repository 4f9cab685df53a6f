"""Flags, environment, configuration files and defaults, in that order; all mistakes at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli import some_parts, some_program

from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import CrystalError, UsageError


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(Path(some_parts.__file__)))
    monkeypatch.chdir(tmp_path)
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def one(line: str) -> dict[str, Any]:
        code = some_program.run(line.split())
        assert not code
        shown: dict[str, Any] = json.loads(capsys.readouterr().out)
        return shown

    return one


def problems(line: str) -> list[str]:
    with pytest.raises(CrystalError) as caught:
        some_program.run(line.split())
    assert caught.value.exit_code == 2
    return [str(p) for p in getattr(caught.value, "problems", [caught.value])]


def test_defaults_follow_the_choice(run: Any) -> None:
    shown = run("train")
    assert shown["core"]["head"] == "out"
    assert shown["core"]["epochs"] == 7, "the recipe of the architecture is the default"
    assert shown["parts"]["head out"] == {"values": {"pool": "max", "hidden": 16}, "explicit": {}}
    assert run("train --arch plain-net")["parts"]["head out"]["values"]["pool"] == "average"
    assert run("train --arch plain-net")["core"]["epochs"] == 100


def test_precedence(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("train")["parts"]["architecture net"]["values"]["depth"] == 3
    (tmp_path / "crystal.toml").write_text("[train]\nepochs = 11\n[train.net]\ndepth = 4\nrate = 2\n")
    shown = run("train")
    assert shown["parts"]["architecture net"] == {
        "values": {"depth": 4, "rate": 2.0, "outer": True, "kind": "plain", "tag": "none"},
        "explicit": {"depth": 4, "rate": 2.0},
    }
    assert shown["core"]["epochs"] == 11
    (tmp_path / "more.toml").write_text("[train.net]\ndepth = 5\n")
    assert run("train -c more.toml")["parts"]["architecture net"]["values"]["depth"] == 5
    assert run("train -c more.toml")["core"]["epochs"] == 11
    monkeypatch.setenv("CRYSTAL_DEPTH", "6")
    assert run("train -c more.toml")["parts"]["architecture net"]["values"]["depth"] == 6
    monkeypatch.setenv("CRYSTAL_NET_DEPTH", "7")
    assert run("train -c more.toml")["parts"]["architecture net"]["values"]["depth"] == 7
    assert run("train -c more.toml --depth 8")["parts"]["architecture net"]["values"]["depth"] == 8


def test_the_choice_of_parts_has_the_same_precedence(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crystal.toml").write_text('[train]\narch = "plain-net"\n')
    assert "architecture plain-net" in run("train")["parts"] or run("train")["core"]["arch"] == "plain-net"
    (tmp_path / "more.toml").write_text('[train]\narch = "net"\nhead = "clash"\n')
    assert run("train -c more.toml")["parts"]["head clash"]["values"]["depth"] == 9
    assert run("train --config=more.toml")["core"]["arch"] == "net"
    monkeypatch.setenv("CRYSTAL_CONFIG", "more.toml")
    assert run("train")["core"]["head"] == "clash"
    monkeypatch.setenv("CRYSTAL_HEAD", "out")
    assert run("train")["core"]["head"] == "out"
    assert run("train --head clash")["core"]["head"] == "clash"
    assert run("train --head=clash --head out")["core"]["head"] == "out", "the last flag counts"


def test_keys_of_parts_may_stand_in_the_commands_table(run: Any, tmp_path: Path) -> None:
    (tmp_path / "crystal.toml").write_text('[train]\ndepth = 4\ncaches = ["a.h5", "b.h5"]\ntargets = ["e"]\n')
    shown = run("train")
    assert shown["parts"]["architecture net"]["explicit"] == {"depth": 4}
    assert shown["core"]["caches"] == ["a.h5", "b.h5"]
    assert shown["core"]["targets"] == ["e"]


def test_tables_of_parts_not_chosen_wait(run: Any, tmp_path: Path) -> None:
    (tmp_path / "crystal.toml").write_text('[train]\narch = "plain-net"\n[train.net]\ndepth = 4\n')
    assert run("train")["core"]["arch"] == "plain-net"
    assert run("train --arch net")["parts"]["architecture net"]["values"]["depth"] == 4


def test_groups(run: Any, tmp_path: Path) -> None:
    (tmp_path / "crystal.toml").write_text("[graphs.merge]\nlevel = 4\n")
    assert run("graphs merge") == {"core": {"level": 4}}


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[train]\nepoch = 3\nepochs = "many"\nseed = true\noutput = 3\ntargets = "e"\nhidden = 0\n'
        '[train.net]\ndepth = 99\ndeep = 3\nkind = "fanci"\n[train.nett]\nx = 1\n'
        "[train.clash]\ndepth = 1.5\n[trian]\n[graphs.mrege]\n"
    )
    assert problems("train -c c.toml") == [
        "c.toml:16: there is no command 'trian'; did you mean 'train'?",
        "c.toml:17: there is no command 'graphs mrege'; did you mean 'merge'?",
        "c.toml:2: [train] unknown key 'epoch'; did you mean 'epochs'?",
        "c.toml:3: [train] epochs must be a whole number, not 'many'",
        "c.toml:4: [train] seed must be a whole number, not True",
        "c.toml:5: [train] output must be a path (a text), not 3",
        "c.toml:6: [train] targets must be a list, not 'e'",
        "c.toml:7: [train] hidden = 0: must be greater than or equal to 1",
        "c.toml:9: [train.net] depth = 99: must be less than or equal to 20",
        "c.toml:10: [train.net] 'net' has no option 'deep'; did you mean 'depth'?",
        "c.toml:11: [train.net] kind must be one of plain, fancy, not 'fanci'",
        "c.toml:12: [train] there is no part 'nett'; did you mean 'net'?",
        "c.toml:15: [train.clash] depth must be a whole number, not 1.5",
    ]


@pytest.mark.parametrize("typed", ["-c more.toml", "-cmore.toml", "-qc more.toml", "-qcmore.toml"])
def test_a_file_is_read_however_its_flag_is_spelled(typed: str, run: Any, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text("[train]\nepochs = 12\n")
    assert run(f"train {typed}")["core"]["epochs"] == 12
    assert run(f"train {typed} -c more.toml --quiet")["core"]["epochs"] == 12


def test_no_file_is_left_unread_without_a_word(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text("[train]\nepochs = 12\n")
    said = "-c a.toml and -c b.toml: one file is read; put all into one, or into ./crystal.toml"
    assert problems("train -c a.toml --config b.toml") == [said]
    assert problems("train -cnone.toml") == ["none.toml: no such configuration file"]


def test_what_is_said_twice_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[train]\ndry-run = false\ndry_run = true\ndepth = 3\n[train.net]\ndepth = 4\n")
    assert problems("train -c c.toml") == [
        "c.toml:3: [train] dry_run is said twice; the other is in line 2",
        "c.toml:6: [train.net] depth is said twice; the other is in line 4",
    ]


def test_misplaced_and_ambiguous_keys(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[train]\narch = "plain-net"\ndepth = 3\n')
    assert problems("train -c c.toml") == [
        "c.toml:3: [train] 'depth' belongs to architecture net and head clash, which are not chosen here"
    ]
    (tmp_path / "c.toml").write_text('[train]\nhead = "clash"\ndepth = 3\n')
    assert problems("train -c c.toml") == [
        "c.toml:3: [train] 'depth' is declared by architecture net and head clash; "
        "put it into [train.net] or [train.clash]"
    ]
    (tmp_path / "c.toml").write_text("epochs = 3\ntrain = 4\n")
    assert problems("train -c c.toml") == [
        "c.toml:1: 'epochs' stands outside of any table; put it under a command, such as [train]",
        "c.toml:2: 'train' must be a table, [train]",
    ]


NOT_TOML = {
    "yaml": ("train:\n  arch: net\n", 1, "expected '=' after a key"),
    "norway": ("[train]\narch = no\n", 2, "invalid value"),
    "duplicate": ("[train]\nseed = 1\nseed = 2\n", 3, "cannot overwrite a value"),
    "unterminated": ('[train]\narch = "net\n', 2, "illegal character"),
}


@pytest.mark.parametrize("kind", NOT_TOML)
def test_not_toml(kind: str, tmp_path: Path) -> None:
    text, line, reason = NOT_TOML[kind]
    (tmp_path / "c.toml").write_text(text)
    (said,) = problems("train -c c.toml")
    assert said.startswith(f"c.toml:{line}: not TOML: {reason}")


def test_unreadable_files(tmp_path: Path) -> None:
    assert problems("train -c none.toml") == ["none.toml: no such configuration file"]
    assert problems("train -c .") == [".: is not a regular file"]
    (tmp_path / "big.toml").write_text("#" * 1_000_001)
    assert "is larger than" in problems("train -c big.toml")[0]
    (tmp_path / "latin.toml").write_bytes(b'[train]\narch = "\xe9"\n')
    assert problems("train -c latin.toml") == ["latin.toml: is not UTF-8 text"]
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    assert problems("train -c deep.toml")[0].startswith("deep.toml: ")


def test_bom_is_no_mistake(run: Any, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf[train]\r\nepochs = 3\r\n")
    assert run("train -c c.toml")["core"]["epochs"] == 3


def test_bad_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTAL_DEPTH", "deep")
    with pytest.raises(UsageError, match=r"^CRYSTAL_DEPTH=deep: must be a whole number$"):
        some_program.run(["train"])
    monkeypatch.setenv("CRYSTAL_ARCH", "nett")
    with pytest.raises(UsageError, match="no architecture 'nett'; did you mean 'net'"):
        some_program.run(["train"])
