"""Weights of splines that an optimiser can learn, and the penalty on wiggles."""

import pytest
import torch
from crystal_pair_moments.pair_term import DENSITY, JITTER, STIFFNESS, smooth_weights

from crystalcli.contracts.nn.basis import polynomial
from crystalcli.contracts.nn.splines import spline_terms
from crystalcli.testing.elsewhere import elsewhere


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
