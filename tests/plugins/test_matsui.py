"""The rigid-ion potential of alumina, against numbers of the literature, differences and other ways to sum."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
from ase.spacegroup import crystal
from crystal_alumina import MatsuiOptions
from crystal_alumina.ewald import Pairs, Sums, coulomb_pairs, coulomb_waves, splitting
from crystal_alumina.matsui import Matsui

from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.neighbors import neighbor_list
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.units import COULOMB


def corundum(scale: float = 1.0, *, primitive: bool = False) -> ase.Atoms:
    """Ideal corundum as measured; 30 atoms, or 10."""
    atoms = crystal(
        ["Al", "O"],
        [(0, 0, 0.35228), (0.30641, 0, 0.25)],
        spacegroup=167,
        cellpar=[4.759, 4.759, 12.991, 90, 90, 120],
        primitive_cell=primitive,
    )
    atoms.set_cell(scale * atoms.cell, scale_atoms=True)
    return atoms


def shaken(seed: int = 0) -> ase.Atoms:
    """Ten atoms, displaced and sheared."""
    atoms = corundum(primitive=True)
    rng = np.random.default_rng(seed)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.02, (3, 3))), scale_atoms=True)
    return atoms


def test_energy_of_corundum_and_its_minimum() -> None:
    plain = Matsui(MatsuiOptions(switch=0.0))
    assert plain.sums(corundum()).energies.mean() == pytest.approx(-8.883, abs=6e-4)
    far = Matsui(MatsuiOptions(cutoff=30.0, switch=0.0))
    assert far.sums(corundum(primitive=True)).energies.mean() == pytest.approx(-8.894, abs=1e-3)
    scales = np.linspace(0.985, 1.003, 10)
    energies = [Matsui().sums(corundum(s, primitive=True)).energies.mean() for s in scales]
    lowest = np.roots(np.polyder(np.polyfit(scales, energies, 3)))
    assert np.abs(lowest - 0.994).min() < 1e-3


def test_forces_and_stress_are_derivatives() -> None:
    atoms, h = shaken(), 1e-4
    atoms.calc = Matsui()
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    energies = atoms.get_potential_energies()
    assert energies.sum() == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    assert np.abs(forces.sum(0)).max() < 1e-9
    for i, a in ((0, 0), (3, 1), (9, 2)):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[i, a] += sign * h
            ends.append(Matsui().sums(moved).energies.sum())
        assert -(ends[0] - ends[1]) / (2 * h) == pytest.approx(forces[i, a], abs=1e-6)
    for a in range(3):
        for b in range(a, 3):
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5 * h
            strain[b, a] += 0.5 * h
            ends = []
            for sign in (1, -1):
                strained = atoms.copy()
                strained.set_cell(atoms.cell @ (np.eye(3) + sign * strain), scale_atoms=True)
                ends.append(Matsui().sums(strained).energies.sum())
            slope = (ends[0] - ends[1]) / (2 * h) / atoms.get_volume()
            assert slope == pytest.approx(stress[a, b], abs=1e-7)


def test_splitting_does_not_matter() -> None:
    atoms = shaken(1)
    first, second = (Matsui(MatsuiOptions(splitting=s)).sums(atoms) for s in (0.48, 0.8))
    np.testing.assert_allclose(first.energies.sum(), second.energies.sum(), atol=1e-8)
    np.testing.assert_allclose(first.energies, second.energies, atol=1e-8)
    np.testing.assert_allclose(first.forces, second.forces, atol=1e-8)
    np.testing.assert_allclose(first.virial, second.virial, atol=1e-7)
    with pytest.raises(InputError, match="too small"):
        Matsui(MatsuiOptions(splitting=0.1)).sums(atoms)


@pytest.mark.parametrize(("lattice", "madelung"), [("rocksalt", 1.747564594633), ("cesiumchloride", 1.762674773)])
def test_madelung_constants(lattice: str, madelung: float) -> None:
    atoms = ase.build.bulk("NaCl", lattice, a=4.0)
    nearest = 2.0 if lattice == "rocksalt" else 2.0 * 3**0.5
    charges = np.array([1.0, -1.0])
    edges, shifts, lengths = neighbor_list(atoms, 8.0)
    vector = atoms.positions[edges[1]] - atoms.positions[edges[0]] + shifts @ atoms.cell.array
    alpha = splitting(8.0)
    found: Sums = coulomb_pairs(Pairs(edges[0], edges[1], vector, lengths), charges, alpha)
    found = found + coulomb_waves(atoms.positions, atoms.cell.array, charges, alpha)
    assert -found.energies.sum() * nearest / COULOMB == pytest.approx(madelung, abs=1e-8)
    np.testing.assert_allclose(found.virial, np.eye(3) * -found.energies.sum() / 3, atol=1e-7)  # E ~ 1/scale


def test_cells_that_mean_the_same() -> None:
    small, other = shaken(2), shaken(2)
    other.positions[3] += other.cell.array[0] - 2 * other.cell.array[2]
    big = small.repeat((2, 1, 2))
    mine, moved, repeated = (Matsui().sums(a) for a in (small, other, big))
    np.testing.assert_allclose(moved.forces, mine.forces, atol=1e-9)
    np.testing.assert_allclose(repeated.energies, np.tile(mine.energies, 4), atol=1e-8)
    left = small.copy()
    left.set_cell(left.cell.array[[1, 0, 2]], scale_atoms=False)
    np.testing.assert_allclose(Matsui().sums(left).virial, mine.virial, atol=1e-8)


def test_an_energy_without_jumps_at_the_cutoff() -> None:
    atoms = corundum(primitive=True)
    r = np.sort(neighbor_list(atoms, 10.5)[2])
    r = r[r > 9.0]
    scale = 10.0 / r[len(r) // 2]  # a shell lies on the cutoff

    def jump(switch: float) -> float:
        energies = []
        for s in (scale * (1 - 1e-7), scale * (1 + 1e-7)):
            near = atoms.copy()
            near.set_cell(atoms.cell * s, scale_atoms=True)
            energies.append(Matsui(MatsuiOptions(switch=switch)).sums(near).energies.sum())
        return float(abs(energies[1] - energies[0]))

    assert jump(0.5) < 1e-5
    assert jump(0.0) > 1e-4


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match="not Na"):
        Matsui().sums(ase.build.bulk("NaO", "rocksalt", a=4.0))
    slab = corundum()
    slab.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic in all three"):
        Matsui().sums(slab)
    vacancy = corundum()
    del vacancy[0]
    with pytest.raises(InputError, match="charged"):
        Matsui().sums(vacancy)


def test_by_name() -> None:
    found = named("matsui", options={"switch": 0.0}).evaluate(Systems.of([shaken(3), corundum()]), stress=True)
    assert found.energy[1].item() / 30 == pytest.approx(-8.883, abs=6e-4)
    assert found.energies is not None
    assert found.energies[10:].sum().item() == pytest.approx(found.energy[1].item(), abs=1e-9)
    assert found.stress is not None
    np.testing.assert_allclose(found.stress[0], found.stress[0].T, atol=1e-12)
