"""What the wheel ships: packages, data files, man pages, completions, licence; and nothing else."""

import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_every_package_file_is_in(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    files = [p for top in ("crystalcli", "plugins") for p in (ROOT / top).rglob("*") if p.is_file()]
    kept = [str(p.relative_to(ROOT)) for p in files if "__pycache__" not in p.parts]
    expected = {name.removeprefix("plugins/") for name in kept}
    assert expected <= names
    assert len(expected) > 100
    tops = {n.split("/")[0] for n in names if ".dist-info" not in n and ".data/" not in n}
    assert tops == {
        "crystalcli",
        *(p.name for p in (ROOT / "plugins").iterdir() if p.is_dir() and list(p.glob("*.py"))),
    }


def test_models_are_in_and_small(wheel: zipfile.ZipFile) -> None:
    inside = [i for i in wheel.infolist() if i.filename.startswith("crystal_models/")]
    assert sum(i.file_size for i in inside) <= 10 * 2**20
    names = {i.filename for i in inside}
    for name in ("formation-energy", "band-gap"):
        assert f"crystal_models/{name}/card.json" in names
        assert {f"crystal_models/{name}/{file}" for file in ("model.json", "model.safetensors")} & names


def test_pages_go_where_shells_and_man_look(wheel: zipfile.ZipFile) -> None:
    shared = {n.split(".data/data/")[1] for n in wheel.namelist() if ".data/data/" in n}
    pages = {f"share/man/man1/{p.name}" for p in (ROOT / "man").glob("*.1")}
    assert pages
    assert pages <= shared
    assert "share/bash-completion/completions/crystal" in shared
    assert "share/zsh/site-functions/_crystal" in shared
    assert "share/fish/vendor_completions.d/crystal.fish" in shared


def test_entry_points_and_licence(wheel: zipfile.ZipFile) -> None:
    (points,) = (n for n in wheel.namelist() if n.endswith(".dist-info/entry_points.txt"))
    text = wheel.read(points).decode()
    assert "crystal = crystalcli.__main__:main" in text
    assert "[crystal]" in text
    (meta,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    fields = email.message_from_string(wheel.read(meta).decode())
    assert fields["License-Expression"] == "MIT AND CC-BY-4.0"
    assert any(n.endswith("LICENSE") for n in wheel.namelist())
