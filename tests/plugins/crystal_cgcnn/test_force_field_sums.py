"""The sums of ``lcgcn-ff`` against naive twins, and their first and second derivatives in float64."""

import numpy as np
import pytest
import torch
from crystal_cgcnn import message_plan
from crystal_cgcnn.gated_messages import gated_messages
from crystal_cgcnn.radial_splines import DENSITY, JITTER, STIFFNESS, radial_sums, smooth_weights, spline_terms
from reference import force_field as twin

from crystalcli.contracts.nn.envelopes import polynomial
from crystalcli.testing.elsewhere import elsewhere


def edges(n_atoms: int, n_edges: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Edges sorted by centre; the last atom has none."""
    rng = torch.Generator().manual_seed(seed)
    centre = torch.randint(0, n_atoms - 1, (n_edges,), generator=rng).sort().values
    return centre, torch.randint(0, n_atoms, (n_edges,), generator=rng)


def inputs(n_atoms: int, n_edges: int, f: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    shapes = [(n_atoms, 4 * f), (n_edges, 2 * f)]
    made = [2 * torch.randn(s, generator=rng, dtype=dtype) for s in shapes]
    return [t.requires_grad_() for t in [*made, torch.rand(n_edges, generator=rng, dtype=dtype)]]


@pytest.mark.parametrize("stretch", [1, 7, 1024])
def test_gated_messages_are_those_of_the_twin(stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_plan, "STRETCH", stretch)
    centre, neighbor = edges(6, 40)
    values = inputs(6, 40, 3)
    plan = message_plan.plan_messages(centre, neighbor, 6)
    assert sum(s.n_edges for s in plan.stretches) == 40
    found, expected = gated_messages(*values, plan), twin.gated_messages(*values, centre, neighbor)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found[-1].abs().max() == 0.0


def test_derivatives_of_gated_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_plan, "STRETCH", 7)
    centre, neighbor = edges(5, 17)
    plan = message_plan.plan_messages(centre, neighbor, 5)
    assert len(plan.stretches) > 1
    values = inputs(5, 17, 2)
    assert torch.autograd.gradcheck(lambda *v: gated_messages(*v, plan), values)
    assert torch.autograd.gradgradcheck(lambda *v: gated_messages(*v, plan), values)


def test_single_precision_and_large_sums() -> None:
    centre, neighbor = edges(4, 9)
    plan = message_plan.plan_messages(centre, neighbor, 4)
    addends, radial, envelope = inputs(4, 9, 2, torch.float32)
    large = (addends.detach() * 8).requires_grad_()
    expected = twin.gated_messages(large.detach(), radial.detach(), envelope.detach(), centre, neighbor)
    torch.testing.assert_close(gated_messages(large, radial, envelope, plan).detach(), expected, rtol=1e-5, atol=1e-5)
    huge = (addends.detach() * 1000).requires_grad_()
    (gradient,) = torch.autograd.grad(gated_messages(huge, radial, envelope, plan).sum(), huge, create_graph=True)
    gradient.square().sum().backward()
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(huge.grad).all()


def test_no_edges() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    plan = message_plan.plan_messages(none, none, 3)
    addends = torch.randn(3, 8, requires_grad=True)
    assert torch.equal(gated_messages(addends, torch.zeros(0, 4), torch.zeros(0), plan), torch.zeros(3, 2))


def test_radial_sums_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    x, factor, slot = rng.uniform(0, 1 - 1e-9, 50), rng.normal(size=50), rng.integers(0, 4, 50)
    x[0] = 0.0
    found = radial_sums(*(torch.as_tensor(v) for v in (x, factor, slot)), 4, 7)
    np.testing.assert_allclose(found, twin.radial_sums(x, factor, slot, 4, 7), atol=1e-13)


def test_derivatives_of_radial_sums() -> None:
    rng = torch.Generator().manual_seed(0)
    x, factor = (torch.rand(9, generator=rng, dtype=torch.float64, requires_grad=True) for _ in range(2))
    slot = torch.randint(0, 3, (9,), generator=rng)
    assert torch.autograd.gradcheck(lambda a, b: radial_sums(a, b, slot, 3, 6), (x, factor))
    assert torch.autograd.gradgradcheck(lambda a, b: radial_sums(a, b, slot, 3, 6), (x, factor))


def values_of(weights: torch.Tensor, intervals: int) -> torch.Tensor:
    """A spline on 8001 points between 0 and the cutoff."""
    first, values, _, _ = spline_terms(torch.linspace(0, 1, 8001, dtype=torch.float64), intervals)
    return (values * weights[first + torch.arange(4).unsqueeze(1)]).sum(0)


def jittered(even: torch.Tensor, intervals: int) -> torch.Tensor:
    """``LᵀGL`` on a finer grid with slopes from differences: how much a jitter of distances sees, (K, K)."""
    r, step = torch.linspace(0, 5.0, 8001, dtype=torch.float64), 5.0 / 8000
    values = torch.stack([values_of(column, intervals) for column in even.t()]) * polynomial(r / 5.0)
    slopes = (values[:, 2:] - values[:, :-2]) / (2 * step) * r[1:-1].clamp_min(1.0)
    return slopes @ slopes.t() * (step * 4.0 * torch.pi * DENSITY * JITTER**2)


def curved(even: torch.Tensor, intervals: int) -> torch.Tensor:
    """``LᵀCL`` likewise, from second differences."""
    r, step = torch.linspace(0, 5.0, 8001, dtype=torch.float64)[1:-1], 5.0 / 8000
    values = torch.stack([values_of(column, intervals) for column in even.t()])
    bends = (values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]) / step**2 * torch.exp(r - 2.0)
    return bends @ bends.t() * (step * STIFFNESS)


@pytest.mark.parametrize("intervals", [6, 20, 45])
def test_smooth_weights_are_all_functions_and_count_jitter_and_curvature(intervals: int) -> None:
    even, rough = smooth_weights(intervals)
    assert torch.linalg.matrix_rank(even) == intervals + 3
    own = torch.linalg.eigvalsh(rough)
    assert -1e-9 < float(own.min()) < 1e-3, "straight lines have no curvature"
    assert float(own.max()) < 1.0 + 1e-9
    assert float(own.max()) > 0.9 or intervals < 45
    torch.testing.assert_close(curved(even, intervals), rough, rtol=0, atol=0.02)
    # the rest of the one is what keeps the matrix from being singular
    rest = torch.eye(intervals + 3, dtype=torch.float64) - rough - jittered(even, intervals)
    assert float(torch.linalg.eigvalsh(rest).min()) > -0.02


@pytest.mark.parametrize("intervals", [6, 45])
def test_smooth_weights_are_the_same_on_every_machine(intervals: int) -> None:
    """Whatever axes a decomposition gives; of 45 intervals 22 of 82 was the difference."""
    here = smooth_weights(intervals)
    with elsewhere():
        there = smooth_weights(intervals)
    for a, b in zip(here, there, strict=True):
        assert float((a - b).abs().max()) <= 1e-9 * float(a.abs().max())


def test_the_penalty_bridges_a_gap_smoothly_and_leaves_data_alone() -> None:
    """Samples of a Born-Mayer curve with a gap of a fifth of the range, fitted with and without the penalty."""
    x = torch.linspace(0.3, 0.95, 400, dtype=torch.float64)
    first, values, _, _ = spline_terms(x, 45)
    rows = torch.zeros(len(x), 48, dtype=torch.float64).scatter_(
        1, (first + torch.arange(4).unsqueeze(1)).t(), values.t()
    )
    truth, seen = torch.exp(-x / 0.15), (x < 0.5) | (x > 0.7)
    even, rough = smooth_weights(45)
    a, y = rows @ even, torch.where(seen, truth, torch.zeros_like(truth))[seen]
    start = torch.randn(48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def fitted(penalty: float) -> torch.Tensor:
        """Least squares near ``start``, as gradient descent finds it."""
        h = a[seen].t() @ a[seen] + penalty * rough + 1e-9 * torch.eye(48, dtype=torch.float64)
        return a @ torch.linalg.solve(h, a[seen].t() @ y + 1e-9 * start)

    smooth, free = fitted(1e-3), fitted(0.0)
    assert float((smooth - truth)[seen].abs().max()) < 2e-3
    assert float((smooth - truth)[~seen].abs().max()) < 0.01
    assert float((free - truth)[~seen].abs().max()) > 10 * float((smooth - truth)[~seen].abs().max())
