"""A head and what it is tried with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any, ClassVar, cast

import ase
import torch
from torch import Tensor, nn

from crystalcli.contracts import options as opt
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.modules import Embedding, Labels
from crystalcli.contracts.records import Head, Statistics
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.elements import with_elements
from crystalcli.testing.embeddings import embedding_of, made_up_shape, with_fields
from crystalcli.vocabulary.quantities import Quantity

EDGE_DIM = 5


class HeadTrial:
    """A head with crystals, embeddings and labels to try it with.

    Embeddings have edges, and of every kind of irreps that the part takes; they are functions of the crystal, so that
    they turn, move and repeat with it.
    """

    part: ClassVar[Head]
    options: ClassVar[Mapping[str, Any]] = {}
    targets: ClassVar[tuple[Quantity, ...]] = (Quantity("energy", "eV"), Quantity("gap", "eV"))
    means: ClassVar[tuple[float, ...]] = (3.0, -1.0)
    scales: ClassVar[tuple[float, ...]] = (0.5, 2.0)
    cutoff: ClassVar[float] = 3.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        learns = getattr(cls, "part", None) and cls.part.learns
        said = any("targets" in vars(c) for c in cls.__mro__ if c is not HeadTrial)
        if learns and not said:  # what is derived from an energy is not the head's to predict
            derived = ("forces", "stress", "pressure") if "energy" in cls.part.provides else ()
            cls.targets = tuple(q for q in learns if q.name not in derived)
            cls.means, cls.scales = cls.means[: len(cls.targets)], cls.scales[: len(cls.targets)]
        elif getattr(cls, "part", None) and cls.part.level == "site" and not said:
            cls.targets = tuple(replace(t, level="site") for t in cls.targets)

    @staticmethod
    def rows(quantity: Quantity, graph: CrystalGraph) -> int:
        """How many values of ``quantity`` a batch has: one per structure, or per site."""
        return graph.n_atoms if quantity.level == "site" else graph.n_structures

    @property
    def of_sites(self) -> bool:
        """Whether the head predicts values of sites."""
        return self.targets[0].level == "site"

    def statistics(self, factor: float = 1.0) -> Statistics:
        """Statistics of the training split, in a unit ``factor`` times smaller."""
        names = [t.name for t in self.targets]
        means = (0.0 if t.shape else factor * m for t, m in zip(self.targets, self.means, strict=True))
        return Statistics(
            target_mean=dict(zip(names, means, strict=True)),
            target_scale=dict(zip(names, (factor * s for s in self.scales), strict=True)),
        )

    def build(self, factor: float = 1.0, elements: tuple[int, ...] = ()) -> Any:
        """A fresh module, its weights in float64; of a training split with ``elements``."""
        options: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        statistics = self.statistics(factor)
        if elements:
            statistics = with_elements(statistics, elements)
        return cast(nn.Module, self.part.build(options, self.shape, self.targets, statistics)).double()

    def module(self, factor: float = 1.0) -> Any:
        """The same module in every call, in evaluation mode."""
        torch.manual_seed(0)
        return self.build(factor).eval()

    def batch(self) -> tuple[CrystalGraph, Embedding]:
        """Crystals of 1 to 5 atoms and their embedding."""
        graph = self.graph(*crystals.all_crystals())
        return graph, self.embedding(graph)

    @property
    def shape(self) -> EmbeddingShape:
        """Of the embeddings that the part is tried with."""
        return made_up_shape(self.part.irreps, EDGE_DIM)

    def graph(self, *atoms: ase.Atoms) -> CrystalGraph:
        """Batch of ``atoms`` with the fields that the part reads."""
        fields = self.part.fields(opt.make(self.part.options, self.options, owner=self.part.name))
        return collate([with_fields(build_graph(a, cutoff=self.cutoff), fields) for a in atoms], torch.float64)

    def embedding(self, graph: CrystalGraph) -> Embedding:
        """An embedding of the atoms and edges of a batch."""
        return embedding_of(graph, self.shape)

    def labels(self, graph: CrystalGraph, factor: float = 1.0, value: float | None = None) -> dict[str, Labels]:
        """Labels of a batch: the first of each target missing and NaN, the others random or ``value``."""
        generator = torch.Generator().manual_seed(6)
        made = {}
        for t in self.targets:
            n = self.rows(t, graph)
            if t.classes:
                values = torch.randint(t.classes, (n,), generator=generator).double()
            else:
                values = torch.randn(n, *t.shape, generator=generator, dtype=torch.float64) * factor
            if t.meaning == "position":
                values = graph.positions + 0.1 * values
            mask = torch.ones(n, dtype=torch.bool)
            mask[0] = False
            values[0] = torch.nan if value is None else value
            made[t.name] = Labels(values, mask)
        return made

    def values(self, graph: CrystalGraph, embedding: Embedding) -> Tensor:
        """Predicted values of all targets side by side, (S, …) or (N, …)."""
        predictions = self.module()(graph, embedding)
        columns = []
        for t in self.targets:
            value = predictions[t.name].value.reshape(self.rows(t, graph), -1)
            at_sites = self.of_sites and t.level == "structure"  # of a head that predicts both
            columns.append(value.index_select(0, graph.structure_index) if at_sites else value)
        return torch.cat(columns, 1).detach()

    def of(self, *atoms: ase.Atoms) -> Tensor:
        """Values of all targets for crystals, see :meth:`values`."""
        graph = self.graph(*atoms)
        return self.values(graph, self.embedding(graph))

    def said(self) -> Callable[[nn.Module], Tensor]:
        """What a module predicts of the batch, in a row."""
        graph, embedding = self.batch()
        return lambda module: torch.cat([p.value.flatten() for p in module(graph, embedding).values()])

    def per_column(self, shift: Tensor) -> Tensor:
        """``shift`` (n, 3) under the columns of positions, 0 under all others."""
        columns = [
            shift if t.meaning == "position" else shift.new_zeros(len(shift), max(t.classes, prod(t.shape)))
            for t in self.targets
        ]
        return torch.cat(columns, 1)
