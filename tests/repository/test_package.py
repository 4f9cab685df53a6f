"""What is published: wheel and sdist, recipes that take their versions from the same places, a template of plugins."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from third_party import Environment

from crystalcli.cli.main import run as crystal

ROOT = Path(__file__).parents[2]
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""What conda calls otherwise."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


PINNED = [line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
PINS = {plain(name): version for name, version in PINNED}
NEEDED = {plain(r.name): str(r.specifier) for r in map(Requirement, PROJECT["dependencies"])}


def test_every_requirement_is_pinned_within_its_floor() -> None:
    extras = [text for found in PROJECT["optional-dependencies"].values() for text in found]
    for one in map(Requirement, [*PROJECT["dependencies"], *extras]):
        if plain(one.name) == "sevenn":
            continue  # only its file of weights is read, which is known by its hash
        assert one.specifier.contains(PINS[plain(one.name)]), one


def test_extras_are_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for extra in PROJECT["optional-dependencies"]:
        assert f"`{extra}`" in text, extra


def conda_lines(text: str, after: str) -> dict[str, str]:
    """Names and versions of a list of a YAML file, by what crystal calls them."""
    ours = {there: here for here, there in CONDA.items()}
    block = text.split(after, 1)[1]
    found = {}
    for line in block.splitlines()[1:]:
        match = re.fullmatch(r"\s+- ([\w-]+)(?: ?(>=|=)(\S+))?", line)
        if match is None:
            break
        name, sign, version = match.groups()
        found[ours.get(name, name)] = f"{sign or ''}{version or ''}"
    return found


def test_the_conda_recipe_has_the_same_floors() -> None:
    text = (ROOT / "packaging" / "conda" / "meta.yaml").read_text()
    found = conda_lines(text, "  run:")
    assert found.pop("python") == PROJECT["requires-python"]
    assert found == NEEDED
    assert f'{{% set version = "{PROJECT["version"]}" %}}' in text
    entry = PROJECT["scripts"]["crystal"]
    assert f"    - crystal = {entry}\n" in text
    for name in ("host", "run"):
        assert conda_lines(text, f"  {name}:")["python"] == PROJECT["requires-python"]


def test_the_conda_environment_has_the_same_pins() -> None:
    found = conda_lines((ROOT / "packaging" / "conda" / "environment.yml").read_text(), "dependencies:")
    python = found.pop("python").removeprefix("=")
    assert python in SpecifierSet(PROJECT["requires-python"])
    found.pop("pip")
    assert found == {name: f"={PINS[name]}" for name in NEEDED}


def test_the_image_is_built_of_the_constraints_alone() -> None:
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM python:(\S+)-slim", text, re.MULTILINE)
    assert len(set(bases)) == 1
    assert bases[0] in SpecifierSet(PROJECT["requires-python"])
    installs = re.findall(r"pip install (.*)", text)
    assert all("-c constraints.txt" in line for line in installs)
    assert len(installs) == 1
    assert "==" not in text
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv"} <= set(ignored)
    assert "constraints.txt" not in ignored


@pytest.mark.skipif(importlib.util.find_spec("twine") is None, reason="twine is not installed")
def test_wheel_and_sdist_pass_twine(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(line, cwd=ROOT, capture_output=True, timeout=180, check=True)
    made = sorted(tmp_path.iterdir())
    assert [p.name.partition("-")[2] for p in made] == ["0.1.0-py3-none-any.whl", "0.1.0.tar.gz"]
    line = [sys.executable, "-m", "twine", "check", "--strict", *map(str, made)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.count("PASSED")) == (0, 2), done.stdout + done.stderr
    with tarfile.open(made[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for needed in ("constraints.txt", "README.md", "CHANGELOG.md", "docs/runs.md", "tests/third_party.py", "Makefile"):
        assert needed in names, needed
    assert not [name for name in names if "__pycache__" in name or name.startswith((".venv", "runs"))]


def test_a_new_plugin_works_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert crystal(["plugins", "new", "my-net", "-q"]) == 0
    folder = tmp_path / "crystal-my-net"
    points = tomli.loads((folder / "pyproject.toml").read_text())["project"]
    assert points["entry-points"] == {"crystal": {"my-net": "crystal_my_net"}}
    place = Environment(tmp_path)
    place.env |= {"PYTHONPATH": str(folder / "src"), "CRYSTAL_PLUGINS": "crystal_my_net"}
    done = place.run("-m", "crystalcli", "plugins", "check", "my-net")
    assert "4 of 4 checks passed, 0 failed, 0 not run" in done.stdout
    tests = str(folder / "tests")
    assert " passed" in place.run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tests, tests).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["My_Net"], "must be lower-case letters, digits and single dashes"),
        (["lcgcn"], "there is an architecture 'lcgcn' already"),
        (["my-net", "-o", "full"], "full: is there already; choose another folder with -o"),
    ],
)
def test_what_is_no_place_for_a_plugin(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert crystal(["plugins", "new", *words]) == 2
    assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.rglob("*")] == ["full", "file"]


def test_forms_for_issues_ask_for_what_is_needed() -> None:
    forms = {p.stem: p.read_text() for p in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")}
    assert {"bug", "plugin", "wish"} <= forms.keys()
    for words in ("crystal --version --verbose", "crystal doctor", "crystal status RUN"):
        assert words in forms["bug"]
    assert "crystal plugins check" in forms["plugin"]
