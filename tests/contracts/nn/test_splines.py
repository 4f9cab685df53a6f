"""B-splines of the distance against SciPy's, and their first and second derivatives in float64."""

import numpy as np
import torch
from reference import force_field as twin

from crystalcli.contracts.nn.splines import radial_sums


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
