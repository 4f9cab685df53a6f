"""CGCNN as it is told in the paper: tables of N × M neighbors, concatenated z, a loop over crystals. Slow and plain."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def padded(graph, max_neighbors):
    """Neighbor table (N, M), distances (N, M) and mask (N, M) of a batch; free places point at atom 0, masked."""
    n = graph.n_atoms
    table = torch.zeros(n, max_neighbors, dtype=torch.long)
    distance = torch.zeros(n, max_neighbors, dtype=graph.positions.dtype)
    mask = torch.zeros(n, max_neighbors, dtype=torch.bool)
    filled = [0] * n
    for e in range(graph.n_edges):
        i, j = graph.edge_index[:, e].tolist()
        s = int(graph.structure_index[i])
        d = graph.positions[j] + graph.cell_shifts[e] @ graph.cell[s] - graph.positions[i]
        table[i, filled[i]], distance[i, filled[i]], mask[i, filled[i]] = j, d.norm(), True
        filled[i] += 1
    return table, distance, mask


def gaussians(distance, cutoff=8.0, step=0.2):
    """exp(−(r − μ)²/σ²), with whatever tiny numbers come out."""
    centres = torch.arange(round(cutoff / step) + 1, dtype=distance.dtype) * step
    return torch.exp(-((distance.unsqueeze(-1) - centres) ** 2) / step**2)


class PlainConvolution(nn.Module):
    """[p, q] = BN1(W (v_i ⊕ v_j ⊕ u) + b); v ← softplus(v + BN2(Σ σ(p) softplus(q)))."""

    def __init__(self, width=64, edge_dim=41, norm=True):
        super().__init__()
        self.width, self.norm = width, norm
        self.linear = nn.Linear(2 * width + edge_dim, 2 * width)
        if norm:
            self.norm_edges, self.norm_nodes = nn.BatchNorm1d(2 * width), nn.BatchNorm1d(width)

    def forward(self, v, table, u, mask=None):
        n, m = table.shape
        z = torch.cat([v.unsqueeze(1).expand(n, m, self.width), v[table], u], dim=2)
        z = self.linear(z)
        if self.norm and mask is None:
            z = self.norm_edges(z.view(n * m, -1)).view(n, m, -1)
        elif self.norm:
            full = torch.zeros_like(z)
            full[mask] = self.norm_edges(z[mask])
            z = full
        p, q = z.chunk(2, dim=2)
        messages = torch.sigmoid(p) * F.softplus(q)
        if mask is not None:
            messages = messages * mask.unsqueeze(-1)
        summed = messages.sum(dim=1)
        return F.softplus(v + self.norm_nodes(summed)) if self.norm else v + summed


class PlainCgcnn(nn.Module):
    """Embedding, T convolutions, mean over the atoms of each crystal, softplus, two linear maps."""

    def __init__(self, width=64, hidden=128, n_conv=3, edge_dim=41):
        super().__init__()
        self.embed = nn.Linear(92, width)
        self.convolutions = nn.ModuleList(PlainConvolution(width, edge_dim) for _ in range(n_conv))
        self.to_hidden, self.out = nn.Linear(width, hidden), nn.Linear(hidden, 1)

    def forward(self, atoms, table, u, counts, mask=None):
        v = self.embed(atoms)
        for convolution in self.convolutions:
            v = convolution(v, table, u, mask)
        pooled, start = [], 0
        for count in counts:
            pooled.append(v[start : start + count].mean(dim=0))
            start += count
        return self.out(F.softplus(self.to_hidden(F.softplus(torch.stack(pooled))))).squeeze(1)


def like(model):
    """Plain twin with the weights of a CrystalModel of architecture ``cgcnn`` at its defaults."""
    twin = PlainCgcnn().to(model.head.layers[1].weight.dtype)
    state = {k.removeprefix("architecture."): v for k, v in model.state_dict().items() if k.startswith("architecture.")}
    for old, new in (("1", "to_hidden"), ("3", "out")):
        for kind in ("weight", "bias"):
            state[f"{new}.{kind}"] = model.state_dict()[f"head.layers.{old}.{kind}"]
    twin.load_state_dict(state)
    return twin
