"""Order of structures whose order is known: crystals, gases, and what others have published of them."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

import ase.build
import numpy as np
import pytest
from crystal_glass.analysis import (
    angles,
    bonds_of,
    described,
    displacement,
    distributions,
    first_peak,
    first_shell,
    largest_cluster,
    q6,
    rings,
    structure_factor,
)
from crystal_glass.pictures import _crystals
from crystal_glass.settling import formation_energy, read_references
from crystal_glass.volumes import Phase

from crystalcli.nouns.distributions import Coordination
from crystalcli.vocabulary.errors import UsageError


def rattled(name: str, repeat: int, width: float = 0.02, **more: object) -> ase.Atoms:
    atoms = ase.build.bulk(name, cubic=True, **more).repeat(repeat)
    atoms.positions += np.random.default_rng(2).normal(0.0, width, atoms.positions.shape)
    return atoms


def gas(n: int = 300, length: float = 14.0, seed: int = 7) -> ase.Atoms:
    places = np.random.default_rng(seed).random((n, 3)) * length
    return ase.Atoms("Ar" * n, places, cell=[length] * 3, pbc=True)


@pytest.mark.parametrize(("name", "published"), [("Cu", 0.57452), ("Fe", 0.62854), ("Po", 0.35355)])
def test_q6_of_crystals(name: str, published: float) -> None:
    """Steinhardt, Nelson, Ronchetti 1983: fcc 0.57452, simple cubic 0.35355; bcc with 8 bonds 0.62854."""
    atoms = ase.build.bulk(name, cubic=True).repeat(3)
    shortest = {"Cu": 3.61 / 2**0.5, "Fe": 2.87 * 0.75**0.5, "Po": 3.35}[name]
    bond = [Coordination(name, name, 1.1 * shortest, 0.0, {})]
    edges, vectors = bonds_of(atoms, bond)
    assert edges.shape[1] == len(atoms) * {"Cu": 12, "Fe": 8, "Po": 6}[name]
    assert q6(vectors) == pytest.approx(published, abs=1e-5)


def test_q6_of_directions_anywhere_is_none() -> None:
    """1/√bonds: 0.02 for 2500."""
    vectors = np.random.default_rng(3).normal(size=(2500, 3))
    assert q6(vectors) == pytest.approx(0.02, abs=0.012)
    assert q6(np.zeros((0, 3))) is None


def test_diamond_is_tetrahedral() -> None:
    said, curves = described([rattled("Si", 2)])
    assert said["coordination"] == 4.0
    assert said["first_peak"] == pytest.approx(5.43 * 3**0.5 / 4, abs=0.03)
    assert said["coordinations"] == {"Si-Si": 4.0}
    assert said["largest_cluster"] == 1.0
    assert said["q6"] > 0.5
    degrees = curves["angles"]["Si-Si-Si"]
    assert len(degrees) == 64 * 6
    assert degrees.mean() == pytest.approx(109.47, abs=0.3)


def test_second_neighbors_are_no_bonds() -> None:
    """Cristobalite: four O around Si, two Si around O; not O around O, 1.63 times as far away."""
    si = ase.build.bulk("Si", "diamond", a=7.16, cubic=True).repeat(2)
    edges, vectors = bonds_of(si, [Coordination("Si", "Si", 3.3, 4.0, {})])
    some = edges[0] < edges[1]
    between = si.positions[edges[0][some]] + 0.5 * vectors[some]
    atoms = si + ase.Atoms(f"O{len(between)}", between, cell=si.cell, pbc=True)
    atoms.rattle(0.03, seed=4)
    said, curves = described([atoms])
    assert said["coordination"] == pytest.approx(8 / 3)
    assert (said["coordinations"]["Si-O"], said["coordinations"]["O-Si"]) == (4.0, 2.0)
    assert set(curves["angles"]) == {"O-Si-O", "Si-O-Si"}
    every, few = (
        bonds_of(atoms, curves["coordination"]),
        bonds_of(atoms, first_shell(curves["rdf"], curves["coordination"])),
    )
    assert said["q6"] == q6(every[1]) != q6(few[1])  # whether it is a crystal is asked of all pairs
    alloy = rattled("Cu", 3)
    alloy.numbers[::3] = 47
    assert described([alloy])[0]["coordination"] == pytest.approx(12.0, abs=0.3)  # those that touch are all neighbors


def test_rings_of_diamond_and_of_a_ladder() -> None:
    """Diamond has 12 rings of six through each atom: 2 for every atom of the crystal."""
    atoms = ase.build.bulk("Si", cubic=True).repeat(3)
    edges, _ = bonds_of(atoms, [Coordination("Si", "Si", 2.7, 4.0, {})])
    assert rings(len(atoms), edges) == {6: 2 * len(atoms)}
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0), (2, 4), (4, 5), (5, 3)]  # two squares on one edge
    both = np.array([*pairs, *[(b, a) for a, b in pairs]]).T
    assert rings(6, both) == {4: 2, 6: 1}  # from end to end past the edge they share: King's, no primitive ring


def test_rings_are_those_of_networks() -> None:
    assert described([rattled("Si", 2)])[1]["rings"]
    assert described([rattled("Cu", 2)])[1]["rings"] == {}
    square = [(0, 1), (1, 2), (2, 3), (3, 0)]
    images = [(0, 0), (2, 2)]  # in a narrow box an atom may be bonded to itself, which closes no ring
    edges = np.array([*square, *[(b, a) for a, b in square], *images]).T
    assert rings(4, edges) == {4: 1}


def test_angles_are_named_by_their_middle() -> None:
    atoms = ase.Atoms("OTiH", [(2, 0, 0), (0, 0, 0), (0, 1.5, 0)], cell=[30, 30, 30], pbc=True)
    edges = np.array([[1, 1, 0, 2], [0, 2, 1, 1]])
    found = angles(atoms, edges, atoms.positions[edges[1]] - atoms.positions[edges[0]])
    assert {k: v.tolist() for k, v in found.items()} == {"H-Ti-O": [pytest.approx(90.0)]}


def test_structure_factors() -> None:
    """A gas has 1 at every q; a crystal N at its reflections and 0 between; numbers of a plain sum."""
    q, s = structure_factor([gas()])
    assert s[q > 4.0].mean() == pytest.approx(1.0, abs=0.02)
    crystal = ase.build.bulk("Cu", cubic=True).repeat(3)
    q, s = structure_factor([crystal])
    first = 2 * np.pi * 3**0.5 / 3.61
    assert q[np.argmax(s > 1e-9)] == pytest.approx(first, abs=0.05)
    few = gas(20, 5.0)
    few.set_cell([[5.0, 0, 0], [0.7, 4.4, 0], [-0.3, 0.4, 6.1]], scale_atoms=True)
    q, s = structure_factor([few])
    n = [np.array((a, b, c)) for a in range(-15, 16) for b in range(-15, 16) for c in range(-18, 19)]
    waves = 2 * np.pi * np.array(n) @ np.linalg.inv(few.cell.array).T
    length = np.linalg.norm(waves, axis=1)
    for k in (np.argmin(abs(q - 5.0)), np.argmin(abs(q - 12.0))):
        shell = (np.floor(length / (16 / 240)) == np.floor(q[k] / (16 / 240))) & (length > 0)
        every = np.abs(np.exp(1j * waves[shell] @ few.positions.T).sum(1)) ** 2 / 20
        assert len(every) > 2
        assert s[k] == pytest.approx(every.mean(), rel=1e-9)
        assert q[k] == pytest.approx(length[shell].mean())


def test_a_large_box_takes_some_planes_of_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer of them, with the same mean in every shell within its noise; none of the first shells is lost."""
    whole = structure_factor([gas(600, 17.0)])
    monkeypatch.setattr("crystal_glass.analysis.WAVES", 20_000_000)
    some = structure_factor([gas(600, 17.0)])
    assert some[0][0] == whole[0][0]
    assert len(some[0]) > 0.9 * len(whole[0])
    assert some[1][some[0] > 4.0].mean() == pytest.approx(1.0, abs=0.03)
    assert np.abs(np.interp(whole[0], *some) - whole[1])[whole[0] > 4.0].mean() < 0.15
    assert np.abs(some[1][-20:] - whole[1][-20:]).max() > 1e-6


