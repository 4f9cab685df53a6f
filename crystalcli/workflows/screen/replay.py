"""Where all final energies are known: how far off predictions are, and what other thresholds had cost and found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crystalcli.mechanisms.phases.hull import Phase
from crystalcli.mechanisms.phases.screening import Candidate, stage_costs
from crystalcli.mechanisms.phases.staging import recall, staged_screening
from crystalcli.workflows.screen.campaign_state import CampaignState
from crystalcli.workflows.screen.ensembles import Ensembles
from crystalcli.workflows.screen.training_set import TrainingSet

AllPredictions = Sequence[Mapping[str, Candidate]]
"""By stage and id."""


def all_predictions(
    state: CampaignState, ensembles: Ensembles, paths: Sequence[Path], rest: Sequence[str]
) -> AllPredictions:
    """What the ensemble in ``paths`` of every stage says of all of ``rest``."""
    for stage in range(len(state.plan.stages)):
        state.bring(stage, rest, "sweep")
    return [{c.id: c for c in ensembles.predict(s, rest, p, "sweep")} for s, p in enumerate(paths)]


def errors(found: AllPredictions, truth: Mapping[str, float]) -> list[dict[str, float]]:
    """Mean |error| and mean σ, eV/atom, mean (error/σ)² and share of errors within 2σ, for every stage."""
    rows = []
    for of_stage in found:
        both = [(c.energy - truth[i], c.sigma) for i, c in of_stage.items() if i in truth and np.isfinite(c.energy)]
        error, sigma = np.array(both).reshape(-1, 2).T
        row = {"mae": np.abs(error).mean(), "sigma": sigma.mean(), "z2": np.square(error / sigma).mean()}
        rows.append({k: float(v) for k, v in (row | {"within_2_sigma": (abs(error) <= 2 * sigma).mean()}).items()})
    return rows


def sweep(
    state: CampaignState,
    found: AllPredictions,
    rest: Sequence[str],
    trained_on: TrainingSet,
    truth: Mapping[str, float],
) -> list[dict[str, Any]]:
    """A row for every κ of the plan, with the same ensembles: nothing is relaxed or trained.

    Args:
        state: has the structures of all stages.
        found: what the ensembles say of ``rest``.
        rest: candidates that are not trained on.
        trained_on: those that are.
        truth: final formation energies of all, eV/atom.
    """
    plan, stages = state.plan, len(state.plan.stages)
    everything = [Phase(state.amounts[i], e, i) for i, e in truth.items()]

    def predict(stage: int, ids: Sequence[str]) -> list[Candidate]:
        return [found[stage][i] for i in ids]

    rows = []
    for kappa in sorted(set(plan.kappas)):
        went = staged_screening(
            rest, stages, trained_on.phases, plan.rule(kappa), bring=lambda _s, _i: None, predict=predict
        )
        seen = recall(everything, [*trained_on.ids, *went.survivors], trained_on.references)
        cost = stage_costs(went.counts, plan.costs, len(trained_on.ids))
        rows.append(
            {
                "kappa": kappa,
                "relaxed": len(trained_on.ids) + len(went.survivors),
                "cost": cost,
                "share": cost / (len(rest) + len(trained_on.ids)),
                "recall": seen.share,
                "missed": len(seen.missed),
                "rise": seen.rise,
            }
        )
    return rows
