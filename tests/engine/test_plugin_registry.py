"""Names, conflicts, and where plugins come from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crystalcli.contracts.records import Architecture, Head, Part
from crystalcli.engine.registry import plugin_manager
from crystalcli.engine.registry.plugin_loading import CORE, Loaded, Origin
from crystalcli.engine.registry.plugin_manager import assemble, find, registry
from crystalcli.vocabulary.errors import UsageError


def nothing(*_: Any) -> Any:
    raise AssertionError("nothing is built here")


def head(name: str) -> Part:
    return Head(name=name, summary="a head", build=nothing)


def plugin(distribution: str, *names: str, problem: str = "") -> Loaded:
    origin = Origin(distribution, distribution.replace("-", "_"), distribution, "1.2")
    return Loaded(origin, tuple(head(n) for n in names), problem)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CRYSTAL_PLUGINS", raising=False)
    monkeypatch.delenv("CRYSTAL_NO_PLUGINS", raising=False)
    registry.cache_clear()
    yield
    registry.cache_clear()


def test_two_owners_of_one_name() -> None:
    found = assemble([plugin("one", "shared", "mine"), plugin("two", "shared"), plugin("three", "shared")])
    assert found.names("head") == ["mine", "one:shared", "three:shared", "two:shared"]
    wanted = r"both one 1.2 and two 1.2 offer it; say which: one:shared or two:shared or three:shared"
    with pytest.raises(UsageError, match=wanted):
        found.get("head", "shared")
    assert found.get("head", "mine").name == "mine"
    assert found.get("head", "two:shared").name == "two:shared"
    assert found.origin("head", "two:shared").distribution == "two"
    assert found.broken == {}


def test_a_built_in_stays() -> None:
    found = assemble([plugin(CORE, "crystal", "site"), plugin("other", "crystal"), plugin("third", "crystal", "own")])
    assert found.names("head") == ["crystal", "other:crystal", "own", "site", "third:crystal"]
    assert found.origin("head", "crystal").builtin
    assert [c.partition(" is called")[0] for c in found.clashes] == [
        "head 'crystal' of other 1.2",
        "head 'crystal' of third 1.2",
    ]
    assert found.requirements([("head", "other:crystal")]) == {"head other:crystal": "other 1.2"}
    without = assemble([plugin(CORE, "crystal")])
    with pytest.raises(UsageError, match=r"needs plugin other >= 1.2 for head 'other:crystal' \(pip install other\)"):
        without.needed({"head other:crystal": "other 1.2"}, "head", "other:crystal")


def test_offered_twice_by_one() -> None:
    with pytest.raises(UsageError, match=r"one 1.2 offers it twice"):
        assemble([plugin("one", "a", "a")]).get("head", "a")


def test_missing_part_says_what_is_near_and_what_is_broken() -> None:
    found = assemble([plugin("one", "crystal"), plugin("two", problem="ImportError: no numpy")])
    with pytest.raises(UsageError, match=r"no head 'cristal'; did you mean 'crystal'\?; broken: two 1.2: ImportError"):
        found.get("head", "cristal")
    assert found.broken == {"two 1.2": "ImportError: no numpy"}


def test_files_name_the_plugin_they_need() -> None:
    full = assemble([plugin("one", "a"), plugin("two", "b")])
    needs = full.requirements([("head", "a"), ("head", "b")])
    assert needs == {"head a": "one 1.2", "head b": "two 1.2"}
    without = assemble([plugin("one", "a")])
    assert without.needed(needs, "head", "a").name == "a"
    with pytest.raises(UsageError, match=r"needs plugin two >= 1.2 for head 'b' \(pip install two\)"):
        without.needed(needs, "head", "b")
    newer = {"head a": "one 1.10"}
    with pytest.raises(UsageError, match=r"needs plugin one >= 1.10 .*version 1.2 is installed .*'one>=1.10'"):
        without.needed(newer, "head", "a")
    for fine in ("one 1.2", "one 0.9", "one", "other 9.9", "/some folder/file.py"):
        assert without.needed({"head a": fine}, "head", "a").name == "a"


def test_built_ins_come_first_and_alone_without_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "extra.py"
    file.write_text("")
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(file))
    found = find()
    assert found[-1].target == str(file)
    assert [o.builtin for o in found] == sorted((o.builtin for o in found), reverse=True)
    monkeypatch.setenv("CRYSTAL_NO_PLUGINS", "1")
    assert all(o.builtin for o in find())


def test_named_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.py", "a.py", "_hidden.py", ".dot.py", "notes.txt"):
        (folder / name).write_text("")
    single = tmp_path / "single.py"
    single.write_text("")
    monkeypatch.setenv("CRYSTAL_PLUGINS", f" {folder}{os.pathsep}{single}, some.module,,")
    assert [o.target for o in plugin_manager.named()] == [
        str(folder / "a.py"),
        str(folder / "b.py"),
        str(single),
        "some.module",
    ]


def test_user_folder(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "crystal" / "plugins"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("import nothing_like_this")
    assert plugin_manager.user_folder() == folder
    assert [o.name for o in find() if o.entry is None] == ["mine"]
    assert "nothing_like_this" in registry().broken[str(folder / "mine.py")]


@pytest.mark.parametrize("name", [".", "config", ""])
@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "HOME"])
def test_no_variable_leads_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    for folder in (tmp_path / "crystal", tmp_path / "config" / "crystal", tmp_path / ".config" / "crystal"):
        (folder / "plugins").mkdir(parents=True)
        (folder / "plugins" / "stranger.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv(variable, name)
    assert [o.name for o in find() if o.entry is None] == []


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert plugin_manager.user_folder() is None
    assert find() is not None


def test_missing_file_is_broken_not_fatal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRYSTAL_PLUGINS", f"{tmp_path}/none.py,no.such.module")
    broken = registry().broken
    assert "none.py" in broken[f"{tmp_path}/none.py"]
    assert "ModuleNotFoundError" in broken["no.such.module"]


def test_the_default_of_a_family_is_that_of_its_records_and_built_ins_come_first() -> None:
    def offered(distribution: str, name: str, *, default: bool) -> Loaded:
        origin = Origin(distribution, distribution, distribution, "1.2")
        return Loaded(origin, (Head(name=name, summary="a head", build=nothing, default=default),))

    plain, own = offered(CORE, "plain", default=False), offered(CORE, "usual", default=True)
    theirs = offered("other", "a-theirs", default=True)
    assert assemble([plain, own, theirs]).default("head") == "usual"
    assert assemble([plain, theirs]).default("head") == "a-theirs"
    with pytest.raises(UsageError, match="no head is the default; name one: plain"):
        assemble([plain]).default("head")
    with pytest.raises(UsageError, match="no sampler is the default; name one: there is none"):
        assemble([plain]).default("sampler")


def test_architectures_that_lead_to_energies() -> None:
    def net(name: str, head: str) -> Architecture:
        return Architecture(name=name, summary="a net", build=nothing, featurizer="any", head=head)

    origin = Origin("one", "one", "one", "1.2")
    hot = Head(name="hot", summary="a head", build=nothing, provides=frozenset({"energy"}))
    found = assemble([Loaded(origin, (net("b", "hot"), net("c", "cold"), net("a", "hot"), hot, head("cold")))])
    assert found.leading_to("energy") == ["a", "b"]
    assert found.leading_to("charge") == []


def test_each_family_that_commands_choose_from_has_one_default() -> None:
    defaults = [(o.part.family, o.part.name) for o in registry().offered() if o.part.default and o.origin.builtin]
    assert defaults == [("architecture", "cgcnn"), ("featurizer", "cgcnn"), ("relaxer", "fire"), ("sampler", "nvt")]
