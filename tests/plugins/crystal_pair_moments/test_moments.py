"""Moments of ``pair-moments``: against a sum over angles, in symmetric surroundings, and without neighbors."""

import ase
import ase.build
import numpy as np
import torch
from crystal_pair_moments.moments import Moments, moment_sums, padded_rows
from scipy.special import eval_legendre

from crystalcli.nouns.graph import collate, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals


def test_derivatives_of_moment_sums() -> None:
    weights = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    units = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(moment_sums, (weights, units))
    assert torch.autograd.gradgradcheck(moment_sums, (weights, units))


def test_moments_are_sums_over_pairs_of_neighbors() -> None:
    torch.manual_seed(0)
    graph = collate([build_graph(a, cutoff=3.5) for a in crystals.all_crystals()], torch.float64)
    module = Moments(width=4, channels=2, dim=5, scale=0.3).double()
    nodes, basis = torch.randn(graph.n_atoms, 4).double(), torch.randn(graph.n_edges, 5).double()
    envelope = torch.rand(graph.n_edges).double()
    found = module(graph, edge_vectors(graph), nodes, basis, envelope)
    centre, neighbor = graph.edge_index
    weights = 0.3 * envelope.unsqueeze(1) * (basis @ module.radial) * module.send(nodes)[neighbor]
    vectors = edge_vectors(graph)
    for i in range(graph.n_atoms):
        mine = (centre == i).nonzero().flatten()
        u = vectors[mine] / vectors[mine].norm(dim=1, keepdim=True)
        cosine = (u @ u.t()).clamp(-1, 1).numpy()
        for k, order in enumerate((1, 2, 3)):
            w = weights[mine].detach().numpy()
            expected = np.einsum("ac,ab,bc->c", w, eval_legendre(order, cosine), w)
            assert np.allclose(found[i, 2 * k : 2 * k + 2].detach().numpy(), expected, atol=1e-10)


def test_diamond_has_moments_of_third_order_only() -> None:
    graph = collate([build_graph(ase.build.bulk("Si", "diamond", 5.43), cutoff=2.5)], torch.float64)
    module = Moments(width=1, channels=1, dim=1, scale=1.0).double()
    ones = torch.ones(graph.n_edges, 1, dtype=torch.float64)
    nodes = torch.ones(2, 1, dtype=torch.float64)
    found = module(graph, edge_vectors(graph), nodes, ones, ones[:, 0]).detach()
    assert float(found[:, :2].abs().max()) < 1e-12
    assert float(found[:, 2].min()) > 1e-3


def test_rows_of_atoms_without_neighbors() -> None:
    pointers = torch.tensor([0, 2, 2, 3])
    assert padded_rows(pointers, 3).tolist() == [[0, 1], [3, 3], [2, 3]]
    assert padded_rows(torch.tensor([0, 0]), 0).shape == (1, 0)
