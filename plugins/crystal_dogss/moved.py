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
    """The label of every atom in the image nearest to where it starts, (N, 3) Å; the start where there is none."""
    start = graph.positions.double()
    known = labels.mask[:, None]
    return start + minimum_image(graph, torch.where(known, labels.value - start, torch.zeros_like(start)))


def error_vectors(graph: CrystalGraph, value: Tensor, labels: Labels) -> Tensor:
    """Predicted minus true positions, (N, 3) Å; zero for held atoms and those without a label.

    Of a structure without a held atom the mean is taken off: springs know no place, and neither does a relaxation.
    """
    counts = (labels.mask & (graph.fields["fixed"] < 0.5))[:, None]
    error = minimum_image(graph, torch.where(counts, value - labels.value, torch.zeros_like(value)))
    held = sum_per_structure(graph, graph.fields["fixed"].double()[:, None])
    number = sum_per_structure(graph, counts.double()).clamp_min(1.0)
    mean = torch.where(held > 0, torch.zeros_like(number), 1.0 / number) * sum_per_structure(graph, error)
    return torch.where(counts, error - mean.index_select(0, graph.structure_index), torch.zeros_like(error))


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
