"""Labels that are energies, forces and pressures of a potential: what the name says counts, and units become ours."""

from __future__ import annotations

from pathlib import Path

import ase
import ase.build
import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.emt import EMT

from crystalcli.cli.main import run
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels.label_units import unit_in


def frames(folder: Path) -> tuple[Path, list[ase.Atoms]]:
    """Cells of copper of two sizes whose labels are called as people call them."""
    made = []
    for k in range(8):
        atoms = ase.build.bulk("Cu", cubic=True).repeat((1 + k % 2, 1, 1))
        atoms.rattle(0.1, seed=k)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = None
        atoms.info |= {"id": f"c{k}", "REF_energy": energy, "kcal": energy * units.mol / units.kcal}
        atoms.info |= {"ha": energy / units.Ha, "p": 0.1 * k}
        atoms.set_array("REF_forces", forces)
        atoms.set_array("ha_forces", forces / (units.Ha / units.Bohr))
        made.append(atoms)
    ase.io.write(folder / "a.extxyz", made)
    return folder / "a.extxyz", made


def built(source: Path, targets: str) -> GraphDataset:
    output = source.with_name("g.h5")
    words = ["build-graphs", str(source), "--featurizer", "radius", "--cutoff", "4", "--targets", targets]
    assert run([*words, "-o", str(output), "--overwrite", "-q"]) == 0
    return GraphDataset.open([output])


@pytest.mark.parametrize(
    ("targets", "rtol"),
    [
        ("energy=REF_energy,forces=REF_forces", 1e-12),
        ("energy=REF_energy:eV,forces=REF_forces:eV/Å", 1e-12),
        ("energy=kcal:kcal/mol,forces=ha_forces:Ha/Bohr", 1e-7),
        ("energy=ha:Ha,forces=ha_forces:Hartree/Bohr", 1e-7),
    ],
)
def test_energies_and_forces_are_totals_in_our_units(tmp_path: Path, targets: str, rtol: float) -> None:
    source, made = frames(tmp_path)
    data = built(source, targets)
    energy, forces = data.columns["energy"], data.columns["forces"]
    assert (energy.quantity.unit, energy.quantity.extensive) == ("eV", True)
    assert forces.quantity.unit == "eV/Å"
    np.testing.assert_allclose(energy.values, [a.info["REF_energy"] for a in made], rtol=rtol)
    np.testing.assert_allclose(
        forces.values, np.concatenate([a.arrays["REF_forces"] for a in made]), rtol=1e-5, atol=1e-6
    )


def test_a_potential_learns_them(tmp_path: Path) -> None:
    source, _ = frames(tmp_path)
    built(source, "energy=REF_energy,forces=REF_forces,pressure=p:GPa")
    words = [
        "train",
        str(tmp_path / "g.h5"),
        "--arch",
        "pair-moments",
        "--epochs",
        "1",
        "--threads",
        "1",
        "--no-compare",
    ]
    assert run([*words, "-o", str(tmp_path / "run"), "-q"]) == 0


def test_pressures_are_made_ours_and_unknown_units_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, _ = frames(tmp_path)
    pressure = built(source, "pressure=p:GPa").columns["pressure"]
    np.testing.assert_allclose(pressure.values, 0.1 * np.arange(8) * units.GPa, rtol=1e-7, atol=1e-12)
    assert pressure.quantity.unit == "eV/Å³"
    words = ["build-graphs", str(source), "--targets", "energy=ha:Hartrees", "-o", str(tmp_path / "x.h5")]
    assert run(words) == 2
    assert "no unit 'Hartrees' (did you mean 'Hartree'?)" in capsys.readouterr().err


def test_what_is_said_to_be_per_atom_is_no_total(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, _ = frames(tmp_path)
    assert not built(source, "energy=REF_energy:eV/atom").columns["energy"].quantity.extensive
    assert built(source, "REF_energy").columns["REF_energy"].quantity.unit == ""
    assert run(["train", str(tmp_path / "g.h5"), "--arch", "pair-moments", "-o", str(tmp_path / "r")]) == 2
    built(source, "energy=REF_energy:eV/atom")
    assert run(["train", str(tmp_path / "g.h5"), "--arch", "pair-moments", "-o", str(tmp_path / "r")]) == 2
    assert "learns 'energy' as a total per structure" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("stress_GPa", "GPa"),
        ("E (eV/atom)", "eV/atom"),
        ("E[eV]", "eV"),
        ("e_kcal_mol", "kcal/mol"),
        ("E_meV_per_atom", "meV/atom"),
        ("Eform, eV/atom", "eV/atom"),
        ("x_bar", ""),
        ("Ha", ""),
        ("Alpha", ""),
        ("K_VRH", ""),
        ("log10(K_GPa)", ""),
        ("energy_per_atom", ""),
    ],
)
def test_the_unit_in_which_a_name_ends(name: str, unit: str) -> None:
    assert unit_in(name) == unit


def test_a_unit_in_the_name_counts_where_nothing_else_says_one(tmp_path: Path) -> None:
    """Hartree were taken for eV, and GPa for eV/Å³."""
    atoms = ase.build.bulk("Cu", cubic=True)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    text = (tmp_path / "a.extxyz").read_text().replace("pbc=", 'E_Ha=-2 stress_GPa="1 0 0 0 1 0 0 0 1" pbc=')
    (tmp_path / "a.extxyz").write_text(text)
    data = built(tmp_path / "a.extxyz", "energy=E_Ha,stress=stress_GPa")
    assert data.columns["energy"].values.tolist() == [pytest.approx(-2 * units.Ha)]
    assert data.columns["energy"].quantity.extensive
    assert data.columns["stress"].values[0, 0] == pytest.approx(units.GPa)
    data = built(tmp_path / "a.extxyz", "energy=E_Ha:eV,stress=stress_GPa:eV/Å³")
    assert data.columns["energy"].values.tolist() == [-2.0]
    assert data.columns["stress"].values[0, 0] == 1.0
