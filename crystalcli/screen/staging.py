"""The staged screening: every stage of relaxation is paid only for candidates that the stage before could not rule out.

F. Ekström Kelvinius, R. Armiento, F. Lindsten, Phys. Rev. Materials 6, 033801 (2022),
doi:10.1103/PhysRevMaterials.6.033801, Sec. III D. Here is the rule alone: how structures are relaxed and predicted is
the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crystalcli.screen import hull
from crystalcli.screen.hull import ON_HULL, Phase
from crystalcli.screen.rule import Candidate, Decision, decide
from crystalcli.vocabulary.thresholds import Threshold

Ids = Sequence[str]


@dataclass(frozen=True)
class Rule:
    """How to decide.

    Args:
        threshold: how far above the hull a candidate may be.
        robust: quantile of σ_e above which a candidate does not shape the hull.
        keep_discarded: let discarded candidates take part in later hulls, with their last predictions. The paper lets
            remaining ones only.
    """

    threshold: Threshold
    robust: float = 1.0
    keep_discarded: bool = False


@dataclass(frozen=True)
class StageDecision:
    """What was predicted of a candidate after a stage, and what was decided."""

    stage: int
    candidate: Candidate
    decision: Decision


@dataclass(frozen=True)
class StagedScreening:
    """How a screening went.

    Args:
        reached: for every stage the candidates that were brought to it.
        decisions: all of them, in order.
        survivors: candidates that no decision removed.
    """

    reached: tuple[tuple[str, ...], ...]
    decisions: tuple[StageDecision, ...]
    survivors: tuple[str, ...]

    @property
    def counts(self) -> list[int]:
        """How many reached every stage."""
        return [len(r) for r in self.reached]


def staged_screening(
    candidates: Ids,
    stages: int,
    known: Sequence[Phase],
    rule: Rule,
    *,
    bring: Callable[[int, Ids], None],
    predict: Callable[[int, Ids], Sequence[Candidate]],
    decisions: int | None = None,
) -> StagedScreening:
    """Screen ``candidates`` through ``stages``.

    Args:
        candidates: those whose final energies are not known.
        stages: how many there are.
        known: phases of known final energy: the structures trained on and references.
        rule: how to decide.
        bring: ``bring(stage, ids)`` brings candidates from the stage before to this one.
        predict: ``predict(stage, ids)`` gives their final energies as seen from this stage, in order.
        decisions: after so many stages candidates are predicted, and some removed; none: all but the last, which then
            gives final energies.
    """
    alive = tuple(candidates)
    reached: list[tuple[str, ...]] = []
    made_so_far: list[StageDecision] = []
    discarded: list[Phase] = []
    for stage in range(stages):
        bring(stage, alive)
        reached.append(alive)
        if stage == (stages - 1 if decisions is None else decisions):
            break
        found = predict(stage, alive)
        made = decide(found, [*known, *discarded], rule.threshold, robust=rule.robust)
        made_so_far += [StageDecision(stage, c, d) for c, d in zip(found, made, strict=True)]
        if rule.keep_discarded:
            gone = (c for c, d in zip(found, made, strict=True) if not d.kept and d.competes)
            discarded += [Phase(c.amounts, c.energy, c.id) for c in gone]
        alive = tuple(c.id for c, d in zip(found, made, strict=True) if d.kept)
    return StagedScreening(tuple(reached), tuple(made_so_far), alive)


@dataclass(frozen=True)
class Recall:
    """What a screening found of the hull that relaxing everything finds.

    Args:
        hull: ids of the phases on the true hull. missed: those of them that were not fully relaxed.
        rise: by how much the hull of the screening is above the true one, eV/atom, where it is most.
    """

    hull: tuple[str, ...]
    missed: tuple[str, ...]
    rise: float

    @property
    def share(self) -> float:
        """Share of the true hull phases that were fully relaxed."""
        return 1.0 - len(self.missed) / len(self.hull) if self.hull else 1.0


def recall(everything: Sequence[Phase], relaxed: Ids, references: Sequence[Phase]) -> Recall:
    """Compare the hull of the relaxed phases with that of all.

    Args:
        everything: all phases with their true final energies, trained on or not. Names are ids.
        relaxed: ids of those that the screening brought to the end.
        references: further phases of known energy, in both hulls.
    """
    done = set(relaxed)
    inside = [p.name in done for p in everything]
    true = hull.distances(everything, [True] * len(everything), references)
    seen = hull.distances(everything, inside, references)
    on_hull = [p.name for p, d in zip(everything, true, strict=True) if d.above <= ON_HULL]
    rises = [t.above - s.above for t, s in zip(true, seen, strict=True)]
    missed = tuple(n for n in on_hull if n not in done)
    return Recall(tuple(on_hull), missed, float(np.max(rises, initial=0.0)))
