"""``crystal models``: what can be had by name, what it says of it, what it refuses."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import pytest
from in_process import crystal

from crystalcli.cli.main import run
from crystalcli.contracts.pretrained import Converted
from crystalcli.contracts.records import Pretrained, Statistics
from crystalcli.contracts.validation import part_problems
from crystalcli.engine.model import pretrained
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_names import file_of
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.run_folder import sha256
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY = (Quantity("energy", "eV", extensive=True),)


def converted(path: Path) -> Converted:
    """A model of random weights, whatever the file holds; without some where it says so."""
    statistics = Statistics(30.0, (8, 14), {}, {"forces": 1.0}, (), (-3.0, -5.0))
    graph, embedding, head = ("radius", {"cutoff": 4.0}), {}, ("energy", {"hidden": 0})
    spec = ModelSpec(
        PartChoice(*graph), PartChoice("radius"), PartChoice("lcgcn-ff"), PartChoice(*head), ENERGY, statistics
    )
    weights = dict(CrystalModel(spec).state_dict())
    if b"without" in path.read_bytes():
        del weights["head.linear.weight"]
    if b"other" in path.read_bytes():
        weights["head.linear.weight"] = weights["head.linear.weight"][:, :3]
    if b"more" in path.read_bytes():
        weights["head.more"] = weights["head.linear.weight"]
    return Converted(graph, embedding, ("lcgcn-ff", {}), head, ENERGY, statistics, weights)


def bare(path: Path) -> Converted:
    one: Any = ENERGY[0]
    return replace(converted(path), targets=one)


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, and a model that is made of it, the only one there is."""
    file = tmp_path / "theirs.bin"
    file.write_bytes(b"numbers")
    part = Pretrained(
        name="theirs",
        summary="a model of theirs",
        package="no_such_package",
        file="theirs.bin",
        install="pip install theirs",
        sha256=sha256(file),
        convert=converted,
        licence="MIT",
        level="PBE",
    )
    parts, one = registry().parts, next(iter(registry().parts.values()))
    for key in [k for k in parts if k[0] == "pretrained"]:
        monkeypatch.delitem(parts, key)
    monkeypatch.setitem(parts, ("pretrained", "theirs"), replace(one, part=part))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return file