def test_q6_is_the_mean_of_legendres_over_all_pairs() -> None:
    vectors = np.random.default_rng(8).normal(size=(40, 3)) * [1.0, 2.0, 0.5]
    units = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    mean = np.mean([np.polynomial.legendre.legval(u @ v, [0] * 6 + [1]) for u in units for v in units])
    assert q6(vectors) == pytest.approx(mean**0.5, rel=1e-10)


@pytest.mark.slow
def test_ten_thousand_atoms_are_described_in_a_minute() -> None:
    """And in 2 GB: a table of all pairs of bonds would have 130, one of all atoms and waves 4000."""
    atoms = rattled("Cu", 14, 0.25)
    tracemalloc.start()
    begun = time.process_time()
    said, _ = described([atoms])
    assert time.process_time() - begun < 60.0
    assert tracemalloc.get_traced_memory()[1] < 2e9
    tracemalloc.stop()
    assert len(atoms) == 10_976
    assert said["first_peak"] == pytest.approx(2.55, abs=0.1)


def test_first_peaks() -> None:
    _, found = distributions([rattled("Cu", 3, 0.08)])
    assert first_peak(found, found.total) == pytest.approx(3.61 / 2**0.5, abs=0.03)
    assert first_peak(found, np.zeros_like(found.total)) is None


