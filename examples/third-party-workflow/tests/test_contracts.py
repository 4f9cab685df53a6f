"""The workflow keeps the contract that crystal's own keep, and finds the curve that points were made of."""

from __future__ import annotations

import numpy as np
import pytest
from crystal_eos import EOS
from crystal_eos.work import fitted

from crystalcli.testing import WorkflowContract
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.units import GPA


class TestEos(WorkflowContract):
    """Workflow ``eos``."""

    part = EOS
    kills = 1


def test_a_known_curve_comes_back() -> None:
    """Birch 1947: E(V) = E0 + 9/16 V0 B (…), with B' = 5.3."""
    v0, e0, bulk, prime = 11.8, -3.7, 137.0 * GPA, 5.3

    def energies(volumes: np.ndarray) -> np.ndarray:
        y = (v0 / volumes) ** (2 / 3) - 1
        return e0 + 9 / 16 * v0 * bulk * (y**3 * prime + y**2 * (6 - 4 * (y + 1)))

    volumes = np.linspace(11.0, 13.1, 9)
    found = fitted(volumes, energies(volumes))
    assert found["volume"] == pytest.approx(v0, rel=1e-9)
    assert found["energy"] == pytest.approx(e0, rel=1e-9)
    assert found["bulk_modulus"] == pytest.approx(137.0, rel=1e-6)
    assert found["derivative"] == pytest.approx(prime, rel=1e-5)
    with pytest.raises(InputError, match="no minimum"):
        fitted(volumes + 1.5, energies(volumes + 1.5))
