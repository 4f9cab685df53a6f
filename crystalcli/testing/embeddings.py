"""Graphs with fields, and embeddings to try heads with: every kind of numbers, and edges, functions of the crystal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.irreps import EmbeddingShape, Irreps, Term
from crystalcli.contracts.modules import Embedding
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, edge_vectors, sum_over_neighbors
from crystalcli.nouns.structures.site_fields import SiteField
from crystalcli.testing.rotations import harmonics

REACH = 3.0
"""Å over which neighbors count; edges of graphs may be longer."""


def with_fields(graph: GraphArrays, wanted: Iterable[str]) -> GraphArrays:
    """``graph`` with per-site fields made up from the elements: ``fixed`` 0 or 1, ``tags`` 0 … 3, others any number."""
    made = {}
    z = graph.atomic_numbers
    for field in map(SiteField.parse, wanted):
        known = {"fixed": (z % 3 == 0) * 1.0, "tags": z % 4 * 1.0}
        values = known.get(field.name, np.sin(1.0 * z))
        made[field.name] = values if field.width == 1 else np.outer(values, np.arange(1.0, field.width + 1))
    return replace(graph, fields={**graph.fields, **made})


def embedding_of(graph: CrystalGraph, shape: EmbeddingShape, seed: int = 4) -> Embedding:
    """An embedding of ``shape``: sums over neighbors of random functions of elements and distance times harmonics.

    A supercell, another order, another image of the atoms give the same; turned crystals turned numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    vectors = edge_vectors(graph).detach().double()
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    fade = torch.where(lengths < REACH, 4 * torch.cos(torch.pi / 2 * lengths / REACH) ** 2, torch.zeros_like(lengths))
    columns = [_term(graph, t, vectors, lengths, fade, generator) for t in shape.irreps.terms]
    edges = None
    if shape.edge_dim:
        weights = _weights(graph, shape.edge_dim, lengths, generator)
        edges = weights + torch.cos(lengths.unsqueeze(1) * torch.arange(1, shape.edge_dim + 1))
    return Embedding(torch.cat(columns, 1), edges, shape.irreps)


def _term(
    graph: CrystalGraph, term: Term, vectors: Tensor, lengths: Tensor, fade: Tensor, generator: torch.Generator
) -> Tensor:
    """(N, count · (2l + 1))."""
    if not term.degree:
        table = torch.randn(120, term.count, generator=generator, dtype=torch.float64)
        around = sum_over_neighbors(graph, _weights(graph, term.count, lengths, generator) * fade.unsqueeze(1))
        scalars = table.index_select(0, graph.atomic_numbers) + around
        if term.kind == "0e":
            return scalars
        a, b, c = (_directions(graph, term.count, vectors, lengths, fade, generator) for _ in range(3))
        pseudo: Tensor = (torch.linalg.cross(a, b) * c).sum(2)  # changes its sign in a mirror
        return pseudo
    if (-1) ** term.degree == (1 if term.kind.endswith("e") else -1):
        found = _natural(graph, term.degree, term.count, vectors, lengths, fade, generator)
    elif term.degree == 1:
        a, b = (_directions(graph, term.count, vectors, lengths, fade, generator) for _ in range(2))
        found = torch.linalg.cross(a, b)
    else:
        raise ValueError(f"no {term.kind} is made up here; override the contract's embedding()")
    return found.reshape(graph.n_atoms, -1)


def _natural(
    graph: CrystalGraph,
    degree: int,
    count: int,
    vectors: Tensor,
    lengths: Tensor,
    fade: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """(N, count, 2l + 1), of parity (−1)^l."""
    shape = torch.as_tensor(harmonics(degree, vectors.cpu().numpy())) if len(vectors) else vectors.new_zeros(0, 1)
    weights = _weights(graph, count, lengths, generator) * fade.unsqueeze(1)
    messages = weights.unsqueeze(2) * shape.reshape(len(vectors), 1, 2 * degree + 1)
    return sum_over_neighbors(graph, messages.flatten(1)).reshape(graph.n_atoms, count, 2 * degree + 1)


def _directions(
    graph: CrystalGraph, count: int, vectors: Tensor, lengths: Tensor, fade: Tensor, generator: torch.Generator
) -> Tensor:
    """(N, count, 3) vectors of a length near 1, so that products of them are not tiny."""
    found = _natural(graph, 1, count, vectors, lengths, fade, generator)
    unit: Tensor = found / (found.norm(dim=2, keepdim=True) + 0.05)
    return unit


def _weights(graph: CrystalGraph, count: int, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """(E, count) of the elements at both ends and the distance; not symmetric."""
    centre, neighbor = (torch.randn(120, count, generator=generator, dtype=torch.float64) for _ in range(2))
    zi, zj = (graph.atomic_numbers.index_select(0, end) for end in graph.edge_index)
    return torch.tanh(centre[zi] + neighbor[zj]) * torch.sin(lengths.unsqueeze(1) + torch.arange(count))


def made_up_shape(kinds: Iterable[str], edge_dim: int) -> EmbeddingShape:
    """Six scalars and three of every other kind."""
    others = [f"3x{kind}" for kind in sorted(set(kinds) - {"0e"})]
    return EmbeddingShape(Irreps.parse("+".join(["6x0e", *others])), edge_dim)
