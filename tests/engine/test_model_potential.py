"""A model as a potential: skin and batches change nothing, ASE's interface, cutoffs without jumps, drift of energy."""

import pickle

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet
from ase.units import fs
from reference.some_potentials import ALL, model_of

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.model.sigma_fit import SigmaFit
from crystalcli.engine.potential.ase_calculator import CrystalCalculator
from crystalcli.engine.potential.model_potential import ModelPotential
from crystalcli.nouns.systems import Systems
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity


def perovskite(seed: int = 0) -> ase.Atoms:
    return crystals.rattled(seed) * (2, 1, 1)


def walk(potential: ModelPotential, *, cells: bool) -> list[torch.Tensor]:
    """Energies and forces along a random walk that crosses skins and cell borders."""
    rng = np.random.default_rng(3)
    systems = Systems.of([perovskite(0), crystals.rattled(1)])
    found = []
    for _ in range(60):
        positions = systems.positions + torch.as_tensor(rng.normal(0, 0.05, systems.positions.shape))
        cell = systems.cell * (1 + 0.004 * rng.normal()) if cells else systems.cell
        systems = systems.moved(positions=positions, cell=cell)
        evaluated = potential.evaluate(systems, stress=True)
        found += [evaluated.energy, evaluated.forces, evaluated.stress]
    return found


@pytest.mark.parametrize("cells", [False, True])
def test_a_skin_changes_no_bit_and_saves_searches(cells: bool) -> None:
    with_skin = ModelPotential(model_of(), "skin", skin=1.0)
    at_every_step = ModelPotential(model_of(), "fresh", skin=1.0)
    rebuilt = []
    kept = at_every_step.moving.of

    def fresh(systems: Systems):
        at_every_step.moving._list = None
        return kept(systems)

    at_every_step.moving.of = fresh  # type: ignore[method-assign]
    for a, b in zip(walk(with_skin, cells=cells), walk(at_every_step, cells=cells), strict=True):
        rebuilt.append(torch.equal(a, b))
    assert all(rebuilt)
    assert with_skin.moving.builds < 40
    assert at_every_step.moving.builds == 60


