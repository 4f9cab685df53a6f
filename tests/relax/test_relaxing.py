"""Batches on their way down: minima as ASE finds them, a stopping rule for each, guards that stop one alone."""

import json
from functools import lru_cache

import ase.build
import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.potential.potentials import named
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.structures.constraints import projections, without_constraints
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.systems import Systems
from crystalcli.relax.cell_coordinates import CellCoordinates
from crystalcli.relax.outcome import outcomes
from crystalcli.relax.relaxing import Goal, RelaxationBatch, Relaxed
from crystalcli.vocabulary.errors import InputError, PluginFault

RELAXERS = ("fire", "bfgs", "lbfgs")


def shaken(symbol: str, a: float, seed: int, size: int = 1, strain: float = 0.0) -> ase.Atoms:
    rng = np.random.default_rng(seed)
    atoms = ase.build.bulk(symbol, "fcc", a=a, cubic=True).repeat((size, 1, 1))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, strain, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.12, (len(atoms), 3))
    return atoms


def relax(structures: list[ase.Atoms], goal: Goal, potential="emt", relaxer: str = "fire", **options) -> Relaxed:
    part = registry().get("relaxer", relaxer)
    module = part.build(opt.make(part.options, options, owner=relaxer))
    allowed = torch.as_tensor(np.concatenate([projections(a) for a in structures]))
    systems = Systems.of([without_constraints(a) for a in structures])
    coords = CellCoordinates.of(systems, allowed, goal.cell, goal.pressure)
    return RelaxationBatch(coords, named(potential) if isinstance(potential, str) else potential, module, goal).run()


def unlike() -> list[ase.Atoms]:
    """Three structures; the first has a vacancy, so that no symmetry holds the others in place."""
    made = [shaken("Cu", 3.6, 0, 2, 0.02), shaken("Al", 4.1, 1, 1, 0.02), shaken("Cu", 3.7, 2, 1, 0.02)]
    del made[0][3]
    return made


@lru_cache
def found_by_ase(cell: str) -> list[tuple[float, float]]:
    """Energies and volumes of the minima that ASE's FIRE finds."""
    minima = []
    for atoms in unlike():
        atoms.calc = EMT()
        FIRE(FrechetCellFilter(atoms) if cell == "full" else atoms, logfile=None).run(fmax=1e-3, steps=1000)
        minima.append((atoms.get_potential_energy(), atoms.get_volume()))
    return minima


@pytest.mark.parametrize("relaxer", RELAXERS)
@pytest.mark.parametrize("cell", ["none", "full"])
def test_the_same_minima_as_ase(relaxer: str, cell: str) -> None:
    found = relax(unlike(), Goal(fmax=2e-3, smax=5e-3, cell=cell), relaxer=relaxer)
    assert found.reasons == ["converged"] * 3
    assert float(found.end.fmax.max()) < 2e-3
    for k, (energy, volume) in enumerate(found_by_ase(cell)):
        assert float(found.end.energy[k]) == pytest.approx(energy, abs=2e-5)
        assert abs(np.linalg.det(found.systems.cell[k])) == pytest.approx(volume, rel=2e-4)


def test_pressure_and_isotropic_cells() -> None:
    start = [shaken("Cu", 3.6, 5, 1, 0.0)]
    volumes = []
    for pressure in (0.0, 20.0):
        found = relax(start, Goal(cell="isotropic", pressure=pressure, smax=1e-3, fmax=1e-3))
        assert found.reasons == ["converged"]
        ratio = found.systems.cell[0] / (start[0].cell.array[0, 0])
        np.testing.assert_allclose(ratio, np.eye(3) * float(ratio[0, 0]), atol=1e-14)
        mean = float(found.end.stress[0].trace()) / 3
        assert mean == pytest.approx(-pressure / 160.21766208, abs=1e-5)
        volumes.append(float(ratio[0, 0]) ** 3)
    assert volumes[1] < 0.93 * volumes[0]


