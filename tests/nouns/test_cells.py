"""Arithmetic of one cell against NumPy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.nouns import cells

rows = st.lists(st.floats(-50, 50, allow_subnormal=False), min_size=9, max_size=9).map(
    lambda v: np.array(v).reshape(3, 3)
)


@given(rows)
def test_volume_and_lengths(cell):
    np.testing.assert_allclose(cells.volume(cell), np.linalg.det(cell), atol=1e-9)
    np.testing.assert_allclose(cells.lengths(cell), np.linalg.norm(cell, axis=1), rtol=1e-12)


@given(rows)
def test_inverse(cell):
    if abs(cells.volume(cell)) < 1e-4 * np.prod(cells.lengths(cell)) or not cell.any(1).all():
        return
    if min(cells.lengths(cell)) < 0.1:
        return
    np.testing.assert_allclose(cells.inverse(cell), np.linalg.inv(cell), rtol=1e-8, atol=1e-10)


def test_what_is_flat():
    assert cells.is_flat(np.array([[1.0, 0, 2], [2, 0, 4], [0, 3, 0]]))
    assert cells.is_flat(np.zeros((3, 3)))
    assert cells.is_flat(cells.completed(np.array([[1.0, 0, 2], [2, 0, 4], [0, 0, 0]])))
    assert not cells.is_flat(cells.completed(np.array([[1.0, 0, 2], [2, 0, 5], [0, 0, 0]])))
    assert not cells.is_flat(np.diag([1e4, 0.7, 0.7]))
