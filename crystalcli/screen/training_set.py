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
from crystalcli.screen.ensembles import Ensembles
from crystalcli.screen.hull import Phase, fractions
from crystalcli.screen.rule import Candidate, Decision, decide
from crystalcli.screen.state import CampaignState

Floats = NDArray[np.float64]


def drawn(ids: Sequence[str], count: int, seed: int) -> list[str]:
    """``count`` of ``ids`` at random, whatever their order, sorted; a smaller draw is part of a larger one."""
    order = np.random.default_rng([seed, 60]).permutation(len(ids))
    every = sorted(ids)
    return sorted(every[k] for k in order[:count])


def most_uncertain(candidates: Sequence[Candidate], count: int) -> list[str]:
    """Those on which the members disagree most; ties by id."""
    ranked = sorted((c for c in candidates if np.isfinite(c.energy)), key=lambda c: (-c.epistemic, c.id))
    return [c.id for c in ranked[:count]]


def most_promising(candidates: Sequence[Candidate], decisions: Sequence[Decision], count: int) -> list[str]:
    """Those that most members see on the hull, then those nearest to it; ties by id."""
    judged = [(c, d) for c, d in zip(candidates, decisions, strict=True) if np.isfinite(c.energy)]
    ranked = sorted(judged, key=lambda j: (-(j[1].on_hull or 0.0), j[1].above, j[0].id))
    return [c.id for c, _ in ranked[:count]]


def most_different(ids: Sequence[str], features: Floats, chosen: Floats, count: int) -> list[str]:
    """Farthest-point selection: each next one is farthest from all that are chosen.

    Args:
        ids: of the candidates.
        features: (n, f) of each.
        chosen: (m, f) of those chosen before, m ≥ 1.
        count: how many.
    """
    scale = np.concatenate([features, chosen]).std(0)
    scale[scale == 0.0] = 1.0
    x, known = features / scale, chosen / scale
    nearest = np.min([np.linalg.norm(x - k, axis=1) for k in known], axis=0)
    found: list[str] = []
    for _ in range(min(count, len(ids))):
        k = int(nearest.argmax())
        found.append(ids[k])
        nearest = np.minimum(nearest, np.linalg.norm(x - x[k], axis=1))
        nearest[k] = -1.0
    return found


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
            self._take(drawn(candidates, s.train, s.seed), 1)
            return
        there = [i for i in sorted(candidates) if self.state.has_structure(0, i)]
        if s.selection == "diversity":
            shapes = self._shapes(there)
            first = drawn(list(shapes), 1, s.seed)
            rest = [i for i in shapes if i not in first]
            chosen = first
            if rest:
                known, others = self._features(first, shapes), self._features(rest, shapes)
                chosen = [*first, *most_different(rest, others, known, s.train - 1)]
            self._take(chosen, 1)
            return
        start, *more = s.sizes
        self._take(drawn(there, start, s.seed), 1)
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
            why = self.state.problem(len(self.state.plan.stages) - 1, lost[0])
            self.state.run.reporter.warn(
                f"{len(lost)} structures to train on have no final energy: {', '.join(lost[:5])}"
                + (f"; {lost[0]}: {why}" if why else "")
            )

    def _best(self, rest: Sequence[str], size: int, number: int) -> list[str]:
        """The next ``size`` candidates, by what an ensemble says of them at the first stage."""
        path = self.ensembles.train(0, self.energies, f"round-{number - 1}")
        found = self.ensembles.predict(0, rest, path, f"round{number - 1}")
        if self.state.plan.settings.selection == "uncertainty":
            return most_uncertain(found, size)
        rule = self.state.plan.rule()
        decisions = decide(found, self.phases, rule.threshold, robust=rule.robust)
        return most_promising(found, decisions, size)

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
