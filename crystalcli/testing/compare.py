"""Assertions that name what went wrong, and their tolerances: of the size of what is compared unless said."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from crystalcli.testing.elsewhere import elsewhere

SAME_FLOAT64 = 1e-8
"""Two ways to the same number in float64: symmetries, batches."""

SINGLE_PRECISION = 2e-4
"""float32 against float64."""

GRADIENT = 1e-6
"""Automatic against central differences in float64."""

STEP = 1e-4
"""Displacement of the central differences, Å (or units of the embedding)."""

SMOOTH = 1e-6
"""Largest jump allowed when an edge appears or disappears at a smooth cutoff, moved by :data:`ACROSS`."""

ACROSS = 1e-5
"""Distance from the cutoff, on both sides, at which a jump is looked for, Å."""


def same(found: Tensor, expected: Tensor, what: str, tolerance: float = SAME_FLOAT64) -> None:
    """Assert equal shapes and values equal to ``tolerance`` times the largest expected value (or 1)."""
    assert found.shape == expected.shape, f"{what}: shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    if expected.numel() == 0:
        return
    found, expected = found.detach().double(), expected.detach().double()
    assert torch.isfinite(found).all(), f"{what}: not finite"
    size = max(1.0, float(expected.abs().max()))
    worst = float((found - expected).abs().max())
    assert worst <= tolerance * size, f"{what}: differs by {worst:.3g}, allowed {tolerance * size:.3g}"


def check_gradient(function: Callable[[Tensor], Tensor], at: Tensor, what: str) -> None:
    """Compare the gradient of a scalar ``function`` with central differences along three directions.

    Args:
        function: (…) float64 → scalar.
        at: where, float64.
        what: named in the message.
    """
    point = at.detach().clone().requires_grad_(True)
    value = function(point)
    assert value.requires_grad, f"{what}: cannot be differentiated"
    (gradient,) = torch.autograd.grad(value, point, allow_unused=True)
    gradient = torch.zeros_like(point) if gradient is None else gradient
    generator = torch.Generator().manual_seed(0)
    step = STEP
    for _ in range(3):
        direction = torch.randn(point.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        with torch.no_grad():
            far, near = step, step / 2
            wide = (function(at + far * direction) - function(at - far * direction)) / (2 * far)
            narrow = (function(at + near * direction) - function(at - near * direction)) / (2 * near)
        expected = float((4 * narrow - wide) / 3)  # Richardson: error of fourth order in the step
        found = float((gradient * direction).sum())
        allowed = GRADIENT * max(1.0, abs(expected), float(gradient.norm()))
        assert abs(found - expected) <= allowed, f"{what}: gradient {found:.9g}, central differences {expected:.9g}"


def check_save_load(make: Callable[[], nn.Module], run: Callable[[nn.Module], Tensor], what: str) -> None:
    """A fresh module with loaded weights must give the same bits, and the state must hold plain tensors only."""
    torch.manual_seed(1)
    first = make().eval()
    state = first.state_dict()
    for name, value in state.items():
        assert isinstance(value, Tensor), f"{what}: state '{name}' is {type(value).__name__}, not a tensor"
    torch.manual_seed(2)
    second = make().eval()
    second.load_state_dict({k: v.clone() for k, v in state.items()}, strict=True)
    with torch.no_grad():
        assert torch.equal(run(first), run(second)), f"{what}: changes when its weights are saved and loaded"


def check_elsewhere(make: Callable[[], nn.Module], run: Callable[[nn.Module], Tensor], what: str) -> None:
    """A module that is built elsewhere and gets the saved state must say the same.

    See :func:`crystalcli.testing.elsewhere.elsewhere`. What weights are multiplied with belongs into the state, or must
    come from an algorithm with one answer (a Cholesky factor, a formula).
    """
    torch.manual_seed(1)
    first = make().eval()
    state = {k: v.clone() for k, v in first.state_dict().items()}
    expected = run(first)
    with elsewhere():
        torch.manual_seed(2)
        second = make().eval()
        second.load_state_dict(state, strict=True)
        same(run(second), expected, f"{what}, saved here and loaded on another machine")
