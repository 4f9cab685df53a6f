"""Likeness of trajectories: definitions of Matbench Discovery written out, their limits, and a run that has them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import covalent_radii
from crystal_glass.beside_trajectories import trajectories_of
from crystal_glass.likeness import MEASURES, adf_error, likeness, pressure_errors, rdf_error, shortest_vector
from scipy.stats import wasserstein_distance

from crystalcli.cli.main import run
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.units import GPA


def frames(seed: int, width: float, count: int = 3) -> list[ase.Atoms]:
    """Rattled salt in a skew cell."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(2)
        atoms.set_cell(atoms.cell.array + np.array([[0, 0, 0], [0.7, 0, 0], [0.3, 0.4, 0]]), scale_atoms=True)
        atoms.positions += rng.normal(0.0, width, atoms.positions.shape)
        stress = rng.normal(0.0, 0.01, 6) + 0.02 * width
        atoms.calc = SinglePointCalculator(atoms, stress=stress)
        made.append(atoms)
    return made


def naive(mine: list[ase.Atoms], theirs: list[ase.Atoms]) -> dict[str, float]:
    """The same from all distances by ASE's minimum images."""
    reach = min(shortest_vector(a.cell.array) for a in (*mine, *theirs)) / 2
    middles = (np.arange(500) + 0.5) * reach / 500

    def rdf(images: list[ase.Atoms]) -> np.ndarray:
        total = np.zeros(500)
        for atoms in images:
            d = atoms.get_all_distances(mic=True)[np.triu_indices(len(atoms), 1)]
            n = len(atoms)
            shells = 4 / 3 * np.pi * np.diff(np.linspace(0, reach, 501) ** 3)
            total += np.histogram(d, 500, (0, reach))[0] / (n * n / 2 / atoms.get_volume() * shells) / len(images)
        return total

    def angles(images: list[ase.Atoms]) -> list[float]:
        found = []
        for atoms in images:
            d, v = atoms.get_all_distances(mic=True), atoms.get_all_distances(mic=True, vector=True)
            radii = covalent_radii[atoms.numbers]
            for i in range(len(atoms)):
                near = [j for j in range(len(atoms)) if j != i and d[i, j] <= min(1.25 * (radii[i] + radii[j]), reach)]
                for k, a in enumerate(near):
                    for b in near[k + 1 :]:
                        found.append(np.degrees(np.arccos(v[i, a] @ v[i, b] / d[i, a] / d[i, b])))
        return found

    g, wanted = rdf(mine), rdf(theirs)
    off = np.trapezoid(np.abs(g - wanted), middles) / np.trapezoid(np.abs(wanted - 1), middles)
    degrees = np.arange(180) + 0.5
    one, other = (np.histogram(angles(some), 180, (0, 180))[0] for some in (mine, theirs))
    turned = wasserstein_distance(degrees, degrees, one, other)
    turned /= wasserstein_distance(degrees, degrees, np.sin(np.radians(degrees)), other)
    return {"rdf_error": 100 * off, "adf_error": 100 * turned}


def test_the_measures_are_what_they_are_called() -> None:
    mine, theirs = frames(1, 0.25), frames(2, 0.45)
    found = likeness(mine, theirs)
    expected = naive(mine, theirs)
    assert found["rdf_error"] == pytest.approx(expected["rdf_error"], rel=1e-9)
    assert found["adf_error"] == pytest.approx(expected["adf_error"], rel=1e-9)
    assert 10 < expected["rdf_error"] < 90
    assert 10 < expected["adf_error"] < 90
    one, other = (np.array([-a.get_stress()[:3].mean() / GPA for a in some]) for some in (mine, theirs))
    assert found["pressure_mae"] == pytest.approx(abs(one.mean() - other.mean()))
    assert found["pressure_wasserstein"] == pytest.approx(wasserstein_distance(one, other))
    theirs[0].calc = None
    assert likeness(mine, theirs)["pressure_mae"] is None


