"""The vector of a site: its length, its order, what is missing, and that no message passes."""

import ase
import ase.build
import numpy as np
import torch
from crystal_site.neighborhood import NeighborhoodMlp, nearest
from crystal_site.options import NeighborhoodOptions

from crystalcli.contracts.modules import Features
from crystalcli.nouns.graph import CrystalGraph, collate, edge_lengths
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.compare import same

D, K, CUTOFF = 3, 4, 4.0


def graph_of(*atoms: ase.Atoms) -> CrystalGraph:
    return collate([build_graph(a, cutoff=CUTOFF) for a in atoms], torch.float64)


def features_of(graph: CrystalGraph) -> Features:
    """Features that tell elements and distances apart."""
    z = graph.atomic_numbers.double().unsqueeze(1)
    powers = torch.arange(1, K + 1, dtype=torch.float64)
    return Features(torch.cat([z, z**2 / 50, 1 / z], 1), torch.exp(-edge_lengths(graph).unsqueeze(1) * powers / 3))


def mlp(neighbors: int = 5) -> NeighborhoodMlp:
    return NeighborhoodMlp(D, K, NeighborhoodOptions(neighbors=neighbors, width=6)).double()


def test_input_size() -> None:
    assert NeighborhoodMlp(92, 41, NeighborhoodOptions()).input_dim == 1688
    assert mlp(5).input_dim == D + 5 * (D + K)


def test_the_vector_as_told() -> None:
    """A loop over atoms and their sorted neighbors gives the same; places without a neighbor are zero."""
    graph = graph_of(*crystals.all_crystals())
    features = features_of(graph)
    found = mlp(5).describe(graph, features)
    lengths, edges = edge_lengths(graph), features.edges
    assert edges is not None
    for i in range(graph.n_atoms):
        mine = (graph.edge_index[0] == i).nonzero().squeeze(1).tolist()
        mine.sort(key=lambda e: (round(float(lengths[e]), 3), int(graph.atomic_numbers[graph.edge_index[1, e]])))
        vector = [features.nodes[i]]
        for e in mine[:5]:
            vector += [features.nodes[graph.edge_index[1, e]], edges[e]]
        expected = torch.zeros(D + 5 * (D + K), dtype=torch.float64)
        expected[: sum(len(v) for v in vector)] = torch.cat(vector)
        same(found[i], expected, f"site {i}")


def test_neighbors_at_one_distance_have_no_order() -> None:
    """Rocksalt with a mixed first shell, its atoms in any order: the vectors go with the atoms, bit for bit almost."""
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms.numbers[[1, 3]] = 53
    found = mlp(12).describe(graph_of(atoms), features_of(graph_of(atoms)))
    for seed in range(4):
        moved, order = crystals.permuted(atoms, seed)
        moved.positions += np.random.default_rng(seed).normal(0, 1e-7, moved.positions.shape)
        graph = graph_of(moved)
        same(mlp(12).describe(graph, features_of(graph)), found[torch.as_tensor(order)], "permutation", 1e-6)


def test_no_message_passes() -> None:
    """An atom beyond the cutoff changes nothing, even where the neighbors see it."""
    chain = ase.Atoms("Fe4", positions=[(3.0 * k, 0, 0) for k in range(4)], cell=[30, 20, 20], pbc=False)
    torch.manual_seed(0)
    module = mlp()
    before = module(graph_of(chain), features_of(graph_of(chain))).nodes
    chain.positions[2] += (0.1, 0.2, 0.1)
    after = module(graph_of(chain), features_of(graph_of(chain))).nodes
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_without_any_edge() -> None:
    graph = graph_of(crystals.isolated())
    assert nearest(graph, 3).tolist() == [[0, 0, 0]] * graph.n_atoms
    assert torch.isfinite(mlp()(graph, features_of(graph)).nodes).all()
