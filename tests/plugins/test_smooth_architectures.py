"""``lcgcn-ff``, ``pair-moments``, ``nequip`` as potentials: contracts, derivatives, symmetry, cutoff; in float64."""

from typing import ClassVar

import ase
import numpy as np
import pytest
import torch
from crystal_cgcnn import LCGCN_FF, force_field
from crystal_pair_moments import PAIR_MOMENTS
from reference.some_potentials import CUTOFF, graph_of

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.testing import ArchitectureContract, crystals
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

ELEMENTS = (1, 2, 8, 11, 13, 17, 18, 22, 29, 38)
TARGETS = (
    Quantity("energy", "eV", extensive=True),
    Quantity("forces", "eV/Å", "site", shape=(3,)),
    Quantity("stress", "eV/Å³", shape=(6,)),
)


SMALL = {
    "lcgcn-ff": {"width": 8},
    "pair-moments": {"width": 8, "pair_channels": 5},
    "nequip": {"channels": "6-4-3", "radial_width": 8},
}
all_of_them = pytest.mark.parametrize("kind", SMALL)


class TestConvolutions(ArchitectureContract):
    part = LCGCN_FF
    options: ClassVar = {"n_conv": 2, "width": 8}
    statistics = Statistics(30.0, ELEMENTS)


class TestPairsAndMoments(ArchitectureContract):
    part = PAIR_MOMENTS
    options: ClassVar = {"width": 8, "pair_channels": 5}
    statistics = Statistics(30.0, ELEMENTS)


class TestPairsAlone(ArchitectureContract):
    part = PAIR_MOMENTS
    options: ClassVar = {"width": 4, "pair_channels": 3, "pair_intervals": 12, "moment_channels": 0}
    statistics = Statistics(30.0, ELEMENTS)


def model_of(kind: str, featurizer: str = "radius", elements: tuple[int, ...] = ELEMENTS) -> CrystalModel:
    """A model that has seen a batch in training, so that the means of pair channels are set."""
    torch.manual_seed(3)
    spec = ModelSpec(
        PartChoice(featurizer, {"cutoff": CUTOFF}),
        PartChoice(featurizer),
        PartChoice(kind, SMALL[kind]),
        PartChoice("energy"),
        TARGETS,
        Statistics(40.0, elements, {"energy": 0.1}, {"energy": 0.2, "forces": 0.7}, (), tuple(map(float, elements))),
    )
    model = CrystalModel(spec).double()
    model.train()(graph_of(*crystals.all_crystals()))
    return model.eval()


def energy(model: CrystalModel, atoms: ase.Atoms) -> float:
    return float(model(graph_of(atoms))["energy"].value[0])


@all_of_them
def test_forces_and_stress_are_derivatives(kind: str) -> None:
    model, atoms = model_of(kind), crystals.rattled(0)
    found = model(graph_of(atoms))
    forces, stress = found["forces"].value.numpy(), found["stress"].value.numpy()[0]
    assert abs(forces).max() > 1e-2
    assert np.abs(forces.sum(0)).max() < 1e-10
    h = 1e-5  # the splines are fine, and untrained weights are not small
    for i in range(len(atoms)):
        for axis in range(3):
            values = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[i, axis] += sign * h
                values.append(energy(model, moved))
            assert abs(forces[i, axis] + (values[0] - values[1]) / (2 * h)) < 1e-6
    for k, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        values = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h / 2
            strain[b, a] += sign * h / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            values.append(energy(model, strained))
        assert abs(stress[k] - (values[0] - values[1]) / (2 * h * atoms.get_volume())) < 1e-7


@all_of_them
def test_symmetries(kind: str) -> None:
    model, atoms = model_of(kind), crystals.rattled(1)
    expected, n = energy(model, atoms), len(atoms)
    mirrored = atoms.copy()
    mirrored.set_cell(atoms.cell.array * [1, 1, -1], scale_atoms=False)
    mirrored.positions = atoms.positions * [1, 1, -1]
    permuted = crystals.permuted(atoms)[0]
    for other in (mirrored, permuted, crystals.rotated(atoms), crystals.translated(atoms), crystals.rewrapped(atoms)):
        assert abs(energy(model, other) - expected) / n < 1e-9
    for repeat in ((2, 1, 1), (2, 2, 2)):
        assert abs(energy(model, atoms * repeat) / np.prod(repeat) - expected) / n < 1e-9


@all_of_them
def test_an_atom_that_crosses_the_cutoff_makes_no_jump(kind: str) -> None:
    model, step = model_of(kind), 1e-4
    far = ase.Atoms("OTiO", [[0, 0, 0], [1.8, 0, 0], [1.8 + CUTOFF + 3 * step, 0, 0]])
    energies, forces = [], []
    for _ in range(7):
        found = model(graph_of(far))
        energies.append(float(found["energy"].value[0]))
        forces.append(found["forces"].value.numpy())
        far.positions[2, 0] -= step
    assert np.abs(np.diff(energies)).max() < 1e-9
    assert np.abs(np.diff(forces, axis=0)).max() < 1e-5


@all_of_them
def test_isolated_atoms_and_far_clusters_add(kind: str) -> None:
    model = model_of(kind)
    one, other = ase.Atoms("OTi", [[0, 0, 0], [1.9, 0.3, 0]]), ase.Atoms("TiO2", [[0, 0, 0], [1.8, 0, 0], [0, 2.0, 0]])
    other.positions += [20.0, 3.0, 0.0]
    assert abs(energy(model, one + other) - energy(model, one) - energy(model, other)) < 1e-9
    alone, twice = ase.Atoms("O", [[0, 0, 0]]), ase.Atoms("O2", [[0, 0, 0], [CUTOFF + 0.1, 0, 0]])
    assert abs(energy(model, twice) - 2 * energy(model, alone)) < 1e-10
    assert abs(model(graph_of(twice))["forces"].value).max() == 0.0


@all_of_them
def test_elements_it_never_saw_have_finite_energies(kind: str) -> None:
    atoms = crystals.rattled(0)
    model = model_of(kind, elements=(8, 22))
    assert np.isfinite(energy(model, atoms))
    assert torch.isfinite(model(graph_of(atoms))["forces"].value).all()


@all_of_them
def test_nearest_neighbors_are_refused(kind: str) -> None:
    with pytest.raises(UsageError, match="smooth-cutoff"):
        model_of(kind, "cgcnn")


@all_of_them
def test_training_on_forces_reaches_every_weight(kind: str) -> None:
    model = model_of(kind).train()
    found = model(graph_of(crystals.rattled(0), crystals.slab()))
    found["forces"].value.square().sum().backward()
    for name, parameter in model.named_parameters():
        if name.endswith(("layers.2.bias", "linear.bias")):  # a constant energy has no force
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_form_of_the_paper_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken on other devices than the CPU: energies, forces and the gradients of a loss on forces."""
    model, graph = model_of("lcgcn-ff").train(), graph_of(crystals.rattled(0), crystals.slab())
    found = []
    for _ in range(2):
        model.zero_grad()
        said = model(graph)
        said["forces"].value.square().sum().backward()
        grads = [p.grad for n, p in sorted(model.named_parameters()) if n.startswith("architecture.messages")]
        found.append([said["energy"].value.detach(), said["forces"].value.detach(), *grads])
        monkeypatch.setattr(force_field, "plan_of_edges", lambda _graph: None)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
