"""The gate: nearest pairs against a brute-force twin, and what is refused."""

import ase
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalcli.nouns.structures.check import check, closest
from crystalcli.vocabulary.errors import InputError


def brute(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, below: float) -> float:
    """Nearest distance over all pairs and enough images; inf if not below ``below``."""
    height = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = [int(np.ceil(below / h)) + 2 if p else 0 for h, p in zip(height, pbc, strict=True)]
    fractional = positions @ np.linalg.inv(cell)
    positions = (fractional - np.floor(fractional) * pbc) @ cell
    best = np.inf
    for shift in np.ndindex(*(2 * r + 1 for r in reach)):
        n = np.array(shift) - reach
        d = np.linalg.norm(positions[None] + n @ cell - positions[:, None], axis=-1)
        if not n.any():
            np.fill_diagonal(d, np.inf)
        best = min(best, float(d.min()))
    return best if best < below else np.inf


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 5, 30, 90]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from([0.6, 1.5, 4.0, 12.0]),
)
def test_closest_is_exact(seed: int, n: int, pbc: tuple[bool, bool, bool], size: float) -> None:
    rng = np.random.default_rng(seed)
    cell = size * (np.eye(3) + rng.uniform(-0.6, 0.6, (3, 3)))
    if abs(np.linalg.det(cell)) < 0.02 * size**3:
        return
    positions = rng.uniform(-1, 2, (n, 3)) @ cell
    periodic = np.array(pbc)
    i, j, distance = closest(positions, cell, periodic, 0.5)
    expected = brute(positions, cell, periodic, 0.5)
    assert distance == pytest.approx(expected, abs=1e-9)
    assert (i >= 0) == (j >= 0) == np.isfinite(expected)


def test_pairs_across_faces_edges_and_corners_are_seen() -> None:
    base = np.random.default_rng(3).permutation(np.stack(np.meshgrid(*[np.arange(5)] * 3), -1).reshape(-1, 3)) * 2.0 + 1
    for corner in np.ndindex(3, 3, 3):
        towards = np.array(corner) - 1
        if not towards.any():
            continue
        a = 5.0 + 4.9 * towards
        b = a + 0.2 * towards / np.linalg.norm(towards) - 10.0 * towards
        positions = np.concatenate([base, [a, b]])
        _, _, distance = closest(positions, 10 * np.eye(3), np.ones(3, dtype=bool), 0.5)
        assert distance == pytest.approx(0.2, abs=1e-9), towards


def refused(atoms: ase.Atoms) -> str:
    with pytest.raises(InputError) as caught:
        check(atoms)
    return caught.value.reason


def test_refusals_name_the_value() -> None:
    cube = [4.0, 4.0, 4.0]
    assert "no atoms" in refused(ase.Atoms(cell=cube, pbc=True))
    assert "0.1 Å apart" in refused(ase.Atoms("NaCl", [[0, 0, 0], [0.1, 0, 0]], cell=cube, pbc=True))
    assert "Na 0 and Cl 1" in refused(ase.Atoms("NaCl", [[0, 0, 0.05], [0, 0, 3.9]], cell=cube, pbc=True))
    assert "duplicate" in refused(ase.Atoms("Na2", [[0, 0, 0], [4, 4, 4]], cell=cube, pbc=True))
    assert "(nan, 0, 0)" in refused(ase.Atoms("Na", [[np.nan, 0, 0]], cell=cube, pbc=True))
    assert "cell is not finite" in refused(ase.Atoms("Na", cell=[np.inf, 4, 4], pbc=True))
    assert "cell vector c is zero" in refused(ase.Atoms("Na", cell=[4, 4, 0], pbc=True))
    assert "volume" in refused(ase.Atoms("Na", cell=[[4, 0, 0], [4, 1e-5, 0], [0, 0, 4]], pbc=True))
    assert "atomic number 0" in refused(ase.Atoms("X", cell=cube, pbc=True))
    assert "0.15 Å (cell vector b)" in refused(ase.Atoms("Na", cell=[4, 0.15, 4], pbc=True))


def test_odd_but_legal() -> None:
    assert check(ase.Atoms("Na", cell=[[-4, 0, 0], [0, 4, 0], [0, 0, 4]], pbc=True)) == ()
    assert check(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], cell=[20, 20, 20], pbc=[True, True, False])) == ()
    assert "molecule" in check(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))[0]
    assert "vector is only 1.20 Å" in check(ase.Atoms("Na", cell=[9, 1.2, 9], pbc=True))[0]
    assert "only 1.00 Å³ per atom" in check(ase.Atoms("H8", list(np.ndindex(2, 2, 2)), cell=[2, 2, 2], pbc=True))[0]
    assert "0.40 Å apart" in check(ase.Atoms("H2", [[0, 0, 0], [0, 0, 0.4]], cell=[9, 9, 9], pbc=True))[0]