@pytest.mark.parametrize("cell", ["none", "full"])
@pytest.mark.parametrize("relaxer", RELAXERS)
def test_held_atoms_stay(relaxer: str, cell: str) -> None:
    atoms = shaken("Cu", 3.6, 7, 2)
    atoms.set_constraint([FixAtoms([0, 5]), FixCartesian(2, (1, 0, 0))])
    found = relax([atoms], Goal(cell=cell), relaxer=relaxer)
    assert found.reasons == ["converged"]
    rows = found.end.rows.numpy()
    np.testing.assert_array_equal(rows[[0, 5]], atoms.positions[[0, 5]])
    assert rows[2, 0] == atoms.positions[2, 0]
    assert (rows[2, 1:] != atoms.positions[2, 1:]).all()
    scaled = without_constraints(found.systems.to_atoms()[0]).get_scaled_positions(wrap=False)
    expected = without_constraints(atoms).get_scaled_positions(wrap=False)
    np.testing.assert_allclose(scaled[[0, 5]], expected[[0, 5]], atol=1e-12)


def test_every_structure_has_its_own_rule() -> None:
    """In a batch and alone: the same steps, the same bits; one that is done does not move on."""
    structures = [shaken("Cu", 3.6, 0), shaken("Al", 4.05, 1, 2), ase.build.bulk("Ni", a=3.49, cubic=True)]
    together = relax(structures, Goal(cell="full", smax=0.5))
    assert len(set(together.steps)) == 3
    for k, atoms in enumerate(structures):
        alone = relax([atoms], Goal(cell="full", smax=0.5))
        assert alone.steps == [together.steps[k]]
        mine = together.coords.index == k
        assert torch.equal(alone.end.rows, together.end.rows[mine])
        assert torch.equal(alone.end.energy[0], together.end.energy[k])


class Odd:
    """EMT, but wrong for one structure from its n-th evaluation on."""

    name, provides, device = "odd", frozenset({"energy", "forces", "stress"}), torch.device("cpu")

    def __init__(self, what: str, atoms: int = 3, after: int = 4) -> None:
        self.what, self.atoms, self.after, self.seen, self.inner = what, atoms, after, 0, named("emt")

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        found = self.inner.evaluate(systems, stress=stress)
        mine = (systems.atom_counts == self.atoms).nonzero().flatten()
        self.seen += int(len(mine) > 0)
        if not len(mine) or self.seen <= self.after:
            return found
        if self.what == "refuse":
            raise InputError(f"structure {int(mine[0])}: has had enough", code="enough")
        if self.what == "plugin":
            raise PluginFault("head 'theirs' of plugin strangers gives nothing", code="plugin")
        if self.what == "nan":
            found.energy[mine] = torch.nan
        if self.what == "nan forces":
            found.forces[systems.structure_index == mine[0]] = torch.nan
        if self.what == "huge":
            found.forces[systems.structure_index == mine[0]] *= 1e9
        if self.what == "collapse":
            found.stress[mine] = 5.0 * torch.eye(3, dtype=torch.float64)
        if self.what == "fold":
            shear = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
            found.stress[mine] = -5.0 * shear
        if self.what == "attract":
            rows = (systems.structure_index == mine[0]).nonzero().flatten()
            apart = systems.positions[rows[1]] - systems.positions[rows[0]]
            found.forces[rows] = 0.0
            found.forces[rows[0]], found.forces[rows[1]] = 3 * apart, -3 * apart
        return found


