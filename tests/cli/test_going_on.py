"""What goes on goes on with the settings of its run; files and variables that say how runs begin stand in no way."""

from pathlib import Path

import ase.build
import pytest

from crystalcli.cli.main import run as crystal
from crystalcli.engine.registry.plugin_manager import registry

MD = "md cu.xyz --potential emt --temperature 300 --steps 4 --dt 2 -o out -q"


@pytest.fixture(autouse=True)
def finished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    registry.cache_clear()
    ase.build.bulk("Cu", cubic=True).write("cu.xyz", format="extxyz")
    assert crystal(MD.split()) == 0


def test_a_crystal_toml_makes_no_run_longer_or_shorter() -> None:
    before = {p: p.read_bytes() for p in Path("out").iterdir()}
    Path("crystal.toml").write_text("[md]\nsteps = 8\n")
    assert crystal(["md", "--resume", "out", "-q"]) == 0
    assert {p: p.read_bytes() for p in Path("out").iterdir()} == before
    assert crystal(["md", "--resume", "out", "-c", "crystal.toml", "-q"]) == 0, "a file that is named counts as said"
    assert "steps = 8\n" in Path("out/config.toml").read_text()


def test_options_of_parts_are_refused_where_they_are_typed_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("crystal.toml").write_text("[md.nvt]\ndamping = 50\n")
    monkeypatch.setenv("CRYSTAL_CHAIN", "3")
    assert crystal(["md", "--resume", "out", "-q"]) == 0
    assert crystal(["md", "--resume", "out", "--damping", "50", "-q"]) == 2
    assert "--damping cannot change a run that is under way" in capsys.readouterr().err
