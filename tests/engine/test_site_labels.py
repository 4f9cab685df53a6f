"""Computed labels of sites against exact answers."""

import ase
import ase.build
import ase.spacegroup
import numpy as np
import pytest

from crystalcli.engine.labels.site_labels import Wish, bond_valence, effective_coordination, ewald_potential, frequency
from crystalcli.engine.potential.potentials import named
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
    slab = salt()
    slab.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic along three vectors"):
        ewald_potential(slab)
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


def test_a_valence_that_nothing_defines_is_missing() -> None:
    """Zero would be a label, and a model would learn it."""
    he = ase.Atoms("He2", [(0, 0, 0), (3, 0, 0)], cell=[6, 6, 6], pbc=True)
    lone = ase.Atoms("O", cell=[20, 20, 20], pbc=True)
    undefined = [ase.build.bulk("Cu"), ase.build.bulk("Si"), ase.build.bulk("NiAl", "cesiumchloride", a=2.89), he, lone]
    for atoms in undefined:
        assert np.isnan(bond_valence(atoms)).all(), atoms.symbols
    assert np.isfinite(bond_valence(salt())).all()
    far = ase.build.bulk("Cu", cubic=True).repeat((1, 1, 6))
    far.numbers[0] = 8  # of one layer only its neighbors have a valence
    found = np.isfinite(bond_valence(far))
    assert found[0]
    assert 0 < found.sum() < len(far)


def test_the_frequency_is_the_curvature_of_the_energy() -> None:
    """Against second differences of ASE's energies in a large cell; the choice of the cell does not matter."""
    from ase.calculators.emt import EMT

    potential = named("emt")
    found = frequency(ase.build.bulk("Cu", "fcc", a=3.6), Wish(potential=potential))
    cubic = frequency(ase.build.bulk("Cu", "fcc", a=3.6, cubic=True), Wish(potential=potential))
    np.testing.assert_allclose(cubic, found[0], rtol=1e-3)
    large = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True).repeat(4)
    h, trace = 0.01, 0.0
    large.calc = EMT()
    middle = large.get_potential_energy()
    for axis in range(3):
        energies = []
        for sign in (1, -1):
            moved = large.copy()
            moved.calc = EMT()
            moved.positions[0, axis] += sign * h
            energies.append(moved.get_potential_energy())
        trace += (sum(energies) - 2 * middle) / h**2
    joule, kilogram = 1.602176634e-19, 1.66053906660e-27
    omega = np.sqrt(trace * joule / 1e-20 / (3 * large.get_masses()[0] * kilogram))
    assert found[0] == pytest.approx(omega / (2 * np.pi) / 1e12, rel=2e-3)
    with pytest.raises(InputError, match="--potential"):
        frequency(large, Wish())


def test_a_molecule_needs_no_supercell() -> None:
    """N₂ along its axis only: tr(Φ) is the spring constant plus twice that of the transverse force, zero at rest."""
    from ase.optimize import BFGS

    molecule = ase.build.molecule("N2")
    from ase.calculators.emt import EMT

    molecule.calc = EMT()
    BFGS(molecule, logfile=None).run(fmax=1e-4)
    found = frequency(molecule, Wish(potential=named("emt")))
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[0] > 10
