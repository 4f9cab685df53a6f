"""The one type inside torch: a batch of crystal graphs, and the verbs that read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.orbits import ORBIT
from crystalcli.vocabulary.errors import InputError


@dataclass(frozen=True)
class CrystalGraph:
    """A batch of S crystals with N atoms and E directed edges in all; one crystal is a batch of one.

    Args:
        positions: (N, 3), Å.
        cell: (S, 3, 3), lattice vectors as rows, Å.
        pbc: (S, 3) bool.
        atomic_numbers: (N,) int64.
        edge_index: (2, E) int64, [centre i, neighbor j], sorted by centre.
        row_pointers: (N + 1,) int64; the edges of centre i are ``row_pointers[i]:row_pointers[i + 1]``.
        cell_shifts: (E, 3), S in ``d = r_j + S·cell − r_i`` (dtype of positions).
        structure_index: (N,) int64, the structure each atom belongs to.
        atom_counts: (S,) int64.
        fields: further named per-site tensors with leading axis N, in the dtype of positions: what featurizers make
            beside edges, what parts read by name (``fixed`` 0 or 1, ``tags``, any array of the files), and numbers of
            a structure, the same at all its sites.
    """

    positions: Tensor
    cell: Tensor
    pbc: Tensor
    atomic_numbers: Tensor
    edge_index: Tensor
    row_pointers: Tensor
    cell_shifts: Tensor
    structure_index: Tensor
    atom_counts: Tensor
    fields: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def n_structures(self) -> int:
        """Number of crystals S."""
        return self.cell.shape[0]

    @property
    def n_atoms(self) -> int:
        """Number of atoms N."""
        return self.positions.shape[0]

    @property
    def n_edges(self) -> int:
        """Number of directed edges E."""
        return self.edge_index.shape[1]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> CrystalGraph:
        """Move to ``device``; floating tensors change to ``dtype`` if given."""

        def moved(t: Tensor) -> Tensor:
            return t.to(device, dtype if t.is_floating_point() else None, non_blocking=True)

        tensors = {k: moved(v) for k, v in self.__dict__.items() if isinstance(v, Tensor)}
        return replace(self, **tensors, fields={k: moved(v) for k, v in self.fields.items()})


def collate(crystals: Sequence[GraphArrays], dtype: torch.dtype = torch.float32) -> CrystalGraph:
    """Join crystals into one batch, in order; all have the same fields, float tensors here.

    Raises:
        InputError: one has other per-site fields than the first.
    """
    counts = np.array([c.n_atoms for c in crystals], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    edges = np.concatenate([c.edge_index + s for c, s in zip(crystals, starts[:-1], strict=True)], axis=1)
    n_atoms = int(starts[-1])
    degree = np.bincount(edges[0], minlength=n_atoms)
    names = {k: v.shape[1:] for k, v in crystals[0].fields.items()} if crystals else {}
    for c in crystals:
        if {k: v.shape[1:] for k, v in c.fields.items()} != names:
            raise InputError(f"has per-site fields {sorted(c.fields)}, others have {sorted(names)}", code="fields")
    return CrystalGraph(
        positions=torch.as_tensor(np.concatenate([c.positions for c in crystals]), dtype=dtype),
        cell=torch.as_tensor(np.stack([c.cell for c in crystals]), dtype=dtype),
        pbc=torch.as_tensor(np.stack([c.pbc for c in crystals])),
        atomic_numbers=torch.as_tensor(np.concatenate([c.atomic_numbers for c in crystals])),
        edge_index=torch.as_tensor(edges),
        row_pointers=torch.as_tensor(np.concatenate([[0], np.cumsum(degree)])),
        cell_shifts=torch.as_tensor(np.concatenate([c.cell_shifts for c in crystals]), dtype=dtype),
        structure_index=torch.as_tensor(np.repeat(np.arange(len(crystals)), counts)),
        atom_counts=torch.as_tensor(counts),
        fields={
            k: torch.as_tensor(np.concatenate([c.fields[k] for c in crystals]), dtype=dtype) for k in sorted(names)
        },
    )


def with_edges(graph: CrystalGraph, kept: Tensor) -> CrystalGraph:
    """The graph with the edges of these numbers (K,) only, in ascending order."""
    edge_index = graph.edge_index.index_select(1, kept)
    degree = torch.bincount(edge_index[0], minlength=graph.n_atoms)
    pointers = torch.zeros_like(graph.row_pointers)
    torch.cumsum(degree, 0, out=pointers[1:])
    return replace(
        graph, edge_index=edge_index, row_pointers=pointers, cell_shifts=graph.cell_shifts.index_select(0, kept)
    )


@dataclass(frozen=True)
class DistinctAtoms:
    """One atom of every set that symmetry makes equal.

    Args:
        atoms: (M,) int64, their numbers, ascending.
        place: (N,) int64, for every atom of the graph which of them stands for it.
        edges: (E',) int64, the edges of which they are the centre, ascending.
    """

    atoms: Tensor
    place: Tensor
    edges: Tensor


def distinct_atoms(graph: CrystalGraph) -> DistinctAtoms | None:
    """What invariants need to be computed of, where graphs have the field ``orbit``; else none, for all atoms.

    None, too, where somebody differentiates with respect to positions: atoms may then move one by one.
    """
    orbit = graph.fields.get(ORBIT)
    if orbit is None or graph.positions.requires_grad:
        return None
    starts = torch.cumsum(graph.atom_counts, 0) - graph.atom_counts
    first = orbit.round().long() + starts.index_select(0, graph.structure_index)
    own = first == torch.arange(graph.n_atoms, device=first.device)
    atoms = own.nonzero().squeeze(1)
    if len(atoms) == graph.n_atoms:
        return None
    place = (torch.cumsum(own, 0) - 1).index_select(0, first)
    return DistinctAtoms(atoms, place, own.index_select(0, graph.edge_index[0]).nonzero().squeeze(1))


def edge_vectors(graph: CrystalGraph) -> Tensor:
    """Vector from centre to neighbor of every edge, (E, 3) Å: ``d = r_j + S·cell − r_i``."""
    centre, neighbor = graph.edge_index[0], graph.edge_index[1]
    cell = graph.cell.index_select(0, graph.structure_index.index_select(0, centre))
    a, b, c = (graph.cell_shifts[:, k].unsqueeze(1) * cell[:, k] for k in range(3))  # bmm of so small ones is slow
    offset = a + b + c
    return graph.positions.index_select(0, neighbor) - graph.positions.index_select(0, centre) + offset


def edge_lengths(graph: CrystalGraph) -> Tensor:
    """Length of every edge, (E,) Å."""
    lengths: Tensor = torch.linalg.vector_norm(edge_vectors(graph), dim=-1)
    return lengths


def sum_over_neighbors(graph: CrystalGraph, messages: Tensor) -> Tensor:
    """Sum (E, F) messages into their centres, (N, F); an atom without neighbors gets zero."""
    out = messages.new_zeros(graph.n_atoms, messages.shape[1])
    return out.index_add(0, graph.edge_index[0], messages)


def sum_per_structure(graph: CrystalGraph, values: Tensor) -> Tensor:
    """Sum (N, F) site values into their structures, (S, F)."""
    out = values.new_zeros(graph.n_structures, *values.shape[1:])
    return out.index_add(0, graph.structure_index, values)


def mean_per_structure(graph: CrystalGraph, values: Tensor) -> Tensor:
    """Mean of (N, F) site values in each structure, (S, F)."""
    return sum_per_structure(graph, values) / graph.atom_counts.to(values.dtype).unsqueeze(-1)


def max_per_structure(graph: CrystalGraph, values: Tensor) -> Tensor:
    """Element-wise maximum of (N, F) site values in each structure, (S, F)."""
    index = graph.structure_index.unsqueeze(-1).expand_as(values)
    out = values.new_full((graph.n_structures, values.shape[1]), -torch.inf)
    return out.scatter_reduce(0, index, values, reduce="amax", include_self=True)


def smooth_max_per_structure(graph: CrystalGraph, values: Tensor, beta: float) -> Tensor:
    """``β⁻¹ log[(1/N) Σ exp(β u_i)]`` of (N, F) site values in each structure, (S, F).

    The maximum for β → ∞, the mean for β → 0; smooth, and the same for a crystal and its supercells.
    """
    largest = max_per_structure(graph, values.detach())  # so that no exponential is too large
    shifted = values - largest.index_select(0, graph.structure_index)
    return largest + torch.log1p(mean_per_structure(graph, torch.expm1(beta * shifted))) / beta
