"""Radial bases and envelopes: against their formulas, at their ends, and their derivatives in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import spherical_jn

from crystalcli.contracts.nn.basis import BesselBasis, GaussianBasis, cosine, polynomial, xplor
from crystalcli.contracts.nn.splines import spline_basis

R = 4.3
ENVELOPES = {"polynomial": polynomial, "p = 3": lambda x: polynomial(x, 3), "cosine": cosine, "xplor": xplor}


def distances(n: int = 9, largest: float = R) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.uniform(0.4, largest, n)).requires_grad_()


def test_bessel_functions_are_those_of_scipy() -> None:
    """``j_0(ω r) = sin(ω r)/(ω r)``."""
    r = distances().detach()
    basis = BesselBasis(R, 5).double()
    omega = np.arange(1, 6) * np.pi / R
    expected = (2 / R) * omega * spherical_jn(0, r.numpy()[:, None] * omega)
    np.testing.assert_allclose(basis(r).detach(), expected, atol=1e-6)  # the frequencies were single at first
    np.testing.assert_allclose(basis(torch.tensor([0.0, R]).double()).detach(), [(2 / R) * omega, 0 * omega], atol=1e-6)


def test_frequencies_learn_or_not() -> None:
    assert dict(BesselBasis(R).named_parameters()).keys() == {"frequencies"}
    fixed = BesselBasis(R, trainable=False)
    assert not list(fixed.parameters())
    assert fixed.state_dict()["frequencies"].tolist() == pytest.approx([n * np.pi / R for n in range(1, 9)])
    assert (fixed.dim, fixed(torch.ones(3)).shape) == (8, (3, 8))


@pytest.mark.parametrize("trainable", [True, False])
def test_derivatives_of_bessel_functions(trainable: bool) -> None:
    basis = BesselBasis(R, 3, trainable=trainable).double()

    def of(r: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(basis, {"frequencies": frequencies}, (r,))

    values = distances(4), basis.frequencies.detach().clone().requires_grad_(trainable)
    assert torch.autograd.gradcheck(of, values)
    assert torch.autograd.gradgradcheck(of, values)


@pytest.mark.parametrize("make", [GaussianBasis(0.0, R, 0.4), lambda r: spline_basis(r / R, 7)])
def test_derivatives_of_other_bases(make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    r = distances(5)
    assert torch.autograd.gradcheck(make, (r,))
    assert torch.autograd.gradgradcheck(make, (r,))


@pytest.mark.parametrize("name", ENVELOPES)
def test_derivatives_of_envelopes(name: str) -> None:
    x = torch.tensor([0.2, 0.55, 0.89, 0.93, 0.99, 1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ENVELOPES[name], (x,))
    assert torch.autograd.gradgradcheck(ENVELOPES[name], (x,))


@pytest.mark.parametrize(("name", "smooth"), [("polynomial", 2), ("p = 3", 2), ("cosine", 1), ("xplor", 1)])
def test_envelopes_begin_at_one_and_end_smoothly(name: str, smooth: int) -> None:
    """Value, slope (and curvature) at the cutoff, from inside: of order h², h (and 1 for those that jump)."""
    envelope, h = ENVELOPES[name], 1e-5
    assert float(envelope(torch.zeros(1).double())) == 1.0
    inside = envelope(torch.tensor([1 - 2 * h, 1 - h, 1.0, 1 + h], dtype=torch.float64))
    assert float(inside[2:].abs().max()) == 0.0
    assert abs(float(inside[1] - inside[2])) / h < 1e-2
    curvature = abs(float(inside[0] - 2 * inside[1] + inside[2])) / h**2
    assert curvature < 0.1 if smooth == 2 else curvature > 1.0


def test_polynomial_envelope_has_the_exponent_that_is_asked_for() -> None:
    """``1 − (p+1)(p+2)/2 x^p …``: near zero it leaves 1 as x^p does."""
    x = torch.tensor([1e-3, 2e-3], dtype=torch.float64)
    for p in (2, 3):
        left = 1.0 - polynomial(x, p)
        assert float(left[1] / left[0]) == pytest.approx(2.0**p, rel=0.01)
        assert float(left[0]) == pytest.approx((p + 1) * (p + 2) / 2 * 1e-3**p, rel=0.01)


@pytest.mark.parametrize("onset", [0.0, 0.6, 0.9])
def test_xplor_is_one_up_to_its_onset(onset: float) -> None:
    """Between onset and cutoff: ``(c² − r²)² (c² + 2r² − 3o²)/(c² − o²)³``."""
    r = torch.linspace(0.0, R, 500, dtype=torch.float64)
    found, o, c = xplor(r / R, onset), onset * R, R
    expected = (c**2 - r**2) ** 2 * (c**2 + 2 * r**2 - 3 * o**2) / (c**2 - o**2) ** 3
    torch.testing.assert_close(found, torch.where(r < o, torch.ones_like(r), expected))
    assert float(found.diff().max()) <= 0.0
    just_after = torch.tensor([onset + 1e-9], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(xplor(just_after, onset).sum(), just_after)
    assert abs(float(slope)) < 1e-6, "no kink at the onset"
