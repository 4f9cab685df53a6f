"""Computed labels of sites against exact answers."""

import ase
import ase.build
import ase.spacegroup
import numpy as np
import pytest

from crystalcli.mechanisms.potentials import named
from crystalcli.mechanisms.site_labels import (
    Wish,
    bond_valence,
    effective_coordination,
    ewald_potential,
    frequency,
)
from crystalcli.vocabulary.errors import InputError


def salt(a: float = 5.64) -> ase.Atoms:
    return ase.build.bulk("NaCl", "rocksalt", a=a)


def test_madelung_constants() -> None:
    """φ = −M e²/(4πε₀ r₀) at a cation; NaCl 1.747565, CsCl 1.762675 (per nearest distance)."""
    salts = [
        (salt(), 5.64 / 2, 1.747565),
        (ase.build.bulk("CsCl", "cesiumchloride", a=4.12), 4.12 * 0.75**0.5, 1.762675),
    ]
    for atoms, distance, constant in salts:
        expected = constant * 14.399645 / distance
        np.testing.assert_allclose(ewald_potential(atoms), [-expected, expected], rtol=1e-5)
        larger = ewald_potential(atoms.repeat((2, 1, 1)))
        np.testing.assert_allclose(larger, [-expected, expected] * 2, rtol=1e-5)
    given = ewald_potential(salt(), Wish(charges=np.array([0.5, -0.5])))
    np.testing.assert_allclose(given, ewald_potential(salt()) / 2, rtol=1e-9)


def test_charges_that_cannot_be() -> None:
    with pytest.raises(InputError, match="neutral"):
        ewald_potential(salt(), Wish(charges=np.array([1.0, 1.0])))
    with pytest.raises(InputError, match="three vectors"):
        ewald_potential(ase.build.molecule("H2O"))
    with pytest.raises(InputError, match="guessed"):
        ewald_potential(ase.build.bulk("Cu"))


def test_coordination_of_perfect_crystals() -> None:
    """Twelve in fcc, six in rocksalt, four in diamond; in bcc the second shell counts in part: 8 + 6w."""
    for atoms, expected in (
        (ase.build.bulk("Cu", "fcc", a=3.6), 12.0),
        (salt(), 6.0),
        (ase.build.bulk("Si", "diamond", a=5.43), 4.0),
    ):
        np.testing.assert_allclose(effective_coordination(atoms), expected, rtol=0.01)
    assert 8.0 < effective_coordination(ase.build.bulk("Fe", "bcc", a=2.87))[0] < 14.0
    lone = ase.Atoms("Ar", cell=[20, 20, 20], pbc=True)
    assert effective_coordination(lone).tolist() == [0.0]


def test_bond_valences_of_rutile_are_its_oxidation_states() -> None:
    rutile = ase.spacegroup.crystal(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
    )
    found = bond_valence(rutile)
    np.testing.assert_allclose(found[rutile.numbers == 22], 4.0, atol=0.3)
    np.testing.assert_allclose(found[rutile.numbers == 8], -2.0, atol=0.15)
    assert found.sum() == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(bond_valence(ase.Atoms("ArO", [(0, 0, 0), (2, 0, 0)], cell=[8, 8, 8], pbc=True))).any()


def test_the_frequency_of_a_site_in_a_crystal_of_springs() -> None:
    """Against the force constants of ASE's calculator, by second differences of the energy."""
    from ase.calculators.emt import EMT

    atoms = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True)
    atoms.positions += np.random.default_rng(0).normal(0, 0.02, atoms.positions.shape)
    found = frequency(atoms, Wish(potential=named("emt")))
    h, trace = 0.01, 0.0
    atoms.calc = EMT()
    middle = atoms.get_potential_energy()
    for axis in range(3):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.calc = EMT()
            moved.positions[2, axis] += sign * h
            energies.append(moved.get_potential_energy())
        trace += (sum(energies) - 2 * middle) / h**2
    joule, kilogram = 1.602176634e-19, 1.66053906660e-27
    omega = np.sqrt(trace * joule / 1e-20 / (3 * atoms.get_masses()[2] * kilogram))
    assert found[2] == pytest.approx(omega / (2 * np.pi) / 1e12, rel=1e-3)
    with pytest.raises(InputError, match="--potential"):
        frequency(atoms, Wish())
