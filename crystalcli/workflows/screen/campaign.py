"""Candidates → stages of relaxation, each dearer than the last, with an ensemble deciding in between → the hull.

Everything that costs is written down as soon as it is finished (journals of stages and predictions, trainings that go
on), and all else follows from it: a killed campaign goes on, and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from crystalcli.mechanisms.phases.screening import Candidate, stage_costs
from crystalcli.mechanisms.phases.staging import Course, course
from crystalcli.mechanisms.running import locks
from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder, point_latest, sha256
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.structure_files.inputs import expand
from crystalcli.vocabulary.errors import Exit, NothingUsable, UsageError
from crystalcli.workflows.hearing import Listener, heard
from crystalcli.workflows.screen import campaign_output as output
from crystalcli.workflows.screen.campaign_choice import Taught
from crystalcli.workflows.screen.campaign_inputs import Inputs, read_inputs
from crystalcli.workflows.screen.campaign_models import Models
from crystalcli.workflows.screen.campaign_plan import CampaignPlan
from crystalcli.workflows.screen.campaign_sweep import all_predictions, errors, sweep
from crystalcli.workflows.screen.campaign_work import Workshop
from crystalcli.workflows.screen.screening_report import ScreeningReport, result_files

FACTS = "campaign"
"""Key of run.json that holds the plan."""


def describe(plan: CampaignPlan) -> dict[str, Any]:
    """The resolved plan with what it would cost at most and at least (``--dry-run``). Writes nothing.

    Raises:
        UsageError, InputError, NothingUsable: as :func:`run` before it writes anything.
    """
    inputs = read_inputs(plan)
    Models(Workshop(plan, Path(plan.output), "", inputs.candidates, listener=Listener(), stop=Stop()))
    n, trained_on, costs = len(inputs.candidates), plan.settings.train, plan.costs
    least = stage_costs([n - trained_on, *[0] * (len(costs) - 1)], costs, trained_on)
    stages = [
        {
            "name": s.name,
            "cost": s.cost,
            "kind": s.kind,
            "source": list(s.source),
            "learns_difference": k < len(costs) - 1 and plan.learns_difference(k),
        }
        for k, s in enumerate(plan.stages)
    ]
    return {
        **plan.facts(),
        "stages": stages,
        "number_of_candidates": n,
        "cannot_be_read": len(inputs.failures),
        "full_relaxations_at_least": least,
        "full_relaxations_at_most": float(n),
        "output": plan.output,
    }


def run(plan: CampaignPlan, listener: Listener | None = None, stop: Stop | None = None) -> ScreeningReport:
    """Screen; goes on where the same plan was interrupted, and does nothing where it is finished.

    Raises:
        UsageError, InputError, NothingUsable: before anything is written. Stopped: asked to, or a stage waits for
            results from outside; what is finished is kept.
    """
    listener, stop = listener or Listener(), stop or Stop()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    facts = json.loads(json.dumps(plan.facts()))
    hashes = _hashes(plan)
    path = Path(plan.output)
    record = _same_run(path, plan, facts, hashes)
    if record is not None and record["exit_code"] in (Exit.OK, Exit.SOME_FAILED):
        listener.say(f"{path}: finished before; nothing to do")
        return ScreeningReport(path, json.loads((path / output.REPORT).read_text(encoding="utf-8")))
    inputs = read_inputs(plan)
    name = hashlib.sha256(json.dumps([facts, hashes], sort_keys=True).encode()).hexdigest()[:16]
    shop = Workshop(plan, path, name, inputs.candidates, inputs.elements, listener=listener, stop=stop)
    models = Models(shop)
    with locks.run_locked(path, FACTS):
        if record is None:
            if plan.overwrite and (path / RECORD).exists():
                output.clear(path)
            told = {"command": "screen", FACTS: facts, "inputs": hashes}
            folder = RunFolder.create(path, overwrite=plan.overwrite, facts=told, config=plan.config)
        else:
            folder = RunFolder.reopen(path)
        shop.listener = listener = heard(listener, folder.log)
        return _finished(folder, lambda: _campaign(plan, shop, models, inputs, folder), latest=plan.latest)


def _finished(folder: RunFolder, work: Callable[[], dict[str, Any]], *, latest: bool) -> ScreeningReport:
    """Do the work, and write how it ended."""
    with folder.recorded():
        data = work()
    folder.finish(data["exit_code"], result_files(folder.path))
    if latest:
        point_latest(folder.path)
    return ScreeningReport(folder.path, data)


def _same_run(
    path: Path, plan: CampaignPlan, facts: Mapping[str, Any], hashes: Mapping[str, str]
) -> dict[str, Any] | None:
    """The record of the run in ``path`` if it is the same campaign.

    Raises:
        UsageError: it is another one, or an input has changed.
    """
    if plan.overwrite or not (path / RECORD).is_file():
        return None
    record = RunFolder.read(path)
    if FACTS not in record:
        return None
    there = record[FACTS]
    differs = sorted(k for k in facts.keys() | there.keys() if facts.get(k) != there.get(k))
    if differs:
        raise UsageError(f"holds another campaign ({', '.join(differs)} differ); --overwrite replaces it", path=path)
    for name, digest in record["inputs"].items():
        if hashes.get(name) != digest:
            raise UsageError("is not the file that this campaign was started with", path=name)
    return record


def _campaign(plan: CampaignPlan, shop: Workshop, models: Models, inputs: Inputs, folder: RunFolder) -> dict[str, Any]:
    listener = shop.listener
    ids = [i.id for i in inputs.candidates]
    for failure in inputs.failures:
        listener.warn(str(failure))
    for stage in range(len(plan.stages)):
        shop.bring(stage, shop.pure, "elements")
    _say_elements(shop, {e for i in inputs.candidates for e in i.amounts})
    shop.bring(0, ids, "all")
    taught = Taught(shop, models, inputs.phases)
    taught.choose(ids)
    chosen = set(taught.ids)
    rest = [i for i in ids if i not in chosen]
    paths = [models.train(s, taught.energies, f"{s + 1}-{plan.stages[s].name}") for s in range(len(plan.stages) - 1)]

    def predict(stage: int, some: Sequence[str]) -> list[Candidate]:
        return models.predict(stage, some, paths[stage], "eval")

    def bring(stage: int, some: Sequence[str]) -> None:
        shop.bring(stage, some, "eval")

    went: Course = course(rest, len(plan.stages), taught.phases, plan.rule(), bring=bring, predict=predict)
    final = shop.final(went.survivors)
    truth = _truth(plan, shop, ids)
    replayed: dict[str, Any] = {"sweep": []}
    if plan.kappas:
        found = all_predictions(shop, models, paths, rest)
        replayed = {"predictions": errors(found, truth), "sweep": sweep(shop, found, rest, taught, truth)}
    return output.write(folder, shop, inputs.failures, taught, went, final, truth=truth, replayed=replayed)


def _say_elements(shop: Workshop, wanted: set[str]) -> None:
    """Say from what formation energies are counted.

    Raises:
        NothingUsable: an element has no energy.
    """
    for stage in shop.plan.counted_from_elements:
        elements = shop.elements(stage)
        if without := sorted(wanted - elements.keys()):
            raise NothingUsable(f"no energy of {', '.join(without)} came out; formation energies need it")
        said = ", ".join(f"{k} {v:.6f}" for k, v in sorted(elements.items()))
        shop.listener.say(f"elements after {shop.plan.stages[stage].name}: {said} eV/atom")


def _truth(plan: CampaignPlan, shop: Workshop, ids: Sequence[str]) -> dict[str, float]:
    """Final formation energies of all candidates, where the last stage is a file that holds them; else nothing."""
    if plan.stages[-1].kind != "file":
        return {}
    before = dict(shop.results[-1])
    shop.bring(len(plan.stages) - 1, ids, "truth")
    found = shop.final(ids)
    shop.results[-1] = before
    return found


def _hashes(plan: CampaignPlan) -> dict[str, str]:
    """sha256 of every file that the campaign reads."""
    texts = [*plan.candidates, *plan.references.elements, *plan.references.phases]
    texts += [f for s in plan.stages if s.kind == "file" for f in s.source]
    paths = expand(texts)
    models = [plan.training.start, *(s.start for s in plan.stages)]
    models += [s.source[0] for s in plan.stages if s.kind == "potential"]
    from crystalcli.mechanisms.forces.potential_names import model_file

    paths += [found for text in models if text and (found := model_file(text))]
    return {str(p): sha256(p) for p in paths if p.is_file()}
