"""Analysis of trajectories against what is known exactly."""

import ase.build
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from crystalcli.nouns import distributions
from crystalcli.nouns.distributions import Frames


def gas(atoms: int, frames: int, length: float = 12.0, neon: float = 0.5) -> Frames:
    rng = np.random.default_rng(1)
    few = round(neon * atoms)
    names = ["Ar"] * (atoms - few) + ["Ne"] * few
    images = [ase.Atoms(names, rng.uniform(0, length, (atoms, 3)), cell=[length] * 3, pbc=True) for _ in range(frames)]
    return Frames.of(images, times=np.arange(frames))


def shaken(atoms: ase.Atoms, frames: int, width: float) -> Frames:
    images = [atoms.copy() for _ in range(frames)]
    for k, image in enumerate(images):
        image.rattle(width, seed=k)
    return Frames.of(images, times=np.arange(frames))


def test_frames_have_what_their_images_say() -> None:
    images = [ase.build.bulk("Cu") for _ in range(2)]
    images[0].calc = SinglePointCalculator(images[0], energy=-3.5)
    images[0].info = {"energy": 9.0, "time_fs": 4.0, "temperature": 310.0}
    images[1].info = {"energy": -3.25, "time_fs": 6.0}
    frames = Frames.of(images)
    assert frames.energies.tolist() == [-3.5, -3.25]
    assert frames.times.tolist() == [4.0, 6.0]
    assert frames.temperatures[0] == 310.0
    assert np.isnan(frames.temperatures[1])


def test_an_ideal_gas_has_no_structure() -> None:
    found = distributions.pair_distribution(gas(200, 20), r_max=9.0, bins=30)
    assert np.abs(found.total[5:] - 1).max() < 0.1
    assert all(np.abs(g[8:] - 1).max() < 0.15 for g in found.partial.values())
    density = 100 / 12.0**3
    assert found.running["Ar", "Ne"][-1] == pytest.approx(density * 4 / 3 * np.pi * 9**3, rel=0.02)


def test_neighbors_of_a_rare_species_are_counted_for_each_of_it() -> None:
    """150 Ar and 30 Ne: a Ne sees five times as many Ar as an Ar sees Ne; g is 1 for all pairs."""
    found = distributions.pair_distribution(gas(180, 40, neon=1 / 6), r_max=6.0, bins=30)
    ball = 4 / 3 * np.pi * 6.0**3 / 12.0**3
    wanted = {("Ar", "Ar"): 149, ("Ar", "Ne"): 30, ("Ne", "Ar"): 150, ("Ne", "Ne"): 29}
    assert {pair: n[-1] for pair, n in found.running.items()} == pytest.approx(
        {pair: n * ball for pair, n in wanted.items()}, rel=0.03
    )
    assert all(np.abs(g[15:].mean() - 1) < 0.05 for g in found.partial.values())


def test_coordination_of_the_less_frequent_species() -> None:
    """Fluorite: 8 F around each Ca, 4 Ca around each of twice as many F."""
    frames = shaken(ase.build.bulk("CaF2", "fluorite", a=5.46, cubic=True).repeat(2), 4, 0.05)
    found = distributions.pair_distribution(frames)
    numbers = {(c.centre, c.neighbor): (c.mean, c.shares) for c in distributions.coordination(frames, found)}
    assert numbers["Ca", "F"] == (8, {8: 1.0})
    assert numbers["F", "Ca"] == (4, {4: 1.0})


def test_shells_of_fcc() -> None:
    frames = Frames.of([ase.build.bulk("Cu", "fcc", a=3.6)] * 2, times=[0, 1])
    found = distributions.pair_distribution(frames, r_max=5.0, bins=500)
    shells = {3.6 / 2**0.5: 12, 3.6: 18, 3.6 * 1.5**0.5: 42, 3.6 * 2**0.5: 54}
    for distance, neighbors in shells.items():
        if distance < 4.9:
            k = int(np.searchsorted(found.edges, distance + 0.02))
            assert found.running["Cu", "Cu"][k] == pytest.approx(neighbors)
    (cu,) = distributions.coordination(frames, found)
    assert cu.mean == 12
    assert cu.shares == {12: 1.0}
    assert 2.6 < cu.cutoff < 3.6


def test_coordination_in_rock_salt() -> None:
    frames = shaken(ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(2), 10, 0.08)
    found = distributions.pair_distribution(frames)
    numbers = {(c.centre, c.neighbor): c.mean for c in distributions.coordination(frames, found)}
    assert numbers["Na", "Cl"] == numbers["Cl", "Na"] == 6
    assert numbers["Na", "Na"] == pytest.approx(12, abs=0.2)
    bonds = distributions.bond_lengths(frames)
    lengths, density = bonds["Cl", "Na"]
    assert np.sum(density) * (lengths[1] - lengths[0]) == pytest.approx(1.0)
    assert np.sum(lengths * density) / density.sum() == pytest.approx(2.82, abs=0.02)
    assert distributions.bond_lengths(frames, cutoffs={("Na", "Cl"): 1.0}) == {}


