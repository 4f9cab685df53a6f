"""Structures in which nothing can move have no temperature: told before the first step."""

from pathlib import Path
from typing import Any

import ase
import ase.build
import ase.io
import pytest
from ase.constraints import FixAtoms

from crystalcli.cli.main import run
from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.md.options import MdOptions
from crystalcli.md.workflow import MD
from crystalcli.nouns.systems import Systems, free_directions
from crystalcli.vocabulary.errors import Exit, UsageError

ALONE = "its one atom rests with the centre of mass: nothing moves, and it has no temperature; repeat the cell"


def held(atoms: ase.Atoms, count: int) -> ase.Atoms:
    atoms.set_constraint(FixAtoms(range(count)))
    return atoms


STRUCTURES = {
    "one": (ase.build.bulk("Cu"), 0, ALONE),
    "lone": (ase.Atoms("Cu"), 0, "its one atom rests .*; add others"),
    "sheet": (ase.Atoms("Cu", cell=[2.6, 2.6, 20.0], pbc=(True, True, False)), 0, ALONE),
    "held": (held(ase.build.bulk("Cu", cubic=True), 4), 0, "all its atoms are fixed: nothing moves, .*; free some"),
    "one-held": (held(ase.build.bulk("Cu"), 1), 0, "all its atoms are fixed"),
    "two": (ase.build.bulk("Cu") * (2, 1, 1), 3, ""),
    "one-of-four": (held(ase.build.bulk("Cu", cubic=True), 3), 3, ""),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("still")
    for name, (atoms, _, _) in STRUCTURES.items():
        ase.io.write(folder / f"{name}.extxyz", atoms)
    return {name: str(folder / f"{name}.extxyz") for name in STRUCTURES}


def asked(files: dict[str, str], output: Path, *names: str, sampler: str = "nvt") -> Request:
    structures = tuple(files[n] for n in names)
    how: Any = {"steps": 4, "dt": 2.0, "log_every": 2, "analysis": False}
    return Request(MdOptions(structures=structures, potential="emt", sampler=sampler, **how), path=output)


@pytest.mark.parametrize("name", STRUCTURES)
def test_directions_are_counted(name: str) -> None:
    atoms, free, _ = STRUCTURES[name]
    assert float(free_directions(Systems.of([atoms]))) == free


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("sampler", ["nvt", "langevin", "npt"])
def test_a_thermostat_refuses(name: str, sampler: str, files: dict[str, str], tmp_path: Path) -> None:
    _, free, said = STRUCTURES[name]
    made = asked(files, tmp_path / "run", name, sampler=sampler)
    if not free:
        with pytest.raises(UsageError, match=rf"{name}\.extxyz: {said}") as problem:
            life.run(MD, made)
        assert problem.value.exit_code == Exit.USAGE
        assert not (tmp_path / "run").exists()
    elif sampler != "npt" or name == "two":
        assert life.run(MD, made).data["exit_code"] == 0


@pytest.mark.parametrize("name", ["one", "lone", "sheet", "held"])
def test_without_a_thermostat_there_is_a_word(name: str, files: dict[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    made = asked(files, tmp_path / "run", name, sampler="nve")
    if name == "held":
        with pytest.raises(UsageError, match="all its atoms are fixed"):
            life.run(MD, made, Reporter(warn=said.append))
        return
    assert life.run(MD, made, Reporter(warn=said.append)).data["exit_code"] == 0
    assert [line for line in said if line.endswith("; its 0 K says nothing") and "nothing moves" in line]


def test_others_go_on(files: dict[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    report = life.run(MD, asked(files, tmp_path / "run", "one", "two", "held"), Reporter(warn=said.append))
    assert report.data["exit_code"] == Exit.SOME_FAILED
    assert [ALONE in said[0], "all its atoms are fixed" in said[1]] == [True, True]


def test_at_the_command_line(files: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = ["md", files["one"], "--potential", "emt", "--sampler", "nvt", "--temperature", "300", "--steps", "20"]
    assert run([*line, "-o", str(tmp_path / "run")]) == 2
    assert f"error: {files['one']}: {ALONE}" in capfd.readouterr().err


def test_without_a_folder_given(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What ends before it begins leaves nothing, two runs in one second have folders of their own."""
    monkeypatch.chdir(tmp_path)
    line = ["md", "--potential", "emt", "--steps", "2", "--no-analysis"]
    assert run([*line, files["one"]]) == 2
    assert run([*line, files["two"], "--dry-run"]) == 0
    assert run([*line, str(tmp_path / "nothing.cif")]) in (2, 4)
    assert list(tmp_path.iterdir()) == []
    assert [run([*line, files["two"]]) for _ in range(3)] == [0, 0, 0]
    made = sorted(p for p in (tmp_path / "runs").iterdir() if not p.is_symlink())
    assert len(made) == 3
    assert all((p / "run.json").exists() for p in made)
    assert (tmp_path / "runs" / "latest").resolve() in made
    capfd.readouterr()


def test_velocities_of_unknown_unit_are_told_of(tmp_path: Path) -> None:
    atoms = ase.build.bulk("Cu") * (2, 1, 1)
    atoms.new_array("vel", atoms.positions * 0.01)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    how: Any = {"potential": "emt", "sampler": "nve", "steps": 2, "analysis": False}
    said: list[str] = []
    made = Request(MdOptions(structures=(str(tmp_path / "a.extxyz"),), **how), path=tmp_path / "run")
    life.run(MD, made, Reporter(warn=said.append))
    assert "column 'vel' does not say its unit" in said[0]
    made = Request(MdOptions(structures=(str(tmp_path / "a.extxyz"),), velocities="file", **how), path=tmp_path / "b")
    with pytest.raises(UsageError, match="its column 'vel' does not say its unit, ASE's momenta do"):
        life.run(MD, made)
