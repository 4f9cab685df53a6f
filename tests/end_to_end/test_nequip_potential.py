"""``nequip-tiny`` from graphs to everything that a potential is used for: prediction, relaxation, dynamics, members."""

import json
import subprocess
import sys
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from crystalcli import load_potential
from crystalcli.cli.main import run

FRAMES = 20


def labelled(seed: int) -> ase.Atoms:
    """16 atoms of copper, shaken and strained, with energy, forces and stress of effective medium theory."""
    atoms = ase.build.bulk("Cu", "fcc", a=3.5 + 0.03 * (seed % 7), cubic=True) * (2, 2, 1)
    atoms.rattle(0.05 + 0.03 * (seed % 3), seed=seed)
    atoms.calc = EMT()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=stress)
    return atoms


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames, their graphs, and a model with the defaults but for fewer epochs."""
    folder = tmp_path_factory.mktemp("copper")
    ase.io.write(folder / "frames.extxyz", [labelled(seed) for seed in range(FRAMES)])
    ase.io.write(folder / "new.extxyz", [labelled(seed) for seed in range(100, 106)])
    words = ["build-graphs", str(folder / "frames.extxyz"), "--featurizer", "radius", "--cutoff", "4.5", "--quiet"]
    assert run([*words, "--targets", "energy,forces,stress", "-o", str(folder / "graphs.h5")]) == 0
    trained(folder, "model")
    return folder


def trained(folder: Path, name: str, *more: str) -> None:
    words = ["train", str(folder / "graphs.h5"), "--arch", "nequip-tiny", "--split", "random", "--threads", "1"]
    words += ["--no-compare", "--epochs", "20", "--seed", "0", "-o", str(folder / name), "--quiet"]
    assert run([*words, *more]) == 0


def rms(values: list[np.ndarray]) -> float:
    return float(np.sqrt(np.mean(np.square(np.concatenate(values)))))


def test_it_learns_from_sixteen_frames(folder: Path) -> None:
    """A fraction of the forces of new frames is left."""
    frames = ase.io.read(folder / "new.extxyz", ":")
    found = load_potential(str(folder / "model")).evaluate(frames, stress=True)
    true = [a.get_forces() for a in frames]
    wrong = [r["forces"] - t for r, t in zip(found, true, strict=True)]
    assert rms(wrong) < 0.25 * rms(true)


def test_predictions_relaxation_and_dynamics(folder: Path) -> None:
    """Each says what the potential says; energy is conserved, and where forces vanish the crystal stays."""
    new, model = str(folder / "new.extxyz"), str(folder / "model")
    assert run(["predict", model, new, "-o", str(folder / "p.extxyz"), "--as-results", "--quiet"]) == 0
    frames = ase.io.read(folder / "p.extxyz", ":")
    again = load_potential(model).evaluate(frames, stress=True)
    for atoms, found in zip(frames, again, strict=True):
        np.testing.assert_allclose(atoms.get_forces(), found["forces"], atol=1e-4)
        assert atoms.get_potential_energy() == pytest.approx(found["energy"], abs=1e-3)
    words = ["--potential", model, "--threads", "1", "--quiet", "-o"]
    assert run(["relax", new, "--fmax", "0.02", *words, str(folder / "relaxed")]) == 0
    report = json.loads((folder / "relaxed" / "report.json").read_text())
    assert report["exit_code"] == 0
    ase.io.write(folder / "one.extxyz", frames[0])
    md = [
        "md",
        str(folder / "one.extxyz"),
        "--sampler",
        "nve",
        "--temperature",
        "300",
        "--steps",
        "50",
        "--dt",
        "1",
        "--no-analysis",
    ]
    assert run([*md, *words, str(folder / "md")]) == 0
    table = np.genfromtxt(folder / "md" / "thermo.csv", delimiter=",", names=True)
    assert np.ptp(table["conserved_eV"]) / 16 < 1e-3


def test_a_molecule_has_energy_and_forces_and_no_stress(folder: Path) -> None:
    ase.io.write(folder / "dimer.xyz", ase.Atoms("Cu2", [[0, 0, 0], [2.4, 0.1, 0.2]]))
    words = ["predict", str(folder / "model"), str(folder / "dimer.xyz"), "-o", str(folder / "d.jsonl"), "--quiet"]
    assert run(words) == 0
    said = json.loads((folder / "d.jsonl").read_text())["predictions"]
    assert said["stress"]["value"] == [None] * 6
    assert np.isfinite(said["energy"]["value"])
    assert np.isfinite(np.array(said["forces"]["value"], dtype=float)).all()


def test_members_agree_where_they_have_learned(folder: Path) -> None:
    trained(folder, "members", "--ensemble", "2", "--epochs", "4")
    new = str(folder / "new.extxyz")
    assert run(["predict", str(folder / "members"), new, "-o", str(folder / "e.jsonl"), "--quiet"]) == 0
    said = [json.loads(line)["predictions"]["energy"] for line in (folder / "e.jsonl").read_text().splitlines()]
    assert all(0.0 < s["sigma_e"] < 16.0 for s in said)


@pytest.mark.slow
def test_two_processes_take_two_structures_a_step(folder: Path) -> None:
    """The recipe has one, of which nothing would be left for the second."""
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    line += ["--rdzv-endpoint", "localhost:0", "-m", "crystalcli", "train", "graphs.h5", "--arch", "nequip-tiny"]
    line += ["--split", "random", "--epochs", "2", "--threads", "1", "--no-compare", "-o", "two"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "batch size: 2 instead of 1, for 2 processes" in done.stdout
