"""The nearest image, against a search of all images that could be it."""

from itertools import product

import ase
import numpy as np
import pytest
import torch
from ase.geometry import find_mic

from crystalcli.nouns.graph import collate
from crystalcli.nouns.images import lattice_shifts, minimum_image
from crystalcli.nouns.neighbors import build_graph

CELLS = {
    "skewed": [[4.0, 0, 0], [3.9, 1.2, 0], [2.1, 0.9, 3.0]],
    "needle": [[1.1, 0.1, 0], [0, 1.3, 0.2], [0.5, 0.3, 40.0]],
    "left-handed": [[0, 4.0, 0.3], [5.0, 0, 0], [0, 0.2, 6.0]],
    "very skewed": [[1.0, 0, 0], [17.3, 1.0, 0], [5.2, 9.1, 1.5]],
    "slab": [[3.0, 0, 0], [1.4, 2.5, 0], [0, 0, 0]],
}


@pytest.mark.parametrize("name", CELLS)
def test_against_all_images_and_ase(name: str) -> None:
    cell, pbc = np.array(CELLS[name]), np.array([True, True, name != "slab"])
    vectors = np.random.default_rng(3).normal(0, 6.0, (60, 3))
    shifts = lattice_shifts(vectors, cell, pbc)
    assert shifts.dtype == np.int64
    assert not shifts[:, ~pbc].any()
    lengths = np.linalg.norm(vectors + shifts @ cell, axis=1)
    np.testing.assert_allclose(lengths, find_mic(vectors, cell, pbc)[1], atol=1e-9)
    near = np.array(list(product(range(-3, 4), repeat=3))) * pbc
    for v, s, length in zip(vectors, shifts, lengths, strict=True):
        assert length <= np.linalg.norm(v + (s + near) @ cell, axis=1).min() + 1e-9


def test_what_is_near_stays_and_what_is_missing_too() -> None:
    cell, pbc = np.array(CELLS["skewed"]), np.ones(3, dtype=bool)
    vectors = np.array([[0.1, -0.2, 0.05], [np.nan, 0.0, 0.0]])
    assert not lattice_shifts(vectors, cell, pbc).any()


def test_batches_have_a_cell_each_and_derivatives() -> None:
    one = ase.Atoms("NaCl", positions=[[0, 0, 0], [1, 1, 1.0]], cell=CELLS["skewed"], pbc=True)
    two = ase.Atoms("Cu3", positions=[[0, 0, 0], [2, 0, 0], [0, 2, 1.0]], cell=[5, 6, 7], pbc=[True, False, True])
    graph = collate([build_graph(a, cutoff=2.5) for a in (one, two)], torch.float64)
    shifts = np.array([[1, -2, 0], [0, 1, 1], [2, 0, -1], [0, 0, 3], [-1, 0, 0]])
    cells = np.stack([one.cell.array] * 2 + [two.cell.array] * 3)
    small = np.random.default_rng(1).normal(0, 0.1, (5, 3))
    vectors = torch.tensor(small + np.einsum("nk,nkl->nl", shifts, cells), requires_grad=True)
    found = minimum_image(graph, vectors)
    np.testing.assert_allclose(found.detach(), small, atol=1e-9)
    (gradient,) = torch.autograd.grad(found.sum(), vectors)
    assert torch.equal(gradient, torch.ones_like(gradient))
    cell = graph.cell.clone().requires_grad_()
    from dataclasses import replace

    moved = minimum_image(replace(graph, cell=cell), vectors.detach())
    (by_cell,) = torch.autograd.grad(moved.sum(), cell)
    np.testing.assert_allclose(by_cell[1].sum(1), -3.0 * shifts[2:].sum(0))


def test_across_the_open_side_nothing_is_shortened() -> None:
    atoms = ase.Atoms("Cu", positions=[[0, 0, 0]], cell=[5, 6, 7], pbc=[True, False, True])
    graph = collate([build_graph(atoms, cutoff=2.0)], torch.float64)
    assert minimum_image(graph, torch.tensor([[5.1, 6.1, 7.1]], dtype=torch.float64))[0].tolist() == pytest.approx(
        [0.1, 6.1, 0.1]
    )