FAULTS = {
    "refuse": ("enough", "has had enough"),
    "nan": ("not-finite", "not a number"),
    "nan forces": ("not-finite", "not a number"),
    "huge": ("force", "eV/Å at Cu"),
    "collapse": ("volume", "times what it was"),
    "fold": ("angle", "two vectors are"),
    "attract": ("overlap", "Å apart"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_guards_stop_one_and_leave_the_others_alone(what: str) -> None:
    bad = shaken("Cu", 3.6, 3)
    del bad[0]
    others = [shaken("Cu", 3.6, 0), shaken("Al", 4.05, 1, 2)]
    goal = Goal(cell="full" if what in ("collapse", "fold") else "none", fmax=1e-3)
    found = relax([others[0], bad, others[1]], goal, Odd(what))
    code, words = FAULTS[what]
    assert found.reasons == ["converged", code, "converged"]
    assert words in found.messages[1]
    assert found.steps[1] >= 3
    assert torch.isfinite(found.end.rows).all()
    assert torch.isfinite(found.end.energy).all()
    assert float(found.end.forces.norm(dim=1).max()) < 100
    without = relax(others, goal)
    kept = found.coords.index != 1
    assert torch.equal(found.end.rows[kept], without.end.rows)
    assert torch.equal(found.end.energy[[0, 2]], without.end.energy)


def test_what_a_plugin_does_wrong_is_no_structures_fault() -> None:
    bad = shaken("Cu", 3.6, 3)
    del bad[0]
    with pytest.raises(PluginFault, match="of plugin strangers"):
        relax([shaken("Cu", 3.6, 0), bad], Goal(fmax=1e-3), Odd("plugin"))


@pytest.mark.parametrize("what", ["nan", "nan forces"])
def test_what_is_no_number_from_the_start_costs_its_own_structure(what: str) -> None:
    structures = [shaken("Cu", 3.6, 0), shaken("Cu", 3.6, 3)]
    del structures[1][0]
    found = relax(structures, Goal(), Odd(what, after=0))
    entries = [Entry(f"s{k}", atoms, "a.xyz") for k, atoms in enumerate(structures)]
    good, bad = outcomes(entries, found, 0.01)
    assert (good.reason, bad.reason, bad.geometry) == ("converged", "not-finite", None)
    assert "NaN" not in json.dumps([good.to_json(), bad.to_json()])


def test_a_bad_start_is_never_converged() -> None:
    near = ase.Atoms("Cu2", [[0, 0, 0], [0, 0, 0.4]], cell=np.eye(3) * 8, pbc=True)
    found = relax([near, shaken("Cu", 3.6, 0)], Goal())
    assert found.reasons == ["overlap", "converged"]
    assert found.messages[0] == "Cu 0 and Cu 1 are 0.4 Å apart"
    pushed = ase.Atoms("Ar2", [[0, 0, 0], [0, 0, 0.9]])
    found = relax([pushed], Goal(), "lj")
    assert found.reasons == ["force"]
    assert "eV/Å at Ar" in found.messages[0]
    assert found.steps == [0]


def test_steps_and_single_points() -> None:
    atoms = shaken("Cu", 3.6, 0)
    point = relax([atoms, ase.build.bulk("Cu", a=3.6)], Goal(steps=0))
    assert point.reasons == ["single-point", "converged"]
    np.testing.assert_array_equal(point.end.rows[:4], atoms.positions)
    assert point.end.stress is not None
    few = relax([atoms], Goal(steps=3))
    assert (few.reasons, few.steps) == (["steps"], [3])
    assert float(few.end.energy[0]) < float(point.end.energy[0])
    never = relax([ase.build.bulk("Cu", a=3.6)], Goal(fmax=0.0, steps=4))
    assert (never.reasons, never.steps) == (["steps"], [4])
    still = relax([ase.Atoms("Cu", cell=np.eye(3) * 9, pbc=True)], Goal())
    assert (still.reasons, still.steps) == (["converged"], [0])


def test_time_is_shared_by_atoms() -> None:
    found = relax([shaken("Cu", 3.6, 0, 6), shaken("Cu", 3.6, 1)], Goal(fmax=0.0, seconds=0.2, steps=100_000))
    assert found.reasons[0] == "time"
    assert found.steps[1] > found.steps[0]


def test_molecules_without_a_cell() -> None:
    pair = ase.Atoms("Cu2", [[0, 0, 0], [0, 0, 2.6]])
    found = relax([pair], Goal(fmax=1e-4), relaxer="bfgs")
    assert found.reasons == ["converged"]
    assert found.end.stress is None or not torch.isfinite(found.end.stress).any()


def test_atoms_held_along_lattice_vectors_converge_while_the_cell_changes() -> None:
    """Their directions turn with the cell; judged along those of the beginning, forces would never vanish."""
    atoms = shaken("Cu", 3.6, 4, 1, 0.0)
    atoms.set_cell(atoms.cell.array @ np.array([[1.0, 0, 0], [0.12, 1.02, 0], [0.06, -0.08, 0.97]]), scale_atoms=True)
    atoms.set_constraint(
        [FixScaled(1, (False, True, True), atoms.cell), FixScaled(2, (True, False, False), atoms.cell)]
    )
    found = relax([atoms], Goal(fmax=5e-3, smax=1e-2, cell="full", pressure=20.0, steps=500))
    assert found.reasons == ["converged"]
    assert not np.allclose(found.systems.cell[0], atoms.cell.array, atol=0.05)
