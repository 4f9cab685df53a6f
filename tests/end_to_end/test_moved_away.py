"""Code that changes the working folder moves no run: relative paths mean what they meant when they were typed."""

import os
from pathlib import Path

import ase.build
import ase.io
import pytest
from in_process import crystal

from crystalcli.engine.registry.working_folder import staying
from crystalcli.nouns.systems import Systems

AWAY = """
import os
from ase.calculators.emt import EMT

class Away(EMT):
    def __init__(self):
        super().__init__()
        os.chdir(AWAY)
    def calculate(self, *args, **words):
        os.chdir(AWAY)
        super().calculate(*args, **words)
"""
LINES = {
    "relax": ["--fmax", "0.5"],
    "md": ["--temperature", "300", "--steps", "5"],
    "label-sites": ["--label", "frequency"],
}


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "modules").mkdir()
    (tmp_path / "here").mkdir()
    folder = tmp_path / "away"
    folder.mkdir()
    (tmp_path / "modules" / "goes_away.py").write_text(AWAY.replace("(AWAY)", f"({str(folder)!r})"))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    for k in range(2):
        atoms = ase.build.bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=k)
        ase.io.write(tmp_path / "here" / f"cu{k}.cif", atoms)
    return folder


@pytest.mark.parametrize("command", LINES)
def test_a_calculator_that_goes_away(command: str, away: Path) -> None:
    here, output = away.parent / "here", "out.extxyz" if command == "label-sites" else "out"
    given = [command, "cu0.cif", "cu1.cif", "--potential", "ase", "--calculator", "goes_away:Away", "-o", output]
    done = crystal([*given, *LINES[command]], here)
    assert done.returncode == 0, done.stderr
    assert (here / output).exists()
    assert list(away.iterdir()) == []


def test_a_model_that_goes_away(away: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reference.some_potentials import model_of

    from crystalcli.engine.potential.model_potential import ModelPotential
    from crystalcli.testing import crystals

    model = model_of()
    plain = model.architecture.forward

    def goes_away(*args: object) -> object:
        os.chdir(away)
        return plain(*args)

    model.architecture.forward = goes_away
    before = Path.cwd()
    monkeypatch.chdir(before)
    ModelPotential(model, "m").evaluate(Systems.of([crystals.rattled()]))
    assert Path.cwd() == before


def test_a_folder_that_is_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to go back to, nothing is done."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with staying():
        os.chdir(tmp_path)
    assert Path.cwd() == tmp_path
