"""Springs whose cells relax: derivatives, known minima, the minimum that another minimiser finds, ways of learning."""

from __future__ import annotations

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from crystal_dogss.cell_springs import CellSprings, movable, strained, with_cells
from crystal_dogss.descent import descend
from crystal_dogss.options import DescentOptions
from crystal_dogss.springs import Springs
from scipy.optimize import minimize
from torch import Tensor

from crystalcli.nouns.graph import CrystalGraph, collate, edge_lengths
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.systems import from_voigt, to_voigt
from crystalcli.testing import crystals

TIGHT = DescentOptions(max_steps=20_000, tolerance=1e-12)


def springs_of(graph: CrystalGraph, form: str = "harmonic", seed: int = 0) -> Springs:
    """Unlike springs on the edges of crystals, up to 5 % off their lengths."""
    rng = torch.Generator().manual_seed(seed)
    lengths = edge_lengths(graph).double()
    stiffness = 0.2 + torch.rand(len(lengths), generator=rng, dtype=torch.float64)
    rest = lengths * (0.95 + 0.1 * torch.rand(len(lengths), generator=rng, dtype=torch.float64))
    return Springs.of(graph, stiffness, rest, form)


def batch() -> CrystalGraph:
    return collate([build_graph(crystals.rattled(k), cutoff=4.0) for k in range(2)], torch.float64)


def extended(form: str = "harmonic") -> tuple[CellSprings, Tensor, Tensor]:
    graph = batch()
    free = torch.ones(graph.n_atoms, 1, dtype=torch.float64)
    return with_cells(springs_of(graph, form), graph.positions.double(), free, graph)


@pytest.mark.parametrize("form", ["harmonic", "morse", "lennard-jones"])
def test_derivatives(form: str) -> None:
    springs, x, _ = extended(form)
    rng = torch.Generator().manual_seed(3)
    x = (x + 0.2 * torch.randn(x.shape, generator=rng, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(springs.energy(x).sum(), x, create_graph=True)
    torch.testing.assert_close(springs.gradient(x), gradient, rtol=1e-11, atol=1e-11)
    w = torch.randn(x.shape, dtype=torch.float64, generator=rng)
    (second,) = torch.autograd.grad((gradient * w).sum(), x)
    torch.testing.assert_close(springs.second(x.detach(), w), second, rtol=1e-9, atol=1e-9)


def test_the_bound_of_the_curvature_holds() -> None:
    springs, x, _ = extended()
    columns = [springs.second(x, e.view_as(x)) for e in torch.eye(x.numel(), dtype=torch.float64)]
    hessian = torch.stack([c.flatten() for c in columns])
    most = torch.linalg.eigvalsh(hessian).max()
    assert float(most) < float(springs.stiffest().max()) * 1.1  # strained springs bend a little more than resting ones
    assert float(most) > 0.1 * float(springs.stiffest().max())


def test_longer_springs_blow_a_cubic_crystal_up_by_as_much() -> None:
    atoms = ase.Atoms("Po", cell=[3.0, 3.0, 3.0], pbc=True)
    graph = collate([build_graph(atoms, cutoff=3.2)], torch.float64)
    lengths = edge_lengths(graph).double()
    springs = Springs.of(graph, torch.ones_like(lengths), 1.07 * lengths, "harmonic")
    extended, x, free = with_cells(springs, graph.positions.double(), torch.ones(1, 1).double(), graph)
    found = descend(extended, x, free, TIGHT)
    assert found.converged.all()
    torch.testing.assert_close(extended.strain(found.positions)[0], 0.07 * torch.eye(3).double(), rtol=0, atol=1e-9)


def test_the_minimum_is_that_of_positions_and_cell() -> None:
    """Against scipy over Cartesian positions and the nine numbers of the cell, where no frame and no ℓ is known."""
    atoms = crystals.rattled(4)
    graph = collate([build_graph(atoms, cutoff=3.6)], torch.float64)
    springs = springs_of(graph)
    extended, x, free = with_cells(springs, graph.positions, torch.ones(graph.n_atoms, 1).double(), graph)
    found = descend(extended, x, free, TIGHT)
    assert found.converged.all()
    n = graph.n_atoms

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        state = torch.tensor(flat, requires_grad=True)
        moved = replace(graph, positions=state[: 3 * n].view(n, 3), cell=state[3 * n :].view(1, 3, 3))
        value = Springs.of(moved, springs.stiffness, springs.rest, "harmonic").energy(moved.positions).sum()
        (slope,) = torch.autograd.grad(value, state)
        return float(value.detach()), slope.numpy()

    start = np.concatenate([atoms.positions.ravel(), atoms.cell.array.ravel()])
    other = minimize(energy, start, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000})
    cell = other.x[3 * n :].reshape(3, 3)
    mine = graph.cell[0].numpy() @ (np.eye(3) + extended.strain(found.positions)[0].numpy())
    np.testing.assert_allclose(mine @ mine.T, cell @ cell.T, rtol=1e-6, atol=1e-6)  # up to a rotation
    assert float(extended.energy(found.positions)[0]) == pytest.approx(other.fun, rel=1e-9)
    places = extended.places(found.positions).numpy() @ np.linalg.inv(mine)
    theirs = other.x[: 3 * n].reshape(n, 3) @ np.linalg.inv(cell)
    np.testing.assert_allclose(places - places[0], theirs - theirs[0], atol=1e-6)


@pytest.mark.parametrize("gradient", ["unrolled", "truncated"])
def test_ways_of_learning_agree_with_the_implicit_one(gradient: str) -> None:
    slopes = []
    for way in (gradient, "implicit"):
        springs, x, free = extended()
        rest = springs.rest.clone().requires_grad_()
        stiffness = springs.stiffness.clone().requires_grad_()
        options = replace(TIGHT, gradient=way, last=400, max_steps=3000, step=0.02, tolerance=1e-11)
        found = descend(replace(springs, rest=rest, stiffness=stiffness), x, free, options)
        strain = to_voigt(springs.strain(found.positions))
        places = found.positions[: springs.n_atoms]
        mean = places.mean(0)  # springs know no place
        wanted = (strain * torch.arange(6)).sum() + ((places - mean) * torch.tensor([1.0, -0.5, 0.2])).square().sum()
        slopes.append(torch.autograd.grad(wanted, (rest, stiffness)))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * float(other.abs().max()))


def test_cells_of_slabs_and_of_held_atoms_stay() -> None:
    slab = crystals.rattled(1)
    slab.pbc = (True, True, False)
    graph = collate([build_graph(a, cutoff=4.0) for a in (slab, crystals.rattled(2), crystals.rattled(3))])
    free = torch.ones(graph.n_atoms, 1).double()
    free[-1] = 0.0
    assert movable(graph, free).flatten().tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]


def test_strained_lengths_and_six_numbers() -> None:
    springs, x, _ = extended()
    rng = torch.Generator().manual_seed(5)
    six = 0.1 * torch.randn(2, 6, generator=rng, dtype=torch.float64)
    torch.testing.assert_close(to_voigt(from_voigt(six)), six)
    y = (from_voigt(six) * springs.length[:, None, None]).view(-1, 3)
    state = torch.cat([x[: springs.n_atoms], y])
    plain = replace(springs, structure=springs.structure[: springs.n_atoms])
    torch.testing.assert_close(strained(plain, x[: springs.n_atoms], six), springs.lengths(state))
