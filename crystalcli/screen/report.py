"""A screening on disk: a row for every candidate, a row for every stage, the hulls, what the report holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.contracts.workflow import Run
from crystalcli.engine.model.sigma_fit import UNCALIBRATED
from crystalcli.screen import hull, plots, stability
from crystalcli.screen.hull import ON_HULL, ON_PREDICTED_HULL, Amounts, Phase
from crystalcli.screen.options import CURVE, HULL, PHASES, STAGES, STRUCTURES, SURVIVORS, TABLE
from crystalcli.screen.plan import CampaignPlan
from crystalcli.screen.rule import Candidate, Decision, stage_costs
from crystalcli.screen.stage_results import extxyz
from crystalcli.screen.staging import StageDecision, StagedScreening, recall
from crystalcli.screen.state import CampaignState
from crystalcli.screen.training_set import TrainingSet
from crystalcli.vocabulary.errors import Exit
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.tables import csv_text

MOST_PICTURES = 12
TRAINED, RELAXED, LOST = "trained on", "fully relaxed", "no final energy: kept, to be looked at"
OF_DECISION = (
    "E_f [eV/atom]",
    "sigma_a [eV/atom]",
    "sigma_e [eV/atom]",
    "sigma [eV/atom]",
    "calibration",
    "E_hull [eV/atom]",
    "P(on hull)",
    "decomposes to",
    "decision",
    "reason",
    "extrapolating",
)
"""Columns of a decision; in a campaign with the name of the stage before them."""
OF_STAGE = ("stage", "cost of one", "trained on", "screened", "removed after it", "with problems", "cost")


OF_PHASE = ("phase", "formula", "E_f [eV/atom]")


@dataclass(frozen=True)
class CandidateEnd:
    """How one candidate ended.

    Args:
        id: which one. outcome: in words. stage: the last that it reached, from 0.
        energy, above: final formation energy and distance to the final hull, eV/atom, where there are any.
        decisions: on it, stage by stage. problem: what went wrong on the way.
    """

    id: str
    outcome: str
    stage: int
    energy: float | None
    above: float | None
    decisions: tuple[StageDecision, ...]
    problem: str


@dataclass(frozen=True)
class Results:
    """All that a screening came to.

    Args:
        state: has structures and problems. trained_on: structures with final energies. screened: the other candidates.
        final: final formation energies of the survivors, eV/atom; empty where the last stage gives none.
        truth: of all candidates, where they are known without the screening.
        replayed: for report.json; ``sweep``, the rows of the sweep over κ, becomes a table and a picture as well.
    """

    state: CampaignState
    trained_on: TrainingSet
    screened: StagedScreening
    final: Mapping[str, float]
    truth: Mapping[str, float]
    replayed: Mapping[str, Any]

    @property
    def plan(self) -> CampaignPlan:
        """What was asked."""
        return self.state.plan

    @property
    def trained_candidates(self) -> Sequence[str]:
        """Candidates among those trained on; labelled structures are none."""
        return self.trained_on.ids if self.plan.trains_on == "chosen" else ()


def write(run: Run, found: Results) -> dict[str, Any]:
    """Write everything; returns what report.json holds."""
    plan, state = found.plan, found.state
    ends = _ends(found)
    run.write(TABLE, csv_text(_header(plan), [_row(e, found) for e in ends]))
    survivors = set(found.screened.survivors)
    kept = [e.id for e in ends if e.id in survivors]
    run.write(SURVIVORS, "".join(f"{i}\n" for i in kept))
    run.write(PHASES, csv_text(OF_PHASE, _phases(found)))
    if plan.ends_with_energies:
        run.write(STAGES, csv_text(OF_STAGE, _stage_rows(found)))
        relaxed = [e for e in ends if e.energy is not None]
        structures = [state.structure(len(plan.stages) - 1, e.id) for e in relaxed]
        run.write(STRUCTURES, extxyz(structures, [e.energy for e in relaxed], key="formation_energy_per_atom"))
    pictures = _draw(run.path, found, ends)
    if curve := found.replayed.get("sweep"):
        keys = list(curve[0])
        run.write(f"{CURVE}.csv", csv_text(keys, [[r[k] for k in keys] for r in curve]))
        drawn = paths(run.path / CURVE, plan.call.pictures)
        plots.draw_cost_and_recall(drawn, curve, stages=", ".join(s.name for s in plan.stages))
        pictures += [path.name for path in drawn]
    return {**_report(found, ends), "kept": len(kept), "pictures": pictures, **found.replayed}


def _ends(found: Results) -> list[CandidateEnd]:
    """How every candidate ended: those with final energies by distance to the hull, then those that came farthest."""
    plan, state = found.plan, found.state
    known = {i: found.trained_on.energies[i] for i in found.trained_candidates if i in found.trained_on.energies}
    energies = {**known, **found.final}
    phases = [Phase(state.amounts[i], e, i) for i, e in energies.items()]
    heights = hull.distances(phases, [True] * len(phases), found.trained_on.references)
    above = {p.name: d.above for p, d in zip(phases, heights, strict=True)}
    last = len(plan.stages) - 1
    made: dict[str, list[StageDecision]] = {}
    for d in found.screened.decisions:
        made.setdefault(d.candidate.id, []).append(d)

    def end(id: str, outcome: str, stage: int) -> CandidateEnd:
        mine = tuple(made.get(id, ()))
        return CandidateEnd(id, outcome, stage, energies.get(id), above.get(id), mine, _problems(state, id, stage))

    ends = [end(i, TRAINED if i in energies else LOST, last) for i in found.trained_candidates]
    survivors = set(found.screened.survivors)
    for i in found.screened.reached[0]:
        if i not in survivors:
            stage = made[i][-1].stage
            ends.append(end(i, f"removed after {plan.stages[stage].name}", stage))
        elif plan.ends_with_energies:
            ends.append(end(i, RELAXED if i in energies else LOST, last))
        else:
            ends.append(end(i, "kept", last))

    def rank(one: CandidateEnd) -> tuple[int, int, float, str]:
        height = one.above if one.above is not None else one.decisions[-1].decision.above if one.decisions else 0.0
        return int(one.energy is None), -one.stage, height if math.isfinite(height) else 0.0, one.id

    return sorted(ends, key=rank)


def _problems(state: CampaignState, id: str, last: int) -> str:
    told = ((state.plan.stages[s].name, state.problem(s, id)) for s in range(last + 1))
    return "; ".join(f"{name}: {said}" for name, said in told if said)


def _header(plan: CampaignPlan) -> list[str]:
    """Columns of the table: of a campaign how far each came, and every decision under the name of its stage."""
    head = ["id", "formula", "system"]
    if not plan.ends_with_energies:
        return [*head, *OF_DECISION]
    head += ["outcome", "E_f [eV/atom]", "E_hull [eV/atom]"]
    return [*head, *(f"{s.name} {w}" for s in plan.stages[: plan.decisions] for w in OF_DECISION), "problems"]


def _row(end: CandidateEnd, found: Results) -> list[str]:
    """One candidate in the table."""
    amounts, plan = found.state.amounts[end.id], found.plan
    cells = [end.id, formula(amounts), system(amounts)]
    if plan.ends_with_energies:
        cells += [end.outcome, _number(end.energy), _number(end.above)]
    by_stage = {d.stage: d for d in end.decisions}
    for stage in range(plan.decisions):
        made = by_stage.get(stage)
        cells += [""] * len(OF_DECISION) if made is None else _decided(made.candidate, made.decision)
    return [*cells, end.problem] if plan.ends_with_energies else cells


def _decided(c: Candidate, d: Decision) -> list[str]:
    return [
        *(_number(v) for v in (c.energy, c.aleatoric, c.epistemic, c.sigma)),
        c.calibration,
        _number(d.above),
        "" if d.on_hull is None else f"{d.on_hull:g}",
        " + ".join(d.products),
        "keep" if d.kept else "remove",
        d.reason if d.competes else f"{d.reason} (does not shape the hull of others)",
        c.extrapolating,
    ]


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6f}"


def _stage_rows(found: Results) -> list[list[Any]]:
    """Table of the stages."""
    rows = []
    for k, stage in enumerate(found.plan.stages):
        here = [*found.trained_on.ids, *found.screened.reached[k]]
        gone = sum(d.stage == k and not d.decision.kept for d in found.screened.decisions)
        bad = sum(bool(found.state.problem(k, i)) for i in here)
        cost = round(stage.cost * len(here), 9)
        rows.append(
            [stage.name, stage.cost, len(found.trained_on.ids), len(found.screened.reached[k]), gone, bad, cost]
        )
    return rows


def _draw(folder: Path, found: Results, ends: Sequence[CandidateEnd]) -> list[str]:
    """The hulls: of final energies, with removed candidates where they were last predicted, or of predictions."""
    judged: list[tuple[Candidate, Decision]] = []
    for end in ends:
        amounts = found.state.amounts[end.id]
        if end.energy is not None and end.above is not None:
            judged.append((Candidate(end.id, amounts, end.energy, 0.0, 0.0), Decision(end.above, (), True, "")))
        elif end.decisions and math.isfinite(end.decisions[-1].candidate.energy):
            last = end.decisions[-1]
            aside = found.plan.ends_with_energies
            shown = replace(last.decision, kept=False, competes=False) if aside else last.decision
            judged.append((last.candidate, shown))
    return _draw_systems(folder, judged, _known(found), found.plan.call.pictures)


def _known(found: Results) -> Sequence[Phase]:
    """Phases that are no candidates and shape the hulls."""
    return found.trained_on.references if found.plan.ends_with_energies else found.trained_on.phases


def _phases(found: Results) -> list[list[Any]]:
    """The known phases below their elements in the systems of the candidates, in the order of their names."""
    systems = {frozenset(found.state.amounts[i]) for i in found.state.amounts}
    inside = [p for p in _known(found) if p.energy < 0.0 and any(set(p.amounts) <= s for s in systems)]
    rows = sorted((p.name or formula(p.amounts), formula(p.amounts), p.energy) for p in inside)
    return [[name, word, _number(energy)] for name, word, energy in rows]


def _draw_systems(
    folder: Path, judged: Sequence[tuple[Candidate, Decision]], references: Sequence[Phase], pictures: str
) -> list[str]:
    """A picture of each binary and ternary system, the largest first; returns the names of the files."""
    made: list[list[Path]] = []
    for name, _ in Counter(system(c.amounts) for c, _ in judged).most_common():
        elements = name.split("-")
        if len(elements) not in (2, 3) or len(made) == MOST_PICTURES:
            continue
        inside = [(c, d) for c, d in judged if set(c.amounts) <= set(elements)]
        known = [p for p in references if set(p.amounts) <= set(elements)]
        made.append(paths(folder / f"{HULL}{name}", pictures))
        plots.draw_hull(made[-1], elements, inside, known)
    return [path.name for drawn in made for path in drawn]


def _report(found: Results, ends: Sequence[CandidateEnd]) -> dict[str, Any]:
    plan, screened = found.plan, found.screened
    last = [e.decisions[-1] for e in ends if e.decisions]
    problems = sum(bool(e.problem) or e.outcome == LOST for e in ends)
    failures = found.state.candidates.failures
    data = {
        "threshold": str(plan.rule().threshold),
        "candidates": len(ends),
        "trained_on": len(found.trained_on.ids),
        "removed": sum(not d.decision.kept for d in screened.decisions),
        "on_predicted_hull": sum(d.decision.above <= ON_PREDICTED_HULL for d in last),
        "extrapolating": sum(bool(d.candidate.extrapolating) for d in last),
        "uncalibrated": sum(d.candidate.calibration == UNCALIBRATED for d in last),
        "references": len(_known(found)),
        "systems": dict(Counter(system(found.state.amounts[e.id]) for e in ends).most_common()),
        "stages": [
            {"name": s.name, "cost": s.cost, "screened": n} for s, n in zip(plan.stages, screened.counts, strict=True)
        ],
        "problems": problems,
        "failed": [f.to_json() for f in failures],
        "stability": None if plan.ends_with_energies else _stability(found, last),
        "exit_code": int(Exit.SOME_FAILED if failures or problems else Exit.OK),
    }
    if plan.ends_with_energies:
        cost = stage_costs(screened.counts, plan.costs, len(found.trained_on.ids))
        data |= {
            "fully_relaxed": sum(e.energy is not None for e in ends),
            "cost": cost,
            "share_of_exhaustive": cost / len(ends),
            "hull": [e.id for e in ends if e.above is not None and e.above <= ON_HULL],
        }
    if plan.ends_with_energies and found.truth:
        everything = [Phase(found.state.amounts[i], e, i) for i, e in found.truth.items()]
        done = [e.id for e in ends if e.energy is not None]
        seen = recall(everything, done, found.trained_on.references)
        data["recall"] = {
            "true_hull": list(seen.hull),
            "missed": list(seen.missed),
            "recall": seen.share,
            "hull_rise": seen.rise,
        }
    return data


def _stability(found: Results, decided: Sequence[StageDecision]) -> dict[str, Any] | None:
    """Metrics where the candidates' true energies are known: their distances to the hull of all true energies."""
    known = [d for d in decided if d.candidate.id in found.truth]
    if not known:
        return None
    phases = [Phase(d.candidate.amounts, found.truth[d.candidate.id]) for d in known]
    true = np.array([d.above for d in hull.distances(phases, [True] * len(phases), found.trained_on.phases)])
    return asdict(stability.stability(np.array([d.decision.above for d in known]), true))


def system(amounts: Amounts) -> str:
    """``Hf-N-Zn``."""
    return "-".join(sorted(amounts))


def formula(amounts: Amounts) -> str:
    """Reduced formula, elements in alphabetical order."""
    divisor = int(np.gcd.reduce([round(n) for n in amounts.values()])) or 1
    return "".join(f"{s}{round(n) // divisor if round(n) != divisor else ''}" for s, n in sorted(amounts.items()))
