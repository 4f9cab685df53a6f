"""The constant of an energy per atom, in closed form: what training leaves of it is a matter of chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.nouns.graph import CrystalGraph


class _Head(Protocol):
    mean: Tensor

    def __call__(self, graph: CrystalGraph, embedding: Embedding) -> Mapping[str, Prediction]: ...


class Constant:
    """Makes the median error of the energies per atom nothing; see :class:`crystalcli.contracts.modules.ClosedForm`.

    Every step on forces moves the energy of all structures alike by some meV/atom, and no force says so: of a short
    training with a large rate a part of that was left at the end, several times the errors between structures.

    Args:
        head: whose mean is set.
    """

    walks = (128,)
    """Structures. Each costs an energy at every evaluation; of 32 of silicon the median was 3 meV/atom beside that of
    all, for kinds of configurations are off by different amounts."""

    def __init__(self, head: _Head) -> None:
        self.head, self.errors = head, list[Tensor]()

    def take(
        self,
        walk: int,  # noqa: ARG002
        graph: CrystalGraph,
        embedding: Embedding,
        labels: Mapping[str, Labels],
    ) -> None:
        """Look at a batch."""
        if (label := labels.get("energy")) is not None:
            error = (label.value - self.head(graph, embedding)["energy"].value) / graph.atom_counts
            self.errors.append(error[label.mask].double())

    def end(self, walk: int) -> None:  # noqa: ARG002
        """Add the median of what is missing."""
        errors = torch.cat(self.errors) if self.errors else torch.zeros(0)
        if len(errors):
            self.head.mean += torch.quantile(errors, 0.5)
