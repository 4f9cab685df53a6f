"""Batches of crystals and the verbs that read them, against plain loops."""

import ase.build
import numpy as np
import pytest
import torch

from crystalcli.nouns import graph as g
from crystalcli.nouns.neighbors import build_graph, neighbor_list


@pytest.fixture
def crystals():
    made = []
    for name, lattice, a in (("Cu", "fcc", 3.6), ("NaCl", "rocksalt", 5.6), ("Fe", "bcc", 2.9)):
        atoms = ase.build.bulk(name, lattice, a=a)
        atoms.rattle(0.05, seed=1)
        made.append(atoms)
    made.append(ase.Atoms("He", cell=np.eye(3) * 40, pbc=True))
    return made


@pytest.fixture
def graph(crystals):
    return g.collate([build_graph(a, cutoff=5.0) for a in crystals], torch.float64)


def test_shapes_and_dtypes(graph):
    assert (graph.n_structures, graph.n_atoms) == (4, 5)
    assert graph.edge_index.shape == (2, graph.n_edges)
    assert graph.cell_shifts.dtype == graph.positions.dtype == graph.cell.dtype == torch.float64
    assert graph.structure_index.tolist() == [0, 1, 1, 2, 3]
    single = graph.to("cpu", torch.float32)
    assert single.positions.dtype == torch.float32
    assert single.edge_index.dtype == torch.int64


def test_row_pointers_bound_the_edges_of_every_centre(graph):
    for i in range(graph.n_atoms):
        mine = graph.edge_index[0, graph.row_pointers[i] : graph.row_pointers[i + 1]]
        assert (mine == i).all()
    assert graph.row_pointers[-1] == graph.n_edges


def test_edge_lengths_are_those_of_the_search(crystals, graph):
    expected = np.concatenate([neighbor_list(a, 5.0)[2] for a in crystals])
    np.testing.assert_allclose(g.edge_lengths(graph).numpy(), expected, atol=1e-12)


def test_edge_vectors_do_not_change_when_atoms_move_by_lattice_vectors(crystals, graph):
    for atoms in crystals:
        atoms.positions += np.arange(len(atoms))[:, None] * (atoms.cell[0] - 2 * atoms.cell[2])
    moved = g.collate([build_graph(a, cutoff=5.0) for a in crystals], torch.float64)
    torch.testing.assert_close(g.edge_lengths(moved), g.edge_lengths(graph))


def test_sums_means_and_maxima_equal_plain_loops(graph):
    torch.manual_seed(0)
    messages = torch.randn(graph.n_edges, 3, dtype=torch.float64)
    nodes = torch.randn(graph.n_atoms, 3, dtype=torch.float64)
    centre = graph.edge_index[0]
    summed = torch.stack([messages[centre == i].sum(0) for i in range(graph.n_atoms)])
    torch.testing.assert_close(g.sum_over_neighbors(graph, messages), summed)
    owned = [nodes[graph.structure_index == s] for s in range(graph.n_structures)]
    torch.testing.assert_close(g.sum_per_structure(graph, nodes), torch.stack([o.sum(0) for o in owned]))
    torch.testing.assert_close(g.mean_per_structure(graph, nodes), torch.stack([o.mean(0) for o in owned]))
    torch.testing.assert_close(g.max_per_structure(graph, nodes), torch.stack([o.amax(0) for o in owned]))


def test_an_atom_without_neighbors_receives_zero(graph):
    assert (g.sum_over_neighbors(graph, torch.ones(graph.n_edges, 2))[-1] == 0).all()


def test_gradients_of_lengths_agree_with_central_differences(graph):
    positions = graph.positions.clone().requires_grad_()

    def total(p):
        from dataclasses import replace

        return (g.edge_lengths(replace(graph, positions=p)) ** 1.5).sum()

    assert torch.autograd.gradcheck(total, (positions,), atol=1e-6)


def test_verbs_are_repeatable_in_float32(graph):
    graph = graph.to("cpu", torch.float32)

    def gradient():
        nodes = torch.linspace(0, 1, graph.n_atoms * 8).reshape(-1, 8).requires_grad_()
        pair = nodes.index_select(0, graph.edge_index[1]) * g.edge_lengths(graph).unsqueeze(1)
        g.max_per_structure(graph, g.sum_over_neighbors(graph, pair)).sum().backward()
        return nodes.grad

    first = gradient()
    assert all(torch.equal(first, gradient()) for _ in range(5))