def test_a_pair_has_one_name_wherever_it_stands() -> None:
    """By the alphabet, which for Al and O, Na and Cl is not the order of their numbers."""
    atoms = ase.Atoms("OAlNaCl", [[0, 0, 0], [1.8, 0, 0], [0, 2.5, 0], [2.4, 2.5, 0]], cell=[9] * 3, pbc=True)
    frames = Frames.of([atoms, atoms], times=[0, 1])
    found = distributions.pair_distribution(frames)
    symbols = ["Al", "Cl", "Na", "O"]
    expected = [(a, b) for k, a in enumerate(symbols) for b in symbols[k:]]
    assert list(found.partial) == expected
    assert list(found.running) == [(a, b) for a in symbols for b in symbols]
    bonds = list(distributions.lengths_of_bonds(frames))
    assert ("Al", "O") in bonds
    assert ("Cl", "Na") in bonds
    assert bonds == [pair for pair in expected if pair in bonds]


def test_no_density_without_periodicity() -> None:
    frames = Frames.of([ase.build.molecule("H2O")] * 2, times=[0, 1])
    with pytest.raises(ValueError, match="periodic"):
        distributions.pair_distribution(frames)
    assert set(distributions.bond_lengths(frames)) == {("H", "O")}


def test_displacement_of_free_flight() -> None:
    """Ballistic: v² t², exactly."""
    v = np.random.default_rng(2).normal(size=(20, 3))
    t = np.arange(50.0)
    found = distributions.mean_square_displacement(100.0 + t[:, None, None] * v)
    assert found == pytest.approx((v**2).sum(1).mean() * t**2, rel=1e-9, abs=1e-7)


def test_displacement_of_a_random_walk() -> None:
    """Diffusive: 3 σ² a step."""
    steps = np.random.default_rng(3).normal(size=(400, 200, 3)) * 0.1
    found = distributions.mean_square_displacement(np.cumsum(steps, 0))
    assert found[1:100] / np.arange(1, 100) == pytest.approx(0.03, rel=0.05)


def test_displacement_against_a_plain_loop() -> None:
    x = np.random.default_rng(4).normal(size=(9, 4, 3))
    plain = [np.mean([((x[s + t] - x[s]) ** 2).sum(1).mean() for s in range(9 - t)]) for t in range(9)]
    assert distributions.mean_square_displacement(x) == pytest.approx(plain)


def test_unwrapping() -> None:
    cell = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [0, 0.5, 6.0]])
    v = np.random.default_rng(5).normal(size=(6, 3)) * 0.3
    straight = np.arange(40.0)[:, None, None] * v
    inverse = np.linalg.inv(cell)
    wrapped = straight - np.floor(straight @ inverse) @ cell
    found = distributions.unwrapped(wrapped, np.repeat(cell[None], 40, 0), np.array([True] * 3))
    assert found - found[0] == pytest.approx(straight - straight[0])


def test_density_of_equal_values() -> None:
    middle, height = distributions.density(np.full(5, -3.2))
    assert np.sum(height) * (middle[1] - middle[0]) == pytest.approx(1.0)
    assert float(middle.mean()) == pytest.approx(-3.2)


def test_a_cell_that_breathes_moves_no_atom() -> None:
    """Atoms at rest in a cell that grows and shears have not moved; in a fixed cell positions keep their bits."""
    rng = np.random.default_rng(6)
    fractions = rng.random((5, 3)) * 4.0 - 2.0
    cells = np.array([np.diag([8.0, 9.0, 10.0]) * (1.0 + 0.01 * k) + 0.02 * k for k in range(7)])
    still = distributions.in_mean_cell(fractions @ cells, cells)
    assert distributions.mean_square_displacement(still) == pytest.approx(0.0, abs=1e-12)
    moving = rng.random((7, 5, 3))
    assert distributions.in_mean_cell(moving, np.repeat(cells[:1], 7, 0)) is moving


def test_where_the_first_shell_ends() -> None:
    """Between two peaks, in the gap around a molecule, and nowhere where a gas has a single peak."""
    r = 0.02 * (np.arange(400) + 0.5)
    thin = np.where(r > 3.0, 1.0 + 2.0 * np.exp(-((r - 3.4) ** 2) / 0.3), 0.0)
    assert np.isnan(distributions.first_minimum(r, thin))
    molecule = 50.0 * np.exp(-((r - 1.1) ** 2) / 0.01)
    assert 2.0 < distributions.first_minimum(r, molecule) < 7.0
    liquid = thin + 1.5 * np.exp(-((r - 6.5) ** 2) / 0.3) - 0.6 * np.exp(-((r - 5.0) ** 2) / 0.3)
    assert distributions.first_minimum(r, liquid) == pytest.approx(5.0, abs=0.1)


def test_of_a_flat_valley_the_first_shell_ends_where_it_begins() -> None:
    """Behind Al–O g(r) is low and flat; which of its minima is deepest is chance, and half an ångström to and fro."""
    r = 0.02 * (np.arange(400) + 0.5)
    shells = 9.0 * np.exp(-((r - 1.8) ** 2) / 0.01) + 1.5 * np.exp(-((r - 4.2) ** 2) / 0.5)
    early, late = (0.1 * np.exp(-((r - place) ** 2) / 0.02) for place in (2.4, 2.9))
    valley = shells + 0.4 * (r > 2.0)
    for deeper in (0.7, 1.8):
        end = distributions.first_minimum(r, valley - early - deeper * late)
        assert end == pytest.approx(2.4, abs=0.1)
    assert distributions.first_minimum(r, valley - 3.9 * late) == pytest.approx(2.9, abs=0.1)
