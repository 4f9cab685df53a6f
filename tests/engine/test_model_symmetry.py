"""Whole models against nature: symmetries, cells, sizes, gradients. Graphs with all neighbors in a radius, float64."""

from dataclasses import replace

import ase
import ase.build
import ase.spacegroup
import numpy as np
import pytest
import torch

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.compare import check_gradient, same
from crystalcli.vocabulary.quantities import Quantity

CUTOFF = 5.0
POOLS = ("average", "max", "fcmax", "smoothmax", "sum")
PERFECT = 1e-10


def model_of(pool: str, architecture: str = "cgcnn", featurizer: str = "radius") -> CrystalModel:
    """A model whose running statistics have seen a batch, so that nothing is at its trivial start."""
    torch.manual_seed(1)
    spec = ModelSpec(
        PartChoice(featurizer, {"cutoff": CUTOFF}),
        PartChoice(featurizer),
        PartChoice(architecture, {"n_conv": 2, "width": 16, "message_scale": "neighbors"}),
        PartChoice("crystal", {"pool": pool, "pool_norm": "batch" if architecture == "lcgcn" else "none"}),
        (Quantity("energy", "eV", extensive=pool == "sum"),),
        Statistics(40.0, (), {"energy": -3.0}, {"energy": 0.7}),
    )
    model = CrystalModel(spec).double()
    with torch.no_grad():
        model.train()(graph_of(*crystals.all_crystals()))
    return model.eval()


def graph_of(*atoms: ase.Atoms):
    return collate([build_graph(a, cutoff=CUTOFF) for a in atoms], torch.float64)


def value(model: CrystalModel, *atoms: ase.Atoms) -> torch.Tensor:
    with torch.no_grad():
        return model(graph_of(*atoms))["energy"].value


def corundum() -> ase.Atoms:
    """Al2O3, R-3c, the hexagonal cell of 30 atoms."""
    return ase.spacegroup.crystal(
        ["Al", "O"],
        [(0, 0, 0.35228), (0.30641, 0, 0.25)],
        spacegroup=167,
        cellpar=[4.759, 4.759, 12.991, 90, 90, 120],
    )


@pytest.mark.parametrize("architecture", ["cgcnn", "lcgcn"])
@pytest.mark.parametrize("pool", POOLS)
def test_symmetries(pool: str, architecture: str) -> None:
    model, atoms = model_of(pool, architecture), crystals.rattled()
    mirrored = atoms.copy()
    mirrored.set_cell(atoms.cell.array * [1, 1, -1], scale_atoms=False)
    mirrored.positions = atoms.positions * [1, 1, -1]
    versions = [
        crystals.translated(atoms),
        crystals.rewrapped(atoms),
        crystals.rotated(atoms),
        mirrored,
        crystals.permuted(atoms)[0],
    ]
    same(value(model, *versions), value(model, atoms).expand(len(versions)), f"{pool} {architecture}")


@pytest.mark.parametrize("pool", POOLS)
def test_supercells_and_other_cells(pool: str) -> None:
    """2×1×1, 2×2×2; a sheared choice of the same lattice; primitive and conventional cells; one atom and 64."""
    model, atoms = model_of(pool), crystals.rattled()
    sheared = atoms.copy()
    sheared.set_cell(np.array([[1, 0, 0], [1, 1, 0], [-2, 1, 1]]) @ atoms.cell.array, scale_atoms=False)
    cu, cubic = crystals.one_atom(), ase.build.bulk("Cu", "fcc", a=3.6, cubic=True)
    pairs = [
        (atoms, atoms.repeat((2, 1, 1))),
        (atoms, atoms.repeat((2, 2, 2))),
        (atoms, sheared),
        (cu, cubic),
        (cu, cu.repeat((4, 4, 4))),
    ]
    for small, large in pairs:
        factor = len(large) / len(small) if pool == "sum" else 1.0
        same(value(model, large), factor * value(model, small), f"{pool} {len(small)} → {len(large)} atoms")


@pytest.mark.parametrize("featurizer", ["radius", "cgcnn"])
@pytest.mark.parametrize("pool", POOLS)
def test_a_perfect_cell_of_thirty_atoms(pool: str, featurizer: str) -> None:
    """Every pool gives the same per-atom value for corundum and its 2×2×1 supercell."""
    torch.manual_seed(1)
    model = model_of(pool, "lcgcn", featurizer)
    cell = corundum()
    assert len(cell) == 30
    count = {"radius": 0, "cgcnn": 12}[featurizer]
    found = []
    for atoms in (cell, cell.repeat((2, 2, 1))):
        graph = collate([build_graph(atoms, cutoff=CUTOFF, max_neighbors=count, ties="keep")], torch.float64)
        with torch.no_grad():
            found.append(model(graph)["energy"].value / (len(atoms) if pool == "sum" else 1))
    same(found[1], found[0], pool, PERFECT)


@pytest.mark.parametrize("architecture", ["cgcnn", "lcgcn"])
def test_a_batch_is_its_crystals(architecture: str) -> None:
    model, many = model_of("average", architecture), crystals.all_crystals()
    same(value(model, *many), torch.cat([value(model, a) for a in many]), "batch")


def test_forces_are_the_derivative_and_add_to_zero() -> None:
    model, graph = model_of("sum"), graph_of(crystals.rattled(), crystals.slab())

    def energy(positions: torch.Tensor) -> torch.Tensor:
        return model(replace(graph, positions=positions))["energy"].value.sum()

    check_gradient(energy, graph.positions, "energy")
    positions = graph.positions.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(energy(positions), positions)
    same(gradient.sum(0), torch.zeros(3), "sum of forces")


def test_the_cutoff_is_smooth_with_all_neighbors_and_not_with_the_nearest() -> None:
    """One atom crossing the cutoff: no jump with ``radius``; with the nearest few the published model does jump."""
    step = 1e-5
    jumps = {}
    for featurizer in ("radius", "cgcnn"):
        model = model_of("average", "cgcnn", featurizer)
        near, far = (value(model, crystals.pair(CUTOFF + s)) for s in (-step, step))
        jumps[featurizer] = float((near - far).abs())
    assert jumps["radius"] < 1e-9
    assert jumps["cgcnn"] > 1e-5


def test_one_seed_one_training_step() -> None:
    """Two steps with one seed give the same bits."""
    states = []
    for _ in range(2):
        model = model_of("fcmax", "lcgcn", "cgcnn").float().train()
        graph = collate([build_graph(a, cutoff=CUTOFF, max_neighbors=12) for a in crystals.all_crystals()])
        optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
        for _ in range(2):
            optimizer.zero_grad()
            model(graph)["energy"].value.square().sum().backward()
            optimizer.step()
        states.append(model.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
