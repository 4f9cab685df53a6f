"""The convolution of edges is its formula, edge by edge."""

import torch

from crystalcli.contracts.nn.edge_convolution import EdgeConvolution
from crystalcli.nouns.graph import collate, edge_lengths, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals


def test_edge_by_edge() -> None:
    torch.manual_seed(0)
    graph = collate([build_graph(crystals.rattled(), cutoff=3.0)], torch.float64)
    n, e, channels = graph.n_atoms, graph.n_edges, 2
    layer = EdgeConvolution(3, 4, vectors=channels, scale=0.3).double()
    v, u = torch.randn(n, 3).double(), torch.randn(e, 4).double()
    vectors, envelope = torch.randn(n, channels, 3).double(), torch.rand(e).double()
    d = edge_vectors(graph) / edge_lengths(graph)[:, None]
    nodes, edges, pushed = layer(graph, v, u, d, vectors, envelope)
    linear = lambda x: layer.linear.weight @ x + layer.linear.bias  # noqa: E731
    soft, sums, wanted, new = torch.nn.functional.softplus, torch.zeros_like(v), vectors.clone(), []
    for k, (i, j) in enumerate(graph.edge_index.t().tolist()):
        z = linear(torch.cat([v[i], v[j], u[k], vectors[i] @ d[k], vectors[j] @ d[k]]))
        a, b, g, h = z.split([3, 3, 4, 4])
        own = soft(g) * torch.sigmoid(h)
        new.append(soft(u[k] + own))
        sums[i] += envelope[k] * soft(a) * torch.sigmoid(b)
        wanted[i] += 0.3 * envelope[k] * layer.pushes(own)[:, None] * d[k]
    torch.testing.assert_close(nodes, soft(v + 0.3 * sums))
    torch.testing.assert_close(edges, torch.stack(new))
    torch.testing.assert_close(pushed, wanted)