def test_what_has_evaporated_is_seen() -> None:
    atoms = rattled("Cu", 2)
    atoms.set_cell([20.0] * 3)
    atoms.positions[5] += 9.0
    assert largest_cluster(atoms) == pytest.approx(31 / 32)
    for share, together in ((1.29, 1.0), (1.31, 0.5)):  # 1.3 times the radii of Pyykkö, Al 1.26 and Au 1.24 Å
        pair = ase.Atoms("AlAu", [(0, 0, 0), (0, 0, share * 2.5)], cell=[20.0] * 3, pbc=True)
        assert largest_cluster(pair) == together


def test_displacements_are_without_drift_and_strain() -> None:
    rng = np.random.default_rng(4)
    first, cell = rng.random((40, 3)) * 8.0, np.diag([8.0, 8.0, 8.0])
    moves = rng.normal(0.0, 0.5, (40, 3))
    moves -= moves.mean(0)
    places = np.stack([first, first + moves + np.array([30.0, -2.0, 1.0])])
    plain = float(np.sqrt((moves**2).sum(1).mean()))
    assert displacement(places, np.stack([cell, cell])) == pytest.approx(plain)
    wider = np.stack([first, (first + moves) * 1.2])
    assert displacement(wider, np.stack([cell, 1.2 * cell])) == pytest.approx(1.2 * plain)


def test_energies_count_from_their_elements(tmp_path) -> None:
    assert formation_energy(-20.0, {"O": 3, "Ti": 2}, {"O": -1.0, "Ti": -2.0}) == pytest.approx((-20.0 + 3 + 4) / 5)
    assert formation_energy(-20.0, {"O": 3, "Ti": 2}, {"O": None, "Ti": -2.0}) is None
    file = tmp_path / "references.csv"
    file.write_text("element,eV\nTi,-7.8\n# gas\nO,-4.9\n")
    assert read_references(file) == {"Ti": -7.8, "O": -4.9}
    for wrong in ("Ti,-7.8\nTi,-7.9\n", "Ti\n", "Ti,x\n", "Ti,-7\nQq,-1\n", "Ti,nan\n"):
        file.write_text(wrong)
        with pytest.raises(UsageError, match=r"is no|twice"):
            read_references(file)


def test_the_hull_of_the_picture_is_below_all_crystals() -> None:
    phases = [Phase("A", {"A": 1.0}, 1.0, -1.0), Phase("B", {"B": 1.0}, 1.0, -3.0)]
    mixed = [("x", 0.25, -0.1), ("y", 0.5, -0.4), ("z", 0.75, -0.1), ("u", 0.5, -0.2)]
    phases += [Phase(n, {"A": 1 - x, "B": x}, 1.0, -1.0 - 2.0 * x + e) for n, x, e in mixed]
    assert _crystals(phases, "A", "B").ravel().tolist() == pytest.approx([0.0, 0.0, 0.5, -0.4, 1.0, 0.0], abs=1e-12)
    assert len(_crystals(phases, "A", "C")) == 0


def test_bonds_of_an_alloy_have_the_limits_of_their_pairs() -> None:
    """Al–Cu 2.2 Å, Cu–Cu 3.0 Å, and where nothing is said 1.3 of the radii: Al–Al 3.28 Å; of every atom its own."""
    atoms = ase.Atoms("AlCuCuAl", [(0, 0, 0), (0, 0, 2.5), (0, 0, 5.4), (3.2, 0, 0)], cell=[20.0] * 3, pbc=True)
    limits = [("Al", "Cu", 2.2), ("Cu", "Al", 2.2), ("Cu", "Cu", 3.0)]
    numbers = [Coordination(a, b, limit, 0.0, {}) for a, b, limit in limits]
    edges, vectors = bonds_of(atoms, numbers)
    assert sorted(edges.T.tolist()) == [[0, 3], [1, 2], [2, 1], [3, 0]]
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([3.2, 2.9, 2.9, 3.2])
    wider = [replace(n, cutoff=2.6) if n.centre != n.neighbor else n for n in numbers]
    assert sorted(bonds_of(atoms, wider)[0].T.tolist()) == [[0, 1], [0, 3], [1, 0], [1, 2], [2, 1], [3, 0]]
