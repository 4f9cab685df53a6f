"""Candidates → stages, each dearer than the last, with an ensemble deciding after each → the hull.

A screening in one step is one stage, in which structures stay as they are, and one decision. Everything that costs is
written down as soon as it is finished (journals of stages and predictions, trainings that go on), and all else follows
from it: a killed screening goes on, and ends with the same bytes. Where all final energies are known, it is replayed:
how far off predictions are, and what other thresholds had cost and found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.screen import inputs, reading, report
from crystalcli.screen.ensembles import Ensembles
from crystalcli.screen.hull import Phase
from crystalcli.screen.options import JOURNALS, ScreenOptions
from crystalcli.screen.plan import CampaignPlan, files_read, one_step
from crystalcli.screen.recipe import training_plan
from crystalcli.screen.rule import Candidate, stage_costs
from crystalcli.screen.staging import recall, staged_screening
from crystalcli.screen.state import CampaignState
from crystalcli.screen.training_set import TrainingSet
from crystalcli.vocabulary.errors import NothingUsable, UsageError

AllPredictions = Sequence[Mapping[str, Candidate]]
"""By stage and id."""


class Screening(Work):
    """A screening with everything looked up.

    Raises:
        UsageError, InputError, NothingUsable: options or a plan that cannot work, nothing to screen or to train on.
    """

    def __init__(self, request: Request, reporter: Reporter) -> None:
        o: ScreenOptions = request.options
        self.plan = one_step(request) if o.campaign is None else reading.read(o.campaign, o.candidates, o)
        if o.results_of is not None and not (o.results_of / JOURNALS).is_dir():
            raise UsageError("holds no results of stages: it is no run of a campaign", path=o.results_of)
        if o.threads:
            torch.set_num_threads(o.threads)
        self.found = inputs.read(self.plan, reporter.warn)
        self.state = CampaignState(self.plan, request.path, self.found)
        self.ensembles = Ensembles(self.state, self.found.label)
        self.inputs = files_read(self.plan, o.campaign)
        self.parts = [] if self.plan.trains_on == "nothing" else [("architecture", self.plan.training.arch)]
        said = [] if o.campaign is None else self.plan.commands
        self.commands = [{"from": str(o.campaign), "stage": owner, "runs": text} for owner, text in said]
        self.facts = {"seed": self.plan.settings.seed}

    def describe(self) -> dict[str, Any]:
        """The resolved plan, with what it would cost at most and at least."""
        plan = self.plan
        known = len(self.found.candidates.energies) if plan.trains_on == "labelled" else 0
        facts, n = plan.facts(), len(self.found.candidates.amounts) - known
        if plan.trains_on != "nothing":
            recipe = training_plan(plan, 0, "", (), "").options
            facts["training"] |= {"epochs": recipe.epochs, "lr": recipe.lr, "residual_of": recipe.residual_of}
        found = {
            **facts,
            "stages": [self._stage(k) for k in range(len(plan.stages))],
            "threshold": str(plan.rule().threshold),
            "commands": self.commands,
            "number_of_candidates": n,
            "trained_on": plan.settings.train if plan.ends_with_energies else known,
            "cannot_be_read": len(self.found.candidates.failures),
            "files": len(plan.candidate_files),
            "reference_files": len(plan.references.phase_files),
            "model": plan.stages[0].model,
            "target": self.found.label,
        }
        if plan.ends_with_energies:
            counts = [n - plan.settings.train, *[0] * (len(plan.stages) - 1)]
            found["full_relaxations_at_least"] = stage_costs(counts, plan.costs, plan.settings.train)
            found["full_relaxations_at_most"] = float(n)
        return found

    def _stage(self, k: int) -> dict[str, Any]:
        s, plan = self.plan.stages[k], self.plan
        learns = k < plan.decisions and plan.learns_difference(k)
        return {"name": s.name, "cost": s.cost, "kind": s.kind, "source": list(s.source), "learns_difference": learns}

    def do(self, run: Run) -> dict[str, Any]:
        """Screen.

        Raises:
            UsageError, NothingUsable: of too few structures something came.
        """
        self.state.begin(run)
        try:
            return self._screened(run)
        except (UsageError, NothingUsable):
            self.state.forget_vain_calls()
            raise

    def _screened(self, run: Run) -> dict[str, Any]:
        plan, state, ensembles = self.plan, self.state, self.ensembles
        ids = list(self.found.candidates.amounts)
        for failure in self.found.candidates.failures:
            run.reporter.warn(str(failure))
        for note in self.found.notes:
            run.reporter.say(note)
        self._bring_elements(run)
        state.bring(0, ids, "all")
        trained_on = TrainingSet(state, ensembles, self.found.phases)
        trained_on.fill(ids)
        there = set(trained_on.ids)
        rest = [i for i in ids if i not in there]
        models = [self._decider(k, trained_on) for k in range(plan.decisions)]
        _say_references(run, plan, trained_on, state, rest)

        def predict(stage: int, some: Sequence[str]) -> list[Candidate]:
            return ensembles.predict(stage, some, models[stage], "eval")

        def bring(stage: int, some: Sequence[str]) -> None:
            state.bring(stage, some, "eval")

        screened = staged_screening(
            rest,
            len(plan.stages),
            trained_on.phases,
            plan.rule(),
            bring=bring,
            predict=predict,
            decisions=plan.decisions,
        )
        final = state.final(screened.survivors) if plan.ends_with_energies else {}
        truth = self._truth(ids)
        replayed: dict[str, Any] = {"sweep": []}
        if plan.kappas:
            found = _all_predictions(state, ensembles, models, rest)
            replayed = {"predictions": _errors(found, truth), "sweep": _sweep(state, found, rest, trained_on, truth)}
        return report.write(run, report.Results(state, trained_on, screened, final, truth, replayed))

    def _bring_elements(self, run: Run) -> None:
        """Bring the elements through all stages, and say from what formation energies are counted.

        Raises:
            NothingUsable: an element has no energy.
        """
        plan, state = self.plan, self.state
        for stage in range(len(plan.stages)):
            state.bring(stage, list(state.pure), "elements")
        wanted = {e for a in self.found.candidates.amounts.values() for e in a}
        for stage in plan.counted_from_elements:
            elements = state.elements(stage)
            if without := sorted(wanted - elements.keys()):
                raise NothingUsable(f"no energy of {', '.join(without)} came out; formation energies need it")
            said = ", ".join(f"{k} {v:.6f}" for k, v in sorted(elements.items()))
            run.reporter.say(f"elements after {plan.stages[stage].name}: {said} eV/atom")

    def _decider(self, stage: int, trained_on: TrainingSet) -> Path:
        """The model that decides after ``stage``."""
        if model := self.plan.stages[stage].model:
            return Path(model)
        return self.ensembles.train(stage, trained_on.energies, self.plan.ensemble_name(stage))

    def _truth(self, ids: Sequence[str]) -> Mapping[str, float]:
        """Final formation energies of candidates that are known without the screening: labels, or results in files."""
        if not self.plan.ends_with_energies:
            return self.found.candidates.energies
        if self.plan.stages[-1].kind != "file":
            return {}
        before = dict(self.state.results[-1])
        self.state.bring(len(self.plan.stages) - 1, ids, "truth")
        found = self.state.final(ids)
        self.state.results[-1] = before
        return found


def _say_references(
    run: Run, plan: CampaignPlan, trained_on: TrainingSet, state: CampaignState, rest: Sequence[str]
) -> None:
    if plan.ends_with_energies:
        return
    elements = ", ".join(sorted({s for i in rest for s in state.amounts[i]}))
    run.reporter.say(f"references: {len(trained_on.phases)} phases of known energy, and the elements {elements} at 0")


def _all_predictions(
    state: CampaignState, ensembles: Ensembles, paths: Sequence[Path], rest: Sequence[str]
) -> AllPredictions:
    """What the ensemble in ``paths`` of every stage says of all of ``rest``."""
    for stage in range(len(state.plan.stages)):
        state.bring(stage, rest, "sweep")
    return [{c.id: c for c in ensembles.predict(s, rest, p, "sweep")} for s, p in enumerate(paths)]


def _errors(found: AllPredictions, truth: Mapping[str, float]) -> list[dict[str, float]]:
    """Mean |error| and mean σ, eV/atom, mean (error/σ)² and share of errors within 2σ, for every stage."""
    rows = []
    for of_stage in found:
        both = [(c.energy - truth[i], c.sigma) for i, c in of_stage.items() if i in truth and np.isfinite(c.energy)]
        error, sigma = np.array(both).reshape(-1, 2).T
        row = {"mae": np.abs(error).mean(), "sigma": sigma.mean(), "z2": np.square(error / sigma).mean()}
        rows.append({k: float(v) for k, v in (row | {"within_2_sigma": (abs(error) <= 2 * sigma).mean()}).items()})
    return rows


def _sweep(
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