def test_list_show_import_and_use(offered: Path, tmp_path: Path) -> None:
    said = crystal(["models", "list"], tmp_path).stdout
    assert "theirs: a model of theirs; PBE; MIT; not imported (crystal models import theirs)" in said
    done = crystal(["models", "import", "theirs", "--file", str(offered), "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    file = Path(json.loads(done.stdout)["file"])
    assert file.is_relative_to(tmp_path / "data" / "crystal" / "models")
    shown = json.loads(crystal(["models", "show", "theirs", "--json"], tmp_path).stdout)
    assert (shown["elements"], shown["cutoff"], shown["licence"]) == (["O", "Si"], 4.0, "MIT")
    assert "was there already" in crystal(["models", "import", "theirs"], tmp_path).stdout
    for size in (file.stat().st_size - 100, 50, 0):  # cut off: said wherever it is named, and made again
        os.truncate(file, size)
        assert "; damaged (crystal models import theirs)" in crystal(["models", "list"], tmp_path).stdout
        done = crystal(["models", "path", "theirs"], tmp_path)
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr.endswith("; crystal models import theirs makes it again\n")
        again = crystal(["models", "import", "theirs", "--file", str(offered)], tmp_path)
        assert again.stdout == f"theirs: {file}\n"
    (tmp_path / "a.xyz").write_text('2\nLattice="3 0 0 0 3 0 0 0 3" pbc="T T T"\nSi 0 0 0\nO 1.5 1.6 1.4\n')
    done = crystal(["predict", "theirs", "a.xyz", "-o", "p.csv"], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "words", "code", "said"),
    [
        (b"numbers", ["theirs"], 2, "comes with the package no_such_package, which is not installed; pip install thei"),
        (b"numbers", ["theirs", "--file", "nothing"], 2, "nothing: no such file; pip install theirs brings"),
        (b"changed", ["theirs", "--file", "theirs.bin"], 4, "is not the file of theirs: its sha256 is"),
        (b"numbers", ["there"], 2, "no pretrained model 'there'; did you mean 'theirs'?"),
    ],
)
def test_refusals(offered: Path, tmp_path: Path, text: bytes, words: list[str], code: int, said: str) -> None:
    offered.write_bytes(text)
    done = crystal(["models", "import", *words], tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"without", "without 'head.linear.weight'"),
        (b"other", "expected (1, 32)"),
        (b"more", "'head.more' is (1, 32), expected no such tensor"),
    ],
)
def test_weights_that_do_not_fit(
    offered: Path, tmp_path: Path, text: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered.write_bytes(text)
    one = registry().parts["pretrained", "theirs"]
    part = replace(one.part, sha256=sha256(offered))
    monkeypatch.setitem(registry().parts, ("pretrained", "theirs"), replace(one, part=part))
    done = crystal(["models", "import", "theirs", "--file", str(offered)], tmp_path)
    assert done.returncode == 4
    assert said in done.stderr


@pytest.mark.parametrize(
    ("made", "said"),
    [(lambda _: None, "converts to a NoneType, not Converted"), (bare, "no tuple of Quantity")],
)
def test_a_plugin_that_converts_to_something_else_is_named(
    made: Any, said: str, offered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = pretrained.record("theirs")
    monkeypatch.setattr(pretrained, "record", lambda _name: replace(part, convert=made))
    done = crystal(["models", "import", "theirs", "--file", str(offered)], tmp_path)
    assert done.returncode == Exit.BUG
    assert "error: pretrained 'theirs' of plugin" in done.stderr
    assert said in done.stderr


def test_a_package_in_a_package_that_is_missing(offered: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    part = replace(pretrained.record("theirs"), package="no_such_package.inner")
    monkeypatch.setattr(pretrained, "record", lambda _name: part)
    with pytest.raises(UsageError, match=r"package no_such_package\.inner, which is not installed; pip install theirs"):
        pretrained.imported("theirs")


def test_an_unknown_name_tells_of_broken_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise ImportError('needs nothing')\n")
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "broken.py"))
    registry.cache_clear()
    try:
        for words in (["models", "show", "theirs"], ["models", "import", "theirs"], ["predict", "theirs", "a.cif"]):
            done = crystal(words, tmp_path)
            assert done.returncode == Exit.USAGE
            assert "; broken: " in done.stderr.split("error: ")[-1], words
    finally:
        registry.cache_clear()


def test_a_name_whose_package_is_missing_says_what_to_install(offered: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "a.xyz").write_text("1\n\nSi 0 0 0\n")
    for words in (["relax", "a.xyz", "--potential", "theirs"], ["predict", "theirs", "a.xyz"]):
        done = crystal(words, tmp_path)
        assert done.returncode == 2, words
        assert "no_such_package, which is not installed; pip install theirs" in done.stderr


def test_a_folder_that_cannot_be_written_is_one_line(
    offered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("no folder")
    done = crystal(["models", "import", "theirs", "--file", str(offered)], tmp_path)
    assert done.returncode == 5
    assert "cannot write: Not a directory; XDG_DATA_HOME names another folder" in done.stderr
    assert done.stderr.count("\n") == 1
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # which the specification ignores
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = crystal(["models", "import", "theirs", "--file", str(offered), "--json"], tmp_path)
    assert Path(json.loads(done.stdout)["file"]).parent == tmp_path / "home/.local/share/crystal/models"


def test_files_of_another_format_are_made_anew(offered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pretrained.imported("theirs", offered)
    assert pretrained.named("theirs") == before
    monkeypatch.setattr(pretrained, "VERSION", 99)
    assert "not imported" in crystal(["models", "list"], tmp_path).stdout
    assert pretrained.imported("theirs", offered) != before


def test_another_import_only_where_asked_for(offered: Path, tmp_path: Path) -> None:
    file = pretrained.imported("theirs", offered)
    os.utime(file, (1, 1))
    words = ["models", "import", "theirs", "--file", str(offered)]
    assert "was there already" in crystal(words, tmp_path).stdout
    assert file.stat().st_mtime == 1
    assert crystal([*words, "--overwrite"], tmp_path).returncode == 0
    assert file.stat().st_mtime > 1


def test_what_is_there_comes_before_a_name(offered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained.imported("theirs", offered)
    monkeypatch.chdir(tmp_path)
    assert file_of(Path("theirs")) == pretrained.file_for("theirs")
    Path("theirs").write_text("mine")
    assert file_of(Path("theirs")) == Path("theirs")


@pytest.mark.parametrize(("words", "said"), [([], "or one of theirs, "), (["--potential", "their"], "'theirs'?")])
def test_names_are_offered(offered: Path, tmp_path: Path, words: list[str], said: str) -> None:  # noqa: ARG001
    (tmp_path / "a.xyz").write_text("1\n\nSi 0 0 0\n")
    done = crystal(["relax", "a.xyz", *words], tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_plan_imports_nothing(offered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "_source", lambda _part: offered)
    (tmp_path / "a.xyz").write_text('2\nLattice="3 0 0 0 3 0 0 0 3" pbc="T T T"\nSi 0 0 0\nO 1.5 1.6 1.4\n')
    for words in (["relax", "a.xyz", "--potential", "theirs"], ["predict", "theirs", "a.xyz"]):
        done = crystal([*words, "--dry-run", "--json"], tmp_path)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "data").exists(), words
    assert crystal(["predict", "theirs", "a.xyz", "-o", "p.csv"], tmp_path).returncode == 0
    assert (tmp_path / "data").exists()


def test_a_file_called_as_a_calculator_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there comes before a name, with a warning; a folder that is no model hides nothing."""
    monkeypatch.chdir(tmp_path)
    ase.io.write("cu.xyz", ase.build.bulk("Cu", cubic=True))
    (tmp_path / "emt").mkdir()
    words = ["relax", "cu.xyz", "--potential", "emt", "--dry-run"]
    assert run(words) == 0
    assert "is the file or folder here" not in capsys.readouterr().err
    (tmp_path / "emt").rmdir()
    (tmp_path / "emt").write_text("no model")
    assert run(words) == 4
    assert "emt is the file or folder here; for the calculator by that name, rename it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "value", "said"),
    [
        ("licence", "", "licence must be one line of text"),
        ("level", "PBE\nor so", "level must be one line of text"),
        ("file", None, "file must be one line of text"),
        ("sha256", "ABC", "sha256 must be that of the file: 64 digits and letters a to f"),
    ],
)
@pytest.mark.usefixtures("offered")
def test_a_record_says_where_weights_are_from_and_under_which_terms(word: str, value: Any, said: str) -> None:
    part = registry().get("pretrained", "theirs")
    assert part_problems(part) == []
    assert part_problems(replace(part, **{word: value})) == [said]
