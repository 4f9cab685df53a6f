"""Where all final energies are known: how far off predictions are, and what other thresholds had cost and found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.mechanisms.phases.hull import Phase
from crystalcli.mechanisms.phases.screening import Candidate, stage_costs
from crystalcli.mechanisms.phases.staging import course, recall
from crystalcli.workflows.screen.campaign_choice import Taught
from crystalcli.workflows.screen.campaign_models import Models
from crystalcli.workflows.screen.campaign_work import Workshop

Predictions = Sequence[Mapping[str, Candidate]]
"""By stage and id."""


def all_predictions(shop: Workshop, models: Models, paths: Sequence[Path], rest: Sequence[str]) -> Predictions:
    """What the ensemble in ``paths`` of every stage says of all of ``rest``."""
    for stage in range(len(shop.plan.stages)):
        shop.bring(stage, rest, "sweep")
    return [{c.id: c for c in models.predict(s, rest, p, "sweep")} for s, p in enumerate(paths)]


def errors(found: Predictions, truth: Mapping[str, float]) -> list[dict[str, float]]:
    """Mean |error| and mean σ, eV/atom, mean (error/σ)² and share of errors within 2σ, for every stage."""
    rows = []
    for of_stage in found:
        both = [(c.energy - truth[i], c.sigma) for i, c in of_stage.items() if i in truth and np.isfinite(c.energy)]
        error, sigma = np.array(both).reshape(-1, 2).T
        row = {"mae": np.abs(error).mean(), "sigma": sigma.mean(), "z2": np.square(error / sigma).mean()}
        rows.append({k: float(v) for k, v in (row | {"within_2_sigma": (abs(error) <= 2 * sigma).mean()}).items()})
    return rows


def sweep(
    shop: Workshop, found: Predictions, rest: Sequence[str], taught: Taught, truth: Mapping[str, float]
) -> list[dict[str, Any]]:
    """A row for every κ of the plan, with the same ensembles: nothing is relaxed or trained.

    Args:
        shop: has the structures of all stages.
        found: what the ensembles say of ``rest``.
        rest: candidates that are not trained on.
        taught: those that are.
        truth: final formation energies of all, eV/atom.
    """
    plan, stages = shop.plan, len(shop.plan.stages)
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
