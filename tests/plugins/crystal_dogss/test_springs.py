"""Springs: derivatives and ways of learning against finite differences, minima against formulas."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from crystal_dogss.descent import descend, solved
from crystal_dogss.options import DescentOptions
from crystal_dogss.springs import Springs
from torch import Tensor

FORMS = ["harmonic", "morse", "lennard-jones"]
TIGHT = DescentOptions(max_steps=20_000, tolerance=1e-13)


def tangle(form: str = "harmonic", atoms: int = 7, structures: int = 2) -> tuple[Springs, Tensor, Tensor]:
    """Two structures of unlike springs over cell borders: springs, places, and which atoms may move."""
    rng = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=rng)

    places = 4.0 * uniform(structures * atoms, 3)
    ends = [torch.cartesian_prod(torch.arange(atoms), torch.arange(atoms)) + s * atoms for s in range(structures)]
    pairs = torch.cat([e[e[:, 0] != e[:, 1]] for e in ends])
    pairs = pairs[uniform(len(pairs)) < 0.7]
    offsets = 5.0 * (uniform(len(pairs), 3) < 0.15).double()
    stiffness, stretch = 0.2 + uniform(len(pairs)), 0.9 + 0.2 * uniform(len(pairs))
    index = torch.arange(structures).repeat_interleave(atoms)
    springs = Springs(pairs[:, 0], pairs[:, 1], offsets, index, stiffness, stretch, form, structures)
    springs = replace(springs, rest=springs.lengths(places) * stretch)
    free = torch.ones(structures * atoms, 1, dtype=torch.float64)
    free[[0, 3, atoms]] = 0.0
    return springs, places, free


@pytest.mark.parametrize("form", FORMS)
def test_derivatives(form: str) -> None:
    springs, x, _ = tangle(form)
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad(springs.energy(x).sum(), x, create_graph=True)
    torch.testing.assert_close(springs.gradient(x), gradient, rtol=1e-12, atol=1e-12)
    w = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (second,) = torch.autograd.grad((gradient * w).sum(), x)
    torch.testing.assert_close(springs.second(x.detach(), w), second, rtol=1e-10, atol=1e-10)
    e = 1e-5
    numeric = torch.zeros_like(x)
    with torch.no_grad():
        for k in range(x.numel()):
            d = torch.zeros_like(x).view(-1).index_fill(0, torch.tensor([k]), e).view_as(x)
            numeric.view(-1)[k] = (springs.energy(x + d) - springs.energy(x - d)).sum() / (2 * e)
    torch.testing.assert_close(springs.gradient(x.detach()), numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_the_minimum_of_every_form_is_at_its_length_with_the_same_curvature(form: str) -> None:
    springs, _, _ = tangle(form)
    assert springs.slope(springs.rest).abs().max() < 1e-12
    wanted = 2 * springs.stiffness if form != "lennard-jones" else 72 * springs.stiffness / springs.rest**2
    torch.testing.assert_close(springs.curvature(springs.rest), wanted, rtol=1e-10, atol=0.0)


def chain(lengths: list[float], rests: list[float], stiffnesses: list[float]) -> tuple[Springs, Tensor]:
    """Atoms in a row, springs between those beside each other, in one direction only."""
    n = len(lengths)
    x = torch.zeros(n + 1, 3, dtype=torch.float64)
    x[1:, 0] = torch.tensor(lengths, dtype=torch.float64).cumsum(0)
    row = torch.arange(n)
    numbers = [torch.tensor(v, dtype=torch.float64) for v in (stiffnesses, rests)]
    return Springs(row, row + 1, torch.zeros(n, 3).double(), torch.zeros(n + 1).long(), *numbers, "harmonic", 1), x


def test_one_spring_reaches_its_length() -> None:
    springs, x = chain([2.7], [2.31], [0.4])
    free = torch.tensor([[0.0], [1.0]]).double()
    found = descend(springs, x, free, DescentOptions(step=0.3, max_steps=2000, tolerance=1e-6))
    assert found.converged.all()
    assert float(springs.lengths(found.positions)) == pytest.approx(2.31, abs=1e-3)
    assert torch.equal(found.positions[0], x[0])


def test_a_chain_between_held_ends_shares_the_strain_by_stiffness() -> None:
    k1, k2, r1, r2, whole = 0.3, 0.8, 2.0, 2.6, 5.4
    springs, x = chain([2.5, whole - 2.5], [r1, r2], [k1, k2])
    found = descend(springs, x, torch.tensor([[0.0], [1.0], [0.0]]).double(), TIGHT)
    middle = (k1 * r1 + k2 * (whole - r2)) / (k1 + k2)  # k1 (y - r1) = k2 (whole - y - r2)
    assert float(found.positions[1, 0]) == pytest.approx(middle, abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_energy_falls_and_held_atoms_stay_exactly(form: str) -> None:
    springs, x, free = tangle(form)
    energies = [
        springs.energy(descend(springs, x, free, DescentOptions(max_steps=n, tolerance=1e-12)).positions)
        for n in (1, 5, 20, 80, 300)
    ]
    for before, after in pairwise(energies):
        assert (after <= before + 1e-9).all()
    found = descend(springs, x, free, DescentOptions())
    held = free[:, 0] == 0
    assert torch.equal(found.positions[held], x[held])
    assert (found.positions[~held] != x[~held]).any(1).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [0.0, 0.3, 50.0])
def test_no_stiffness_makes_it_explode(step: float, form: str) -> None:
    """A step that is too long for a structure is shortened for that one alone."""
    springs, x, free = tangle(form)
    stiff = replace(springs, stiffness=torch.where(springs.centre < 7, 1e4 * springs.stiffness, springs.stiffness))
    found = descend(stiff, x, free, DescentOptions(step=step, max_steps=400, tolerance=1e-9))
    assert (stiff.energy(found.positions) <= stiff.energy(x)).all()
    alone = descend(springs, x, free, DescentOptions(step=step, max_steps=400, tolerance=1e-9))
    assert torch.equal(found.positions[7:], alone.positions[7:])


def test_the_same_alone_and_in_a_batch() -> None:
    springs, x, free = tangle(atoms=6, structures=3)
    options = DescentOptions(max_steps=100, tolerance=1e-3)
    together = descend(springs, x, free, options)
    assert len(set(together.steps.tolist())) > 1  # each stops by itself
    for s in range(3):
        mine, atoms = springs.centre // 6 == s, slice(6 * s, 6 * s + 6)
        one = Springs(
            springs.centre[mine] - 6 * s,
            springs.neighbor[mine] - 6 * s,
            springs.offsets[mine],
            springs.structure[atoms] - s,
            springs.stiffness[mine],
            springs.rest[mine],
            "harmonic",
            1,
        )
        found = descend(one, x[atoms], free[atoms], options)
        torch.testing.assert_close(found.positions, together.positions[atoms], rtol=0, atol=1e-13)
        assert int(found.steps) == int(together.steps[s])


def learned(options: DescentOptions, stiffness: Tensor, rest: Tensor, wanted: Tensor) -> Tensor:
    springs, x, free = tangle()
    found = descend(replace(springs, stiffness=stiffness, rest=rest), x, free, options)
    return (found.positions * wanted).sum()


def test_three_ways_of_learning_agree_with_finite_differences() -> None:
    springs, _, _ = tangle()
    wanted = torch.randn(14, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    values = [springs.stiffness.clone().requires_grad_(), springs.rest.clone().requires_grad_()]
    e, picked = 1e-6, [0, 5, 17, 30]
    numeric = []
    with torch.no_grad():
        for which in (0, 1):
            for k in picked:
                ends = []
                for sign in (1, -1):
                    moved = [v.detach().clone() for v in values]
                    moved[which][k] += sign * e
                    ends.append(learned(TIGHT, moved[0], moved[1], wanted))
                numeric.append((ends[0] - ends[1]) / (2 * e))
    truth = torch.stack(numeric)
    for gradient, tolerance in (("unrolled", 1e-4), ("truncated", 1e-3), ("implicit", 1e-3)):
        options = replace(TIGHT, gradient=gradient, last=2000)
        found = torch.autograd.grad(learned(options, *values, wanted), values)
        got = torch.cat([g[picked] for g in found])
        torch.testing.assert_close(got, truth, rtol=tolerance, atol=tolerance * float(truth.abs().max()))


def test_a_structure_learns_from_its_own_last_steps_whatever_shares_its_batch() -> None:
    springs, x, free = tangle()
    options = DescentOptions(gradient="truncated", last=20, max_steps=400, tolerance=1e-4)
    slow = replace(springs, stiffness=torch.where(springs.centre < 7, springs.stiffness, 0.02 * springs.stiffness))
    slow = replace(slow, stiffness=slow.stiffness.requires_grad_())

    def gradient(of: Springs, x: Tensor, free: Tensor) -> Tensor:
        found = descend(of, x, free, options)
        return torch.autograd.grad(found.positions[:7].square().sum(), slow.stiffness)[0]

    together = descend(slow, x, free, options)
    assert int(together.steps[1]) > int(together.steps[0]) + options.last
    mine = springs.centre < 7
    one = replace(
        slow,
        **{n: getattr(slow, n)[mine] for n in ("centre", "neighbor", "offsets", "stiffness", "rest")},
        structure=slow.structure[:7],
        n_structures=1,
    )
    alone = gradient(one, x[:7], free[:7])
    assert alone.abs().max() > 0
    torch.testing.assert_close(gradient(slow, x, free), alone, rtol=1e-10, atol=1e-12)


def test_what_is_lost_on_the_way_is_given_back_as_it_began() -> None:
    springs, x, free = tangle()
    pulled = replace(springs, rest=torch.where(springs.centre < 7, springs.rest + 40.0, springs.rest))
    found = descend(pulled, x, free, DescentOptions())
    assert torch.equal(found.positions[:7], x[:7])
    assert found.converged.tolist() == [False, True]


def test_linear_equations_are_solved_for_each_structure() -> None:
    springs, x, free = tangle()
    x = descend(springs, x, free, TIGHT).positions
    right = free * torch.randn(14, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    right[7:] *= 1e6
    w = solved(springs, x, free, right, most=2000)
    assert torch.equal(w * (1 - free), torch.zeros_like(w))
    image = springs.second(x, w) * free
    assert (image - right)[:7].abs().max() < 1e-3 * right[:7].abs().max()  # the damping is small
    assert (image - right)[7:].abs().max() < 1e-3 * right[7:].abs().max()


def test_what_is_lost_stays_where_it_is() -> None:
    springs, x, free = tangle()
    bad = springs.rest.clone()
    bad[springs.centre < 7] = torch.nan
    found = descend(replace(springs, rest=bad), x, free, DescentOptions())
    assert torch.equal(found.positions[:7], x[:7])
    assert found.converged.tolist() == [False, True]
