"""``crystal md`` with a trained ``pair-moments``: its energy is conserved."""

import csv
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from crystalcli.cli.main import run


def labelled(seed: int) -> ase.Atoms:
    """32 atoms of copper, shaken, with energy and forces of effective medium theory."""
    atoms = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 2, 2)
    atoms.rattle(0.03 + 0.02 * (seed % 5), seed=seed)
    atoms.calc = EMT()
    found = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces())
    atoms.calc = found
    return atoms


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of copper with the defaults, and 64 atoms of it."""
    folder = tmp_path_factory.mktemp("copper")
    ase.io.write(folder / "train.extxyz", [labelled(seed) for seed in range(60)])
    ase.io.write(folder / "start.extxyz", ase.build.bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 2, 4))
    graphs = str(folder / "graphs.h5")
    words = ["build-graphs", str(folder / "train.extxyz"), "--featurizer", "radius", "--cutoff", "4.5"]
    assert run([*words, "--targets", "energy,forces", "-o", graphs, "--quiet"]) == 0
    words = ["train", graphs, "--arch", "pair-moments", "--split", "random", "--epochs", "20", "--threads", "1"]
    assert run([*words, "--seed", "0", "-o", str(folder / "model"), "--quiet"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "most"), [("float64", 1e-3), ("float32", 1e-2)])
def test_the_energy_of_a_trained_model_does_not_drift(folder: Path, dtype: str, most: float) -> None:
    """300 K, 1 fs, 20 ps after 1 ps: a straight line through the conserved energy, meV/atom/ps."""
    words = ["md", str(folder / "start.extxyz"), "--potential", str(folder / "model"), "--sampler", "nve"]
    words += ["--temperature", "600", "--time", "21", "--dt", "1", "--dtype", dtype, "--log-every", "20"]
    output = folder / dtype
    assert run([*words, "--threads", "1", "--no-analysis", "-o", str(output), "--quiet"]) == 0
    with (output / "thermo.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if float(row["time_ps"]) >= 1.0]
    time, energy, kelvin = (np.array([float(r[k]) for r in rows]) for k in ("time_ps", "conserved_eV", "temperature_K"))
    assert 250.0 < kelvin.mean() < 350.0
    assert abs(np.polyfit(time, energy, 1)[0]) * 1e3 / 64 < most
