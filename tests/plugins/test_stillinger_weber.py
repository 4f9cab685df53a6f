"""Stillinger–Weber: the loops of the paper, its diamond, its derivatives, and numbers of another program."""

import ase
import ase.build
import numpy as np
import pytest
import torch
from reference import stillinger_weber as twin

from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError


def liquid(symbol: str = "Si", atoms: int = 11, seed: int = 3) -> ase.Atoms:
    """Atoms anywhere in a small skew cell, none nearer than 1.9 Å: every atom has images of itself for neighbors."""
    rng = np.random.default_rng(seed)
    cell = np.array([(5.9, 0.0, 0.0), (0.7, 6.3, 0.0), (-0.4, 0.9, 5.6)])
    made = ase.Atoms(cell=cell, pbc=True)
    while len(made) < atoms:
        made.append(ase.Atom(symbol, rng.random(3) @ cell))
        near = made.get_distances(-1, range(len(made) - 1), mic=True) if len(made) > 1 else np.array([9.0])
        if near.min() < 1.9:
            del made[-1]
    return made


@pytest.mark.parametrize("symbol", ["Si", "Ge"])
@pytest.mark.parametrize("weight", [1.0, 2.0, 0.0])
def test_energies_are_those_of_the_plain_loops(symbol: str, weight: float) -> None:
    structures = [liquid(symbol, 11), liquid(symbol, 7, seed=8), ase.build.bulk(symbol), ase.Atoms(symbol, pbc=False)]
    structures[-1].set_cell([20.0, 20.0, 20.0])
    found = named("sw", options={"three_body": weight}).evaluate(Systems.of(structures))
    assert found.energy.tolist() == pytest.approx([twin.energy(a, weight) for a in structures], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_forces_and_stress_are_derivatives(weight: float) -> None:
    potential, systems = named("sw", options={"three_body": weight}), Systems.of([liquid()])
    found = potential.evaluate(systems, stress=True)
    assert found.stress is not None
    step, rng = 1e-5, np.random.default_rng(1)

    def energy(positions: torch.Tensor, cell: torch.Tensor) -> float:
        return float(potential.evaluate(systems.moved(positions=positions, cell=cell)).energy)

    for k, axis in ((0, 0), (3, 1), (10, 2)):
        shift = torch.zeros_like(systems.positions)
        shift[k, axis] = step
        slope = (energy(systems.positions + shift, systems.cell) - energy(systems.positions - shift, systems.cell)) / (
            2 * step
        )
        assert -slope == pytest.approx(float(found.forces[k, axis]), rel=1e-6, abs=1e-6)
    strain = torch.as_tensor(rng.normal(size=(3, 3)))
    strain = 0.5 * (strain + strain.T)
    forward, back = (torch.eye(3, dtype=torch.float64) + s * step * strain for s in (1, -1))
    change = energy(systems.positions @ forward, systems.cell @ forward)
    change -= energy(systems.positions @ back, systems.cell @ back)
    volume = float(torch.linalg.det(systems.cell[0]).abs())
    assert change / (2 * step * volume) == pytest.approx(float((found.stress[0] * strain).sum()), rel=1e-6)


def test_diamond_is_the_published_one() -> None:
    """−2 ε an atom with every weight, at rest where the lattice constant is 5.431 Å; the ideal angle costs nothing."""
    for weight in (1.0, 2.0):
        potential = named("sw", options={"three_body": weight})
        found = potential.evaluate(Systems.of([ase.build.bulk("Si", "diamond", a=5.43095)]), stress=True)
        assert float(found.energy[0]) / 2 == pytest.approx(-4.336, abs=5e-4)
        assert found.stress is not None
        assert float(found.stress.abs().max()) < 1e-4


def test_numbers_of_another_program() -> None:
    """The same liquid by matscipy 1.3.1 (Manybody, Stillinger_Weber_PRB_31_5262_Si), whose ε is 2.1683 eV."""
    energy, ratio = -9.879168582151182, 2.1682 / 2.1683
    force = np.array([3.411825697522148, 2.0270155989851757, 11.54189458026771])
    normal = [-0.4111365065879296, -0.4353678493510356, -0.44279615126983485]
    shear = [-0.01711885680019424, 0.11660940524473887, -0.061599464094552345]
    stress = np.array([*normal, *shear])
    found = named("sw").evaluate(Systems.of([liquid()]), stress=True)
    assert found.stress is not None
    assert float(found.energy[0]) == pytest.approx(energy * ratio, abs=1e-9)
    assert found.forces[4].tolist() == pytest.approx(force * ratio, abs=1e-9)
    assert found.stress[0].flatten()[[0, 4, 8, 5, 2, 1]].tolist() == pytest.approx(stress * ratio, abs=1e-9)


def test_energy_and_forces_fade_at_the_cutoff() -> None:
    """All derivatives are zero at a σ, where a pair comes and goes."""
    reach = 1.80 * 2.0951
    potential = named("sw")
    for distance in (np.nextafter(reach, 0.0), reach - 1e-4, reach, reach + 0.1):
        pair = ase.Atoms("Si2", [(0, 0, 0), (0, 0, distance)], cell=[20, 20, 20], pbc=True)
        found = potential.evaluate(Systems.of([pair]))
        assert float(found.energy[0]) == 0.0
        assert not found.forces.any()


def test_two_elements_in_one_structure_are_refused() -> None:
    mixed = ase.build.bulk("Si", cubic=True)
    mixed.symbols[3] = "Ge"
    with pytest.raises(InputError, match="structure 1: sw has no parameters for Ge and Si together"):
        named("sw").evaluate(Systems.of([ase.build.bulk("Ge"), mixed]))
