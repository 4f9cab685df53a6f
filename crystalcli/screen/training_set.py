"""What ensembles are trained on: labelled candidates, or some that are chosen and go through all stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.records import Architecture
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.graphs.packing import GraphWork, graph_maker, graph_of
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.screen import choosing
from crystalcli.screen.ensembles import Ensembles
from crystalcli.screen.hull import Phase, fractions
from crystalcli.screen.rule import decide
from crystalcli.screen.state import CampaignState

Floats = NDArray[np.float64]


class TrainingSet:
    """Candidates whose final formation energies are known, eV/atom; those that are chosen come round by round.

    Args:
        state: has the structures. ensembles: trains between the rounds.
        references: further phases of known energy.
    """

    def __init__(self, state: CampaignState, ensembles: Ensembles, references: Sequence[Phase]) -> None:
        self.state, self.ensembles, self.references = state, ensembles, references
        self.ids: list[str] = []
        self.energies: dict[str, float] = {}

    def fill(self, candidates: Sequence[str]) -> None:
        """Take of ``candidates`` what the plan says."""
        if self.state.plan.trains_on == "chosen":
            self._choose(candidates)
        elif self.state.plan.trains_on == "labelled":
            known = self.state.candidates.energies
            self.ids = [i for i in candidates if i in known]
            self.energies = {i: known[i] for i in self.ids}

    @property
    def phases(self) -> list[Phase]:
        """Those with a final energy, and the references."""
        amounts = self.state.amounts
        return [*self.references, *(Phase(amounts[i], e, i) for i, e in self.energies.items())]

    def _choose(self, candidates: Sequence[str]) -> None:
        """Choose among ``candidates``, which are at the first stage, and bring the chosen to the last."""
        s = self.state.plan.settings
        if s.selection == "random":
            self._take(choosing.drawn(candidates, s.train, s.seed), 1)
            return
        there = [i for i in sorted(candidates) if self.state.has_structure(0, i)]
        if s.selection == "diversity":
            shapes = self._shapes(there)
            first = choosing.drawn(list(shapes), 1, s.seed)
            rest = [i for i in shapes if i not in first]
            chosen = first
            if rest:
                known, others = self._features(first, shapes), self._features(rest, shapes)
                chosen = [*first, *choosing.most_different(rest, others, known, s.train - 1)]
            self._take(chosen, 1)
            return
        start, *more = s.sizes
        self._take(choosing.drawn(there, start, s.seed), 1)
        for number, size in enumerate(more, 2):
            taken = set(self.ids)
            rest = [i for i in there if i not in taken]
            self._take(self._best(rest, size, number), number)

    def _take(self, ids: Sequence[str], number: int) -> None:
        """Bring ``ids`` through all stages."""
        for stage in range(len(self.state.plan.stages)):
            self.state.bring(stage, ids, "train" if number == 1 else f"train{number}")
        self.ids += ids
        self.energies |= self.state.final(ids)
        lost = [i for i in ids if i not in self.energies]
        if lost:
            self.state.run.reporter.warn(
                f"{len(lost)} structures to train on have no final energy: {', '.join(lost[:5])}"
            )

    def _best(self, rest: Sequence[str], size: int, number: int) -> list[str]:
        """The next ``size`` candidates, by what an ensemble says of them at the first stage."""
        path = self.ensembles.train(0, self.energies, f"round-{number - 1}")
        found = self.ensembles.predict(0, rest, path, f"round{number - 1}")
        if self.state.plan.settings.selection == "uncertainty":
            return choosing.most_uncertain(found, size)
        rule = self.state.plan.rule()
        decisions = decide(found, self.phases, rule.threshold, robust=rule.robust)
        return choosing.most_promising(found, decisions, size)

    def _features(self, ids: Sequence[str], shapes: Mapping[str, Sequence[float]]) -> Floats:
        """Composition and shape of every structure, (n, f)."""
        symbols = sorted({s for a in self.state.amounts.values() for s in a})
        shares = fractions([Phase(self.state.amounts[i], 0.0) for i in ids], symbols)
        return np.column_stack([shares, np.array([shapes[i] for i in ids])])

    def _shapes(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """Volume per atom, and least, mean and spread of the distances to neighbors, by id, of what has a graph."""
        arch = registry().get("architecture", self.state.plan.training.arch)
        assert isinstance(arch, Architecture)
        work = GraphWork(arch.featurizer)
        make = graph_maker(work)
        found: dict[str, list[float]] = {}
        for i in ids:
            graph = graph_of(work, make, self.state.structure(0, i).entry())
            if isinstance(graph, Failure):
                self.state.run.reporter.warn(f"{i} is not chosen from: {graph.reason}")
            else:
                found[i] = _shape(graph)
        return found


def _shape(graph: GraphArrays) -> list[float]:
    centre, neighbor = np.asarray(graph.edge_index)
    where, cell = np.asarray(graph.positions), np.asarray(graph.cell)
    d = np.linalg.norm(where[neighbor] - where[centre] + np.asarray(graph.cell_shifts) @ cell, axis=1)
    if not len(d):
        return [0.0] * 4
    return [np.log(abs(np.linalg.det(cell)) / len(where)), float(d.min()), float(d.mean()), float(d.std())]
