"""Rows of a minimiser: their forces are the derivatives of the enthalpy, and what is fixed stays."""

import ase.build
import numpy as np
import pytest
import torch
from ase.constraints import FixAtoms, FixBondLength, FixCartesian, FixScaled
from ase.filters import FrechetCellFilter

from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.structures.constraints import projections
from crystalcli.nouns.systems import Systems
from crystalcli.relax.cell_coordinates import CellCoordinates
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.units import GPA

MODES = ("none", "isotropic", "full")


def structures() -> list[ase.Atoms]:
    rng = np.random.default_rng(3)
    made = []
    for a, size in ((3.7, (1, 1, 1)), (3.5, (2, 1, 1)), (3.6, (1, 1, 1))):
        atoms = ase.build.bulk("Cu", "fcc", a=a, cubic=len(made) < 2).repeat(size)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.03, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.1, (len(atoms), 3))
        made.append(atoms)
    made[1].set_cell(made[1].cell.array[[1, 0, 2]], scale_atoms=False)  # left-handed
    return made


def coordinates(atoms: list[ase.Atoms], mode: str, pressure: float) -> CellCoordinates:
    free = [a.copy() for a in atoms]
    for a in free:
        a.set_constraint()
    allowed = torch.as_tensor(np.concatenate([projections(a) for a in atoms]))
    return CellCoordinates.of(Systems.of(free), allowed, mode, pressure)


def deformed(coords: CellCoordinates, seed: int) -> torch.Tensor:
    """Rows away from the start, every cell strained by a few per cent."""
    noise = torch.as_tensor(np.random.default_rng(seed).normal(size=(len(coords.index), 3)))
    return coords.initial() + 0.1 * noise * (~coords.fixed_rows).unsqueeze(1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pressure", [0.0, 30.0])
def test_forces_are_derivatives_of_the_enthalpy(mode: str, pressure: float) -> None:
    atoms = structures()
    atoms[0].set_constraint(FixAtoms([1]))
    potential, coords = named("emt"), coordinates(atoms, mode, pressure)
    rows, step = deformed(coords, 0), 1e-4

    def enthalpy(at: torch.Tensor) -> torch.Tensor:
        systems = coords.systems(at)
        return coords.enthalpy(systems, potential.evaluate(systems))

    systems = coords.systems(rows)
    forces = coords.forces(rows, systems, potential.evaluate(systems, stress=True))
    for seed in range(3):
        direction = torch.as_tensor(np.random.default_rng(10 + seed).normal(size=rows.shape))
        direction[coords.fixed_rows] = 0.0
        expected = (enthalpy(rows - step * direction) - enthalpy(rows + step * direction)) / (2 * step)
        found = torch.zeros(3, dtype=torch.float64).index_add(0, coords.index, (forces * direction).sum(1))
        torch.testing.assert_close(found, expected, atol=3e-6, rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_the_start_is_the_start(mode: str) -> None:
    coords = coordinates(structures(), mode, 0.0)
    systems = coords.systems(coords.initial())
    torch.testing.assert_close(systems.positions, coords.start.positions, atol=1e-14, rtol=0)
    torch.testing.assert_close(systems.cell, coords.start.cell, atol=1e-14, rtol=0)


def test_as_ase_does() -> None:
    """The same forces as FrechetCellFilter, whose cell rows have another scale."""
    atoms = structures()[0]
    coords = coordinates([atoms], "full", 5.0)
    found = named("emt").evaluate(coords.start, stress=True)
    forces = coords.forces(coords.initial(), coords.start, found)
    from ase.calculators.emt import EMT

    atoms.calc = EMT()
    theirs = FrechetCellFilter(atoms, scalar_pressure=5.0 * GPA).get_forces()
    np.testing.assert_allclose(forces[: len(atoms)], theirs[: len(atoms)], atol=1e-12)
    factor = len(atoms) / float(coords.scale[0])
    np.testing.assert_allclose(forces[len(atoms) :], theirs[len(atoms) :] * factor, atol=1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_bits_do_not_depend_on_the_batch(mode: str) -> None:
    atoms, potential = structures(), named("emt")
    together = coordinates(atoms, mode, 1.0)
    rows = deformed(together, 5)
    systems = together.systems(rows)
    forces = together.forces(rows, systems, potential.evaluate(systems, stress=True))
    for k, one in enumerate(atoms):
        alone, mine = coordinates([one], mode, 1.0), together.index == k
        systems = alone.systems(rows[mine])
        found = alone.forces(rows[mine], systems, potential.evaluate(systems, stress=True))
        assert torch.equal(found, forces[mine])


def test_isotropic_keeps_the_shape_and_full_the_orientation() -> None:
    coords = coordinates(structures(), "isotropic", 0.0)
    ratio = coords.systems(deformed(coords, 1)).cell / coords.start.cell
    assert torch.allclose(ratio, ratio[:, :1, :1].expand_as(ratio))
    coords = coordinates(structures(), "full", 0.0)
    f = coords.deformation(deformed(coords, 1))
    assert torch.allclose(f, f.transpose(1, 2), atol=1e-15)
    assert (torch.linalg.eigvalsh(f) > 0).all()


def test_partly_fixed_atoms_follow_what_is_left() -> None:
    atoms = structures()[0]
    atoms.set_constraint([FixAtoms([0]), FixScaled(1, (True, True, False), atoms.cell), FixCartesian(2, (0, 0, 1))])
    allowed = projections(atoms)
    assert not allowed[0].any()
    along_c = allowed[1] @ np.array([0.3, -1.0, 0.7])
    np.testing.assert_allclose(np.cross(along_c, atoms.cell.array[2]), 0.0, atol=1e-12)
    np.testing.assert_allclose(allowed[2], np.diag([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(allowed[3], np.eye(3))
    np.testing.assert_allclose(allowed @ allowed, allowed, atol=1e-14)
    atoms.set_constraint(FixBondLength(0, 1))
    with pytest.raises(InputError, match="FixBondLengths is not known"):
        projections(atoms)


def test_what_partly_held_atoms_feel_is_along_what_they_may_follow() -> None:
    """Against the moves themselves: the rows that an atom may follow span a line or plane of the deformed crystal."""
    atoms = structures()[0]
    atoms.set_constraint([FixAtoms([0]), FixScaled(1, (False, True, True), atoms.cell), FixCartesian(2, (0, 1, 0))])
    coords = coordinates([atoms], "full", 20.0)
    rows = deformed(coords, 3)
    systems = coords.systems(rows)
    found = named("emt").evaluate(systems, stress=True)
    felt = coords.felt(rows, found)
    for k in range(len(atoms)):
        moves = []
        for axis in range(3):
            push = torch.zeros_like(rows)
            push[coords.atom_rows[k]] = coords.allowed[k][:, axis]
            moves.append((coords.systems(rows + push).positions - systems.positions)[k])
        span = torch.stack(moves, 1).numpy()
        along = span @ np.linalg.pinv(span, rcond=1e-9)
        np.testing.assert_allclose(felt[k].numpy(), along @ found.forces[k].numpy(), atol=1e-12)
    assert not felt[0].any()
    torch.testing.assert_close(felt[3], found.forces[3], atol=0, rtol=0)
