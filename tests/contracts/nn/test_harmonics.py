"""Real spherical harmonics against SciPy's and the formulas of e3nn; rotations, parity, derivatives of two orders."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import eval_legendre, sph_harm_y

from crystalcli.contracts.nn.harmonics import jvp, spherical_harmonics, transposed, values, vjp

ORDERS = (0, 1, 2, 3)


def directions(n: int, seed: int = 0) -> torch.Tensor:
    v = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return v / v.norm(dim=1, keepdim=True)


def of_order(y: torch.Tensor, order: int) -> torch.Tensor:
    return y[..., order**2 : (order + 1) ** 2]


def test_they_are_the_real_harmonics_of_scipy() -> None:
    """With the polar axis y and the azimuth from z to x, and without the phase of Condon and Shortley."""
    u = directions(30)
    x, y, z = u.numpy().T
    polar, azimuth = np.arccos(y), np.arctan2(x, z)
    found = spherical_harmonics(u, 3, "integral")
    for order in ORDERS:
        for m in range(-order, order + 1):
            of = (-1) ** m * sph_harm_y(order, abs(m), polar, azimuth)
            expected = of.real if m == 0 else np.sqrt(2.0) * (of.imag if m < 0 else of.real)
            np.testing.assert_allclose(of_order(found, order)[:, m + order], expected, atol=1e-13)


def test_they_are_the_formulas_of_e3nn() -> None:
    """As ``e3nn.o3.spherical_harmonics`` writes them out, of scale norm."""
    u = directions(7, seed=1)
    x, y, z = u.unbind(1)
    xz, yy = x**2 + z**2, y**2
    a, b = 3**0.5 * x * z, 3**0.5 / 2 * (z**2 - x**2)
    second = [a, 3**0.5 * x * y, yy - xz / 2, 3**0.5 * y * z, b]
    c, d = (5 / 6) ** 0.5, (3 / 8) ** 0.5
    third = [
        c * (a * z + b * x),
        5**0.5 * a * y,
        d * (4 * yy - xz) * x,
        0.5 * y * (2 * yy - 3 * xz),
        d * z * (4 * yy - xz),
        5**0.5 * b * y,
        c * (b * z - a * x),
    ]
    expected = torch.stack([torch.ones_like(x), x, y, z, *second, *third], 1)
    torch.testing.assert_close(spherical_harmonics(u, 3, "norm"), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("l_max", ORDERS)
@pytest.mark.parametrize(("scale", "size"), [("norm", 1.0), ("component", None), ("integral", None)])
def test_scales(l_max: int, scale: str, size: float | None) -> None:
    y = spherical_harmonics(directions(5), l_max, scale)
    assert y.shape == (5, (l_max + 1) ** 2)
    for order in range(l_max + 1):
        wanted = size or (2 * order + 1) / (4 * np.pi if scale == "integral" else 1.0)
        torch.testing.assert_close(of_order(y, order).square().sum(1), torch.full((5,), wanted).double())


def test_they_are_orthonormal() -> None:
    """Gauss–Legendre in the height, even steps around: exact for products of these orders."""
    height, weight = np.polynomial.legendre.leggauss(6)
    around = np.arange(9) * (2 * np.pi / 9)
    h, a = (g.ravel() for g in np.meshgrid(height, around, indexing="ij"))
    rim = np.sqrt(1 - h**2)
    y = spherical_harmonics(torch.from_numpy(np.stack([rim * np.cos(a), rim * np.sin(a), h], 1)), 3, "integral").numpy()
    weights = np.repeat(weight, 9) * (2 * np.pi / 9)
    np.testing.assert_allclose(y.T @ (y * weights[:, None]), np.eye(16), atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_each_order_turns_among_itself(seed: int) -> None:
    """The matrix that does it, from as many directions as needed, is orthogonal and the same for all others."""
    turn = torch.from_numpy(Rotation.random(random_state=seed).as_matrix())
    some, others = directions(40, seed), directions(25, seed + 10)
    before, after = spherical_harmonics(some, 3), spherical_harmonics(some @ turn.t(), 3)
    for order in ORDERS:
        wigner = torch.linalg.lstsq(of_order(before, order), of_order(after, order)).solution.t()
        torch.testing.assert_close(wigner @ wigner.t(), torch.eye(2 * order + 1).double(), rtol=0, atol=1e-12)
        found = of_order(spherical_harmonics(others @ turn.t(), 3), order)
        expected = of_order(spherical_harmonics(others, 3), order) @ wigner.t()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        if order == 1:
            torch.testing.assert_close(wigner, turn, rtol=0, atol=1e-12)


def test_parity() -> None:
    u = directions(6)
    here, opposite = spherical_harmonics(u, 3), spherical_harmonics(-u, 3)
    for order in ORDERS:
        torch.testing.assert_close(of_order(opposite, order), (-1) ** order * of_order(here, order), rtol=0, atol=1e-14)


def test_addition_theorem() -> None:
    u = directions(8)
    y, cosine = spherical_harmonics(u, 3, "norm"), (u @ u.t()).clamp(-1, 1).numpy()
    for order in ORDERS:
        product = of_order(y, order) @ of_order(y, order).t()
        np.testing.assert_allclose(product, eval_legendre(order, cosine), atol=1e-12)


@pytest.mark.parametrize("l_max", ORDERS)
def test_derivatives(l_max: int) -> None:
    """Of vectors of any length: the solid harmonics."""
    v = torch.randn(4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u: spherical_harmonics(u, l_max), (v,))
    assert torch.autograd.gradgradcheck(lambda u: spherical_harmonics(u, l_max), (v,))


def test_derivatives_along_the_unit_vector_of_a_bond() -> None:
    """Central differences of what moves when an atom does."""
    v, step = 1.7 * directions(1, seed=4)[0], 1e-6

    def of(vector: torch.Tensor) -> torch.Tensor:
        return spherical_harmonics(vector / vector.norm(), 3)

    jacobian = torch.autograd.functional.jacobian(of, v)
    for axis in range(3):
        h = step * torch.eye(3, dtype=torch.float64)[axis]
        torch.testing.assert_close(jacobian[:, axis], (of(v + h) - of(v - h)) / (2 * step), rtol=0, atol=1e-8)


def test_sums_by_hand_are_those_of_autograd() -> None:
    """JVP, VJP and the second derivative, for a tensor of each plane."""
    draw = torch.Generator().manual_seed(0)
    u, t = torch.randn(2, 3, 2, 4, generator=draw, dtype=torch.float64)
    g = torch.randn(16, 2, 4, generator=draw, dtype=torch.float64)

    def planes(x: torch.Tensor) -> torch.Tensor:
        return torch.stack(values(x.unbind(0)))

    y, of_each = planes(u).unbind(0), g.unbind(0)
    _, along = torch.autograd.functional.jvp(planes, u, t)
    torch.testing.assert_close(torch.stack(jvp(y, t.unbind(0))), along[1:], rtol=0, atol=1e-12)
    _, back = torch.autograd.functional.vjp(planes, u, g)
    torch.testing.assert_close(torch.stack(vjp(y, of_each)), back, rtol=0, atol=1e-12)
    _, second = torch.autograd.functional.vhp(lambda x: (planes(x) * g).sum(), u, t)
    found = torch.stack(vjp(y, transposed(t.unbind(0), of_each)))
    torch.testing.assert_close(found, second, rtol=0, atol=1e-12)


def test_batches_of_any_shape_and_no_vectors() -> None:
    u = directions(6)
    torch.testing.assert_close(spherical_harmonics(u.view(2, 3, 3), 2).view(6, 9), spherical_harmonics(u, 2))
    assert spherical_harmonics(u[:0], 3).shape == (0, 16)


@pytest.mark.parametrize("l_max", [-1, 4])
def test_other_orders_are_refused(l_max: int) -> None:
    with pytest.raises(ValueError, match=f"not {l_max}"):
        spherical_harmonics(directions(1), l_max)
