"""What other thresholds would have cost and found: κ against cost and recall, where all final energies are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystalcli.mechanisms.phases.hull import Phase
from crystalcli.mechanisms.phases.screening import Candidate, stage_costs
from crystalcli.mechanisms.phases.staging import course, recall
from crystalcli.workflows.screen.campaign_choice import Taught
from crystalcli.workflows.screen.campaign_models import Models
from crystalcli.workflows.screen.campaign_work import Workshop


def sweep(
    shop: Workshop,
    models: Models,
    paths: Sequence[Path],
    rest: Sequence[str],
    taught: Taught,
    truth: Mapping[str, float],
) -> list[dict[str, Any]]:
    """A row for every κ of the plan, with the same ensembles: nothing is relaxed or trained.

    Args:
        shop: has the structures of all stages.
        models: asks the ensembles.
        paths: of the ensembles.
        rest: candidates that are not trained on.
        taught: those that are.
        truth: final formation energies of all, eV/atom.
    """
    plan, stages = shop.plan, len(shop.plan.stages)
    for stage in range(stages):
        shop.bring(stage, rest, "sweep")
    found = [{c.id: c for c in models.predict(s, rest, paths[s], "sweep")} for s in range(stages - 1)]
    everything = [Phase(shop.start[i].amounts, e, i) for i, e in truth.items()]

    def predict(stage: int, ids: Sequence[str]) -> list[Candidate]:
        return [found[stage][i] for i in ids]

    rows = []
    for kappa in sorted(set(plan.kappas)):
        went = course(rest, stages, taught.phases, plan.rule(kappa), bring=lambda _s, _i: None, predict=predict)
        seen = recall(everything, [*taught.ids, *went.survivors], taught.references)
        cost = stage_costs(went.counts, plan.costs, len(taught.ids))
        rows.append(
            {
                "kappa": kappa,
                "relaxed": len(taught.ids) + len(went.survivors),
                "cost": cost,
                "share": cost / (len(rest) + len(taught.ids)),
                "recall": seen.share,
                "missed": len(seen.missed),
                "rise": seen.rise,
            }
        )
    return rows