def test_without_skin_the_same_to_rounding() -> None:
    one, other = ModelPotential(model_of(), "a"), ModelPotential(model_of(), "b", skin=0.0)
    for a, b in zip(walk(one, cells=True), walk(other, cells=True), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_ase_sees_the_same_numbers_alone_and_together() -> None:
    calculator = CrystalCalculator(ModelPotential(model_of(), "m"))
    several = [perovskite(0), crystals.rattled(1), crystals.rattled(2)]
    together = calculator.evaluate(several, stress=True)
    for atoms, found in zip(several, together, strict=True):
        atoms.calc = calculator
        assert abs(atoms.get_potential_energy() - found["energy"]) < 1e-10
        np.testing.assert_allclose(atoms.get_forces(), found["forces"], atol=1e-11)
        np.testing.assert_allclose(atoms.get_stress(), found["stress"], atol=1e-12)
        assert abs(atoms.get_potential_energies().sum() - found["energy"]) < 1e-9


def test_a_calculator_can_be_pickled_and_answers_with_the_same_bits() -> None:
    calculator = CrystalCalculator(ModelPotential(model_of(), "model"))
    structures = [perovskite(1), crystals.rattled(2)]
    before = calculator.evaluate(structures, stress=True)
    again = pickle.loads(pickle.dumps(calculator)).evaluate(structures, stress=True)
    for a, b in zip(before, again, strict=True):
        assert all(np.array_equal(a[k], b[k]) for k in ("energy", "forces", "stress", "energies"))


def test_single_precision_is_close() -> None:
    exact, single = (ModelPotential(model_of(), "m", dtype=d) for d in (torch.float64, torch.float32))
    systems = Systems.of([perovskite()])
    a, b = exact.evaluate(systems), single.evaluate(systems)
    assert b.energy.dtype == torch.float64
    torch.testing.assert_close(a.energy, b.energy, rtol=0, atol=1e-4)
    torch.testing.assert_close(a.forces, b.forces, rtol=0, atol=1e-3)


def test_an_atom_that_crosses_the_cutoff_makes_no_jump() -> None:
    potential = ModelPotential(model_of(), "m")
    cutoff, h = 4.5, 1e-4
    far = ase.Atoms("OTiO", [[0, 0, 0], [1.8, 0, 0], [1.8 + cutoff + 5 * h, 0, 0]])
    energies, forces = [], []
    for k in range(10):
        far.positions[2, 0] = 1.8 + cutoff + (5 - k) * h
        found = potential.evaluate(Systems.of([far]))
        energies.append(float(found.energy[0]))
        forces.append(found.forces.numpy())
    assert np.abs(np.diff(energies)).max() < 1e-10
    assert np.abs(np.diff(forces, axis=0)).max() < 1e-7


def test_two_distant_clusters_add() -> None:
    potential = ModelPotential(model_of(), "m")
    a, b = ase.Atoms("OTi", [[0, 0, 0], [1.8, 0.3, 0]]), ase.Atoms("O2", [[0, 0, 0], [1.3, 0, 0.2]])
    both = a.copy()
    moved = b.copy()
    moved.translate([50.0, 0, 0])
    both.extend(moved)
    found = potential.evaluate(Systems.of([a, b, both])).energy
    assert abs(float(found[0] + found[1] - found[2])) < 1e-9


def test_strangers_and_flat_cells_are_named() -> None:
    potential = ModelPotential(model_of(), "m")
    with pytest.raises(InputError, match="structure 1: Cu not in the training"):
        potential.evaluate(Systems.of([crystals.rattled(), crystals.one_atom()]))
    with pytest.raises(InputError, match="structure 0: has no volume"):
        potential.evaluate(Systems.of([ase.Atoms("O2", [[0, 0, 0], [1.2, 0, 0]])]), stress=True)


def test_a_model_without_energies_is_no_potential() -> None:
    gap = (Quantity("gap", "eV"),)
    parts = [PartChoice("radius", {"cutoff": 4.0}), PartChoice("radius"), PartChoice("lcgcn"), PartChoice("crystal")]
    with pytest.raises(UsageError, match=r"gives no energy to differentiate; .*: --arch lcgcn-ff or --arch nequip or "):
        ModelPotential(CrystalModel(ModelSpec(*parts, gap, Statistics())), "m")


def test_energy_is_conserved_by_forces_of_a_smooth_graph() -> None:
    """0.2 ps at 1 fs: the total energy fluctuates with dt², so a quarter at half the step."""
    spread = []
    for dt in (2.0, 1.0):
        atoms = perovskite(0)
        atoms.calc = CrystalCalculator(ModelPotential(model_of(), "m"))
        thermalize_momenta(atoms, 300.0, rng=np.random.default_rng(1))
        run = VelocityVerlet(atoms, timestep=dt * fs)
        totals = []
        for _ in range(int(100 / dt)):
            run.run(1)
            totals.append(atoms.get_total_energy())
        spread.append(np.std(totals))
    assert 3.0 < spread[0] / spread[1] < 5.0


def test_energy_is_not_conserved_where_neighbors_are_the_nearest_few() -> None:
    """An atom that becomes the twelfth nearest makes the energy jump; all within a smooth cutoff come and go gently."""
    worst = {}
    for featurizer in ("radius", "cgcnn"):
        atoms = perovskite(0)
        atoms.calc = CrystalCalculator(ModelPotential(model_of(featurizer=featurizer), "m"))
        thermalize_momenta(atoms, 300.0, rng=np.random.default_rng(1))
        run, totals = VelocityVerlet(atoms, timestep=0.5 * fs), []
        for _ in range(150):
            run.run(1)
            totals.append(atoms.get_total_energy())
        worst[featurizer] = np.abs(np.diff(totals)).max()
    assert worst["cgcnn"] > 10 * worst["radius"]


def test_all_is_derived_whatever_the_targets_were() -> None:
    systems = Systems.of([perovskite()])
    only = ModelPotential(model_of(ALL[:1]), "m").evaluate(systems, stress=True)
    every = ModelPotential(model_of(ALL), "m").evaluate(systems, stress=True)
    assert torch.equal(only.forces, every.forces)
    assert only.stress is not None


@pytest.mark.parametrize("fit", [None, SigmaFit("scale", 3.0, {}, 10, 10)])
def test_sigma_of_an_ensemble_is_that_of_a_prediction(fit: SigmaFit | None) -> None:
    """With both its parts, calibrated or not; and Python sees it."""
    members = [model_of(), model_of()]
    for weight in members[1].parameters():
        weight.data *= 1.03
    ensemble = Ensemble(members, {"energy": 0.01}).double().eval()
    ensemble.sigma_fits = {} if fit is None else {"energy": fit}
    structures = [perovskite(1), perovskite(2).repeat((1, 1, 2))]
    predicted = ensemble(ModelPotential(ensemble, "two").moving.of(Systems.of(structures)))["energy"].sigma
    calculator = CrystalCalculator(ModelPotential(ensemble, "two"))
    found = [r["energy_sigma"] for r in calculator.evaluate(structures)]
    np.testing.assert_allclose(found, predicted.numpy(), rtol=1e-9)
    assert all(s > 0.01 * len(a) * (1.0 if fit is None else 3.0) for s, a in zip(found, structures, strict=True))
    structures[0].calc = calculator
    structures[0].get_potential_energy()
    assert calculator.results["energy_sigma"] == pytest.approx(found[0], rel=1e-12)