def test_limits() -> None:
    mine = frames(1, 0.25)
    assert likeness(mine, mine) == pytest.approx(dict.fromkeys(MEASURES, 0.0), abs=1e-9)
    g = np.array([0.0, 0.0, 3.0, 1.0, 0.5, 1.2])
    assert rdf_error(np.ones(6), g) == pytest.approx(100.0)  # an ideal gas
    assert rdf_error(4 * g, g) == 100.0  # no more than that
    assert rdf_error(g, np.ones(6)) == 100.0  # nothing is like a reference that has no order
    peak = np.zeros(180)
    peak[109] = 1.0
    turned = [adf_error(np.roll(peak, k), peak) for k in (0, 2, 8)]
    assert turned[0] == 0.0
    assert turned[2] == pytest.approx(4 * turned[1])  # as far as the bonds have turned
    assert adf_error(np.sin(np.radians(np.arange(180) + 0.5)), peak) == pytest.approx(100.0)
    assert adf_error(peak[::-1], np.roll(peak, -100)) == pytest.approx(100.0 * 61 / 81.0, abs=5.0)
    assert adf_error(np.roll(peak, 70), np.roll(peak, -20)) == 100.0  # no more than that
    apart = pressure_errors(np.array([1.0, 1.1, 1.2]), np.array([5.0, 5.1]))
    assert apart["pressure_error"] == pytest.approx(100.0)
    assert apart["pressure_wasserstein"] == pytest.approx(apart["pressure_mae"]) == pytest.approx(3.95)
    assert pressure_errors(np.ones(3), np.ones(2))["pressure_error"] == 0.0
    gas = ase.Atoms("He2", [(0, 0, 0), (3, 0, 0)], cell=[9, 9, 9], pbc=True)
    assert likeness([gas], [gas])["adf_error"] is None  # no bonds


def test_a_run_beside_trajectories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "Al",
        "--atoms",
        "12",
        "--potential",
        "emt",
        "--melt",
        "1500",
        "--melt-steps",
        "20",
        "--quench-steps",
        "20",
    ]
    words += ["--hold-steps", "60", "--frame-every", "10", "--last-steps", "40", "--relax", "none", "--replicas", "2"]
    folder, theirs = tmp_path / "run", tmp_path / "theirs"
    assert run(["glass", *words, "--references", "none", "-o", str(folder), "--quiet"]) == 0
    assert run(["glass", "--resume", str(folder), "--trajectories", str(theirs)]) == 2
    assert "is no folder of trajectories" in capsys.readouterr().err
    theirs.mkdir()
    assert run(["glass", "--resume", str(folder), "--trajectories", str(theirs)]) == 2
    assert "holds no trajectory that is called as a box, such as Al12-1.extxyz" in capsys.readouterr().err
    paths = [folder / "glasses" / f"Al12-{k}" / "trajectory.extxyz" for k in (1, 2)]
    mine, other = (ase.io.read(p, ":") for p in paths)
    ase.io.write(theirs / "Al12-1.extxyz", other, format="extxyz")
    ase.io.write(theirs / "Al12-2.extxyz", ase.build.bulk("Al"), format="extxyz")
    assert run(["glass", "--resume", str(folder), "--trajectories", str(theirs)]) == 0
    said = capsys.readouterr()
    assert "Al12-2.extxyz: frame 0 is no box of Al12-2" in said.err
    with (folder / "likeness.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["frames"], row["reference_frames"]) == ("Al12-1", "4", str(len(other)))
    expected = likeness([a for a in mine if a.info["step"] > 60], other)
    for name, unit in MEASURES.items():
        assert float(row[f"{name} [{unit}]"]) == pytest.approx(expected[name])
    report = json.loads((folder / "report.json").read_text())
    assert report["likeness"] == pytest.approx({"boxes": 1, **expected})
    assert run(["glass", "--resume", str(folder), "--trajectories", str(theirs)]) == 0
    assert "nothing to do" in "".join(capsys.readouterr())


def test_trajectories_are_found_in_any_order_of_elements(tmp_path: Path) -> None:
    (tmp_path / "Al8Cu8.extxyz").write_text("")
    (tmp_path / "other.extxyz").write_text("")
    assert trajectories_of(tmp_path, ["Ni16", "Cu8Al8"]) == {"Cu8Al8": tmp_path / "Al8Cu8.extxyz"}
    (tmp_path / "Cu8Al8.extxyz").write_text("")
    with pytest.raises(UsageError, match=r"Al8Cu8\.extxyz and Cu8Al8\.extxyz are both of the box Cu8Al8"):
        trajectories_of(tmp_path, ["Cu8Al8"])
