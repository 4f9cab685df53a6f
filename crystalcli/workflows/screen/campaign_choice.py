"""Which candidates of a campaign are trained on, and what they have at the end of all stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.records import Architecture
from crystalcli.mechanisms.phases import choosing
from crystalcli.mechanisms.phases.hull import Phase, fractions
from crystalcli.mechanisms.phases.screening import decide
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.workflows.graphs.build_graphs_work import Work, graph_maker
from crystalcli.workflows.screen.campaign_models import Models
from crystalcli.workflows.screen.campaign_results import Item
from crystalcli.workflows.screen.campaign_work import Workshop

Floats = NDArray[np.float64]


class Taught:
    """Candidates that go through all stages; filled round by round.

    Args:
        shop: has the structures. models: trains between the rounds.
        references: further phases of known energy.
    """

    def __init__(self, shop: Workshop, models: Models, references: Sequence[Phase]) -> None:
        self.shop, self.models, self.references = shop, models, references
        self.ids: list[str] = []
        self.energies: dict[str, float] = {}

    @property
    def phases(self) -> list[Phase]:
        """Those with a final energy, and the references."""
        amounts = self.shop.start
        return [*self.references, *(Phase(amounts[i].amounts, e, i) for i, e in self.energies.items())]

    def choose(self, candidates: Sequence[str]) -> None:
        """Choose among ``candidates``, which are at the first stage, and bring the chosen to the last."""
        s = self.shop.plan.settings
        if s.selection == "random":
            self._take(choosing.drawn(candidates, s.train, s.seed), 1)
            return
        there = [i for i in sorted(candidates) if self.shop.has_structure(0, i)]
        if s.selection == "diversity":
            first = choosing.drawn(there, 1, s.seed)
            rest = [i for i in there if i not in first]
            chosen = choosing.most_different(rest, self._features(rest), self._features(first), s.train - 1)
            self._take([*first, *chosen], 1)
            return
        sizes = [len(part) for part in np.array_split(np.arange(s.train), s.rounds)]
        self._take(choosing.drawn(there, sizes[0], s.seed), 1)
        for number, size in enumerate(sizes[1:], 2):
            rest = [i for i in there if i not in set(self.ids)]
            self._take(self._best(rest, size, number), number)

    def _take(self, ids: Sequence[str], number: int) -> None:
        """Bring ``ids`` through all stages."""
        for stage in range(len(self.shop.plan.stages)):
            self.shop.bring(stage, ids, "train" if number == 1 else f"train{number}")
        self.ids += ids
        self.energies |= self.shop.final(ids)
        lost = [i for i in ids if i not in self.energies]
        if lost:
            self.shop.listener.warn(f"{len(lost)} structures to train on have no final energy: {', '.join(lost[:5])}")

    def _best(self, rest: Sequence[str], size: int, number: int) -> list[str]:
        """The next ``size`` candidates, by what an ensemble says of them at the first stage."""
        path = self.models.train(0, self.energies, f"round-{number - 1}")
        found = self.models.predict(0, rest, path, f"round{number - 1}")
        if self.shop.plan.settings.selection == "uncertainty":
            return choosing.most_uncertain(found, size)
        rule = self.shop.plan.rule()
        decisions = decide(found, self.phases, rule.threshold, robust=rule.robust)
        return choosing.most_promising(found, decisions, size)

    def _features(self, ids: Sequence[str]) -> Floats:
        """Composition, volume per atom, and least, mean and spread of the distances to neighbors, (n, f)."""
        items = [self.shop.item(0, i) for i in ids]
        symbols = sorted({s for i in self.shop.start.values() for s in i.amounts})
        shares = fractions([Phase(i.amounts, 0.0) for i in items], symbols)
        return np.column_stack([shares, np.array([self._shape(i) for i in items])])

    def _shape(self, item: Item) -> list[float]:
        arch = registry().get("architecture", self.shop.plan.training.arch)
        assert isinstance(arch, Architecture)
        graph = graph_maker(Work(arch.featurizer))(item.atoms)
        centre, neighbor = np.asarray(graph.edge_index)
        where, cell = np.asarray(graph.positions), np.asarray(graph.cell)
        d = np.linalg.norm(where[neighbor] - where[centre] + np.asarray(graph.cell_shifts) @ cell, axis=1)
        if not len(d):
            return [0.0] * 4
        return [np.log(abs(np.linalg.det(cell)) / len(where)), float(d.min()), float(d.mean()), float(d.std())]
