"""Errors of predicted positions: of free atoms, to the nearest image, without a shift that nothing could know."""

from __future__ import annotations

import torch
from torch import Tensor

from crystalcli.contracts.counting import Counted
from crystalcli.contracts.modules import Labels
from crystalcli.contracts.nn.losses import ELEMENTWISE
from crystalcli.nouns.graph import CrystalGraph, sum_per_structure
from crystalcli.nouns.images import minimum_image
from crystalcli.vocabulary.errors import UsageError, did_you_mean

SHORTEST = 1e-4
"""Å; a shorter distance counts quadratically, for at zero a distance has no derivative."""


def free_atoms(graph: CrystalGraph) -> Tensor:
    """(N, 1) float64: 1 where an atom may move, 0 where it is held."""
    return 1.0 - graph.fields["fixed"].double()[:, None]


def nearest(graph: CrystalGraph, labels: Labels) -> Tensor:
    """The label of every atom in the image nearest to where it starts, (N, 3) Å; the start where there is none.

    Of a structure without a held atom, nearest beside the shift of all its atoms.
    """
    start = graph.positions.double()
    counts = labels.mask[:, None]
    apart = torch.where(counts, labels.value - start, torch.zeros_like(start))
    shift = _common_shift(graph, apart, counts).index_select(0, graph.structure_index)
    return start + torch.where(counts, minimum_image(graph, apart - shift) + shift, torch.zeros_like(start))


def error_vectors(graph: CrystalGraph, value: Tensor, labels: Labels) -> Tensor:
    """Predicted minus true positions, (N, 3) Å; zero for held atoms and those without a label.

    Of a structure without a held atom the mean is taken off: springs know no place, and neither does a relaxation.
    """
    counts = (labels.mask & (graph.fields["fixed"] < 0.5))[:, None]
    apart = torch.where(counts, value - labels.value, torch.zeros_like(value))
    shift = _common_shift(graph, apart, counts).index_select(0, graph.structure_index)
    error = torch.where(counts, minimum_image(graph, apart - shift), torch.zeros_like(value))
    mean = _mean_of_free(graph, error, counts).index_select(0, graph.structure_index)
    return torch.where(counts, error - mean, torch.zeros_like(error))


def _common_shift(graph: CrystalGraph, apart: Tensor, counts: Tensor) -> Tensor:
    """By which the atoms of a structure without a held one are apart together, (S, 3) Å; zero for others, no gradient.

    Images have to be chosen beside it: of a crystal that moved by half a cell some atoms are nearer in one direction,
    some in the other. Atoms are compared with the first, then all with the mean.
    """
    apart, n = apart.detach(), graph.n_atoms
    number = torch.arange(n, device=apart.device).where(counts[:, 0], n)
    first = torch.full((graph.n_structures,), n, device=apart.device)
    first = first.scatter_reduce(0, graph.structure_index, number, "amin")
    free = (first < n)[:, None] & ~_has_held(graph)
    if not free.any():
        return apart.new_zeros(graph.n_structures, 3)
    shift = torch.where(free, apart.index_select(0, first.clamp_max(n - 1)), 0.0)
    beside = minimum_image(graph, apart - shift.index_select(0, graph.structure_index))
    return shift + _mean_of_free(graph, torch.where(counts, beside, 0.0), counts)


def _mean_of_free(graph: CrystalGraph, vectors: Tensor, counts: Tensor) -> Tensor:
    """Mean over the atoms that count, (S, 3); zero for structures with a held atom."""
    number = sum_per_structure(graph, counts.double()).clamp_min(1.0)
    return torch.where(_has_held(graph), torch.zeros_like(number), 1.0 / number) * sum_per_structure(graph, vectors)


def _has_held(graph: CrystalGraph) -> Tensor:
    return sum_per_structure(graph, graph.fields["fixed"].double()[:, None]) > 0


def mean_error(graph: CrystalGraph, value: Tensor, labels: Labels, unit: Tensor, kind: str) -> Tensor:
    """Mean over free atoms with a label of the loss of their distance to it, in ``unit`` Å (eq. 8 with ``l1``).

    Raises:
        UsageError: an unknown kind.
    """
    if kind not in ELEMENTWISE:
        raise UsageError(f"no loss '{kind}'; {did_you_mean(kind, list(ELEMENTWISE))}")
    squared = error_vectors(graph, value, labels).square().sum(1)
    far = squared > SHORTEST**2
    distance = torch.where(far, squared.clamp_min(SHORTEST**2).sqrt(), squared / SHORTEST)
    counts = (labels.mask & (graph.fields["fixed"] < 0.5)).sum().clamp_min(1)
    return ELEMENTWISE[kind](distance / unit).sum() / counts


def difference(graph: CrystalGraph, value: Tensor, labels: Labels) -> Counted:
    """How errors are counted: distances of free atoms."""
    return Counted(error_vectors(graph, value, labels), by_norm=True)
