"""What a structure does in molecular dynamics does not depend on which others move beside it."""

import csv
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
from ase import units
from ase.constraints import FixAtoms

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.md import loop
from crystalcli.md.guards import Guards
from crystalcli.md.options import MdOptions
from crystalcli.md.velocities import maxwell_boltzmann
from crystalcli.md.workflow import MD
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    made = {
        "Cu": ase.build.bulk("Cu", "fcc", a=3.62, cubic=True),
        "CuAu": ase.build.bulk("Au", "fcc", a=3.9, cubic=True).repeat((1, 1, 2)),
        "slab": ase.build.fcc111("Al", (2, 2, 3), vacuum=6.0, orthogonal=True),
        "held": ase.build.bulk("Cu", "fcc", a=3.62, cubic=True).repeat((2, 1, 1)),
    }
    made["CuAu"].numbers[::3] = 29
    made["slab"].info.clear()
    made["held"].set_constraint(FixAtoms([0]))
    for name, atoms in made.items():
        atoms.positions += rng.normal(0.0, 0.03, atoms.positions.shape)
        ase.io.write(tmp_path / f"{name}.extxyz", atoms)
    return tmp_path


def moved(folder: Path, names: tuple[str, ...], output: str, **changes) -> list[str]:
    """Run ``names``; returns the warnings."""
    heard: list[str] = []
    options = {
        "structures": tuple(str(folder / f"{n}.extxyz") for n in names), "potential": "emt", "temperature": "300",
        "steps": 30, "log_every": 5, "frame_every": 10, "analysis": False,
    }  # fmt: skip
    life.run(MD, Request(MdOptions(**options | changes), path=folder / output), Reporter(warn=heard.append))
    return heard


def files(run: Path, name: str, alone: bool = False) -> dict[str, bytes]:
    at = run if alone else run / "structures" / name
    return {f: (at / f).read_bytes() for f in ("thermo.csv", "trajectory.extxyz")}


def rows(run: Path, name: str) -> list[dict[str, str]]:
    with (run / "structures" / name / "thermo.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("sampler", ["nve", "nvt", "langevin"])
def test_order_and_company_change_nothing(folder: Path, sampler: str) -> None:
    """Not the noise either: it is drawn for every structure alone, from seed, id and step."""
    moved(folder, ("Cu", "slab", "CuAu"), "three", sampler=sampler)
    moved(folder, ("CuAu", "Cu"), "two", sampler=sampler)
    moved(folder, ("CuAu",), "one", sampler=sampler)
    expected = files(folder / "three", "CuAu")
    assert files(folder / "two", "CuAu") == expected
    assert files(folder / "one", "CuAu", alone=True) == expected


def test_noise_differs_between_structures_steps_and_seeds(folder: Path) -> None:
    atoms = ase.io.read(folder / "Cu.extxyz")
    ase.io.write(folder / "twin.extxyz", atoms)
    for output, seed in (("a", 0), ("b", 1)):
        moved(folder, ("Cu", "twin"), output, sampler="langevin", seed=seed)
    found = [files(folder / run, name)["trajectory.extxyz"] for run in "ab" for name in ("Cu", "twin")]
    assert len(set(found)) == 4


def test_a_slab_takes_no_pressure_from_crystals(folder: Path) -> None:
    """Its own it has none; that of the crystal is what it is alone."""
    moved(folder, ("Cu", "slab"), "both", sampler="nvt")
    assert all(r["pressure_GPa"] == "" and r["volume_A3"] == "" for r in rows(folder / "both", "slab"))
    assert all(abs(float(r["pressure_GPa"])) < 50.0 for r in rows(folder / "both", "Cu"))
    frames = ase.io.read(folder / "both" / "structures" / "slab" / "trajectory.extxyz", ":")
    assert all("stress" not in f.calc.results for f in frames)
    frames = ase.io.read(folder / "both" / "structures" / "Cu" / "trajectory.extxyz", ":")
    assert all(np.isfinite(f.calc.results["stress"]).all() for f in frames)


def test_npt_leaves_out_what_has_no_pressure(folder: Path) -> None:
    """A slab and held atoms are named; the crystal goes on with the bytes that it has alone."""
    heard = moved(folder, ("slab", "Cu", "held"), "three", sampler="npt")
    assert "slab.extxyz: npt needs structures that are periodic" in "\n".join(heard)
    assert "held.extxyz: npt moves all atoms with the cell" in "\n".join(heard)
    moved(folder, ("Cu",), "one", sampler="npt")
    assert (folder / "three" / "thermo.csv").read_bytes() == (folder / "one" / "thermo.csv").read_bytes()
    with pytest.raises(UsageError, match=r"slab\.extxyz: npt needs"):
        moved(folder, ("slab",), "none", sampler="npt")


def test_a_hot_start_is_no_explosion(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Velocities of the file count, not the default of --temperature, which nve does not hold anyway."""
    atoms = ase.io.read(folder / "CuAu.extxyz")
    systems = maxwell_boltzmann(Systems.of([atoms]), 30000.0, 1, ["hot"])
    atoms.set_velocities(systems.velocities.numpy() / units.fs)
    ase.io.write(folder / "hot.extxyz", atoms)
    heard = moved(folder, ("hot",), "run", sampler="nve", steps=10, dt=0.2)
    assert not [w for w in heard if "stopped" in w]
    assert "begins with the velocities of its file, 30000 K" in "\n".join(heard)
    assert (folder / "run" / "thermo.csv").read_text().count("\n") == 4
    made: list[Guards] = []

    class Seen(Guards):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(loop, "Guards", Seen)
    life.resume(MD, folder / "run", {"steps": 20}, Reporter(warn=heard.append))
    assert float(made[-1].began) == pytest.approx(30000.0)  # of the beginning, not of where it goes on
    assert not [w for w in heard if "stopped" in w]
    assert (folder / "run" / "thermo.csv").read_text().count("\n") == 6
