"""How every candidate of a campaign ended, and what every stage cost, as rows of tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crystalcli.mechanisms.phases.staging import Course, Verdict
from crystalcli.workflows.screen.campaign_choice import Taught
from crystalcli.workflows.screen.campaign_work import Workshop
from crystalcli.workflows.screen.screening_output import formula, system

TRAINED, RELAXED, LOST = "trained on", "fully relaxed", "no final energy: kept, to be looked at"


@dataclass(frozen=True)
class End:
    """How one candidate ended.

    Args:
        id: which one. outcome: in words. stage: the last that it reached, from 0.
        energy, above: final formation energy and distance to the final hull, eV/atom, where there are any.
        verdicts: what was decided on it, stage by stage. problem: what went wrong on the way.
    """

    id: str
    outcome: str
    stage: int
    energy: float | None
    above: float | None
    verdicts: tuple[Verdict, ...]
    problem: str


def ends_of(
    shop: Workshop, taught: Taught, went: Course, energies: Mapping[str, float], above: Mapping[str, float]
) -> list[End]:
    """How every candidate ended: fully relaxed ones by distance to the hull, then those that came farthest."""
    last = len(shop.plan.stages) - 1
    verdicts: dict[str, list[Verdict]] = {}
    for v in went.verdicts:
        verdicts.setdefault(v.candidate.id, []).append(v)
    found = []
    for i in taught.ids:
        found.append(
            End(
                i, TRAINED if i in energies else LOST, last, energies.get(i), above.get(i), (), _problems(shop, i, last)
            )
        )
    survivors = set(went.survivors)
    for i in went.reached[0]:
        mine = tuple(verdicts.get(i, ()))
        if i in survivors:
            outcome, stage = (RELAXED if i in energies else LOST), last
        else:
            stage = mine[-1].stage
            outcome = f"removed after {shop.plan.stages[stage].name}"
        found.append(End(i, outcome, stage, energies.get(i), above.get(i), mine, _problems(shop, i, stage)))

    def rank(end: End) -> tuple[int, int, float, str]:
        height = end.above if end.above is not None else end.verdicts[-1].decision.above if end.verdicts else 0.0
        return int(end.energy is None), -end.stage, height if math.isfinite(height) else 0.0, end.id

    return sorted(found, key=rank)


def _problems(shop: Workshop, id: str, last: int) -> str:
    told = ((shop.plan.stages[s].name, shop.problem(s, id)) for s in range(last + 1))
    return "; ".join(f"{name}: {said}" for name, said in told if said)


OF_STAGE = ("E_f [eV/atom]", "sigma [eV/atom]", "E_hull [eV/atom]", "P(on hull)", "reason", "extrapolating")
"""Columns of a stage after which candidates are predicted."""


def header(names: Sequence[str]) -> list[str]:
    """Columns of the table of decisions, for stages of these names."""
    head = ["id", "formula", "system", "outcome", "E_f [eV/atom]", "E_hull [eV/atom]"]
    for name in names[:-1]:
        head += [
            f"{name} {w}" for w in ("E_f [eV/atom]", "sigma [eV/atom]", "E_hull [eV/atom]", "P(on hull)", "reason")
        ]
        head.append(f"{name} extrapolating")
    return [*head, "problems"]


def row(end: End, shop: Workshop, names: Sequence[str]) -> list[str]:
    """One candidate in the table of decisions."""
    amounts = shop.start[end.id].amounts
    cells = [end.id, formula(amounts), system(amounts), end.outcome, _number(end.energy), _number(end.above)]
    by_stage = {v.stage: v for v in end.verdicts}
    for stage in range(len(names) - 1):
        v = by_stage.get(stage)
        if v is None:
            cells += [""] * len(OF_STAGE)
            continue
        c, d = v.candidate, v.decision
        share = "" if d.on_hull is None else f"{d.on_hull:g}"
        reason = d.reason if d.competes else f"{d.reason} (does not shape the hull of others)"
        cells += [_number(c.energy), _number(c.sigma), _number(d.above), share, reason, c.extrapolating]
    return [*cells, end.problem]


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6f}"


STAGE_HEADER = ("stage", "cost of one", "trained on", "screened", "removed after it", "with problems", "cost")


def stage_rows(shop: Workshop, taught: Taught, went: Course) -> list[list[Any]]:
    """Table of the stages."""
    rows = []
    for k, stage in enumerate(shop.plan.stages):
        here = [*taught.ids, *went.reached[k]]
        gone = sum(v.stage == k and not v.decision.kept for v in went.verdicts)
        bad = sum(bool(shop.problem(k, i)) for i in here)
        rows.append(
            [stage.name, stage.cost, len(taught.ids), len(went.reached[k]), gone, bad, round(stage.cost * len(here), 9)]
        )
    return rows
