"""Candidates + ensemble → hull, decision and reason for every one, in the folder of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.mechanisms.datasets.dataset import GraphDataset
from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.models.model_head import file_of
from crystalcli.mechanisms.phases.hull import Phase
from crystalcli.mechanisms.phases.screening import decide
from crystalcli.mechanisms.running import files, locks
from crystalcli.mechanisms.running.journal import Journal
from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder, point_latest, sha256
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.structure_files.inputs import expand
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.vocabulary.thresholds import Threshold
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.screen import screening_output as output
from crystalcli.workflows.screen.screening_checks import PLAN, labelled_and_not, refuse_unfit, same_run
from crystalcli.workflows.screen.screening_data import Pool, gathered, per_atom_energy
from crystalcli.workflows.screen.screening_pieces import journaled
from crystalcli.workflows.screen.screening_plan import ScreeningPlan
from crystalcli.workflows.screen.screening_report import ScreeningReport, result_files
from crystalcli.workflows.screen.screening_training import trained

JOURNAL = "predictions.jsonl"
"""Predictions while a run is under way."""


def describe(plan: ScreeningPlan) -> dict[str, Any]:
    """The resolved plan with what would train and what would be screened (``--dry-run``). Writes nothing.

    Raises:
        UsageError, InputError: as :func:`run` before it writes anything.
    """
    threshold = Threshold.parse(plan.threshold)
    found = {k: v for k, v in plan.to_json().items() if k != "config"} | {"threshold": str(threshold)}
    if plan.model:
        refuse_unfit(Path(plan.model), threshold, Listener())
        return found | {"files": len(expand(plan.candidates)), "reference_files": len(expand(plan.references))}
    data, name = labelled_and_not(plan, Listener())
    known = int(data.columns[name].mask.sum())
    return found | {"target": name, "trained_on": known, "number_of_candidates": len(data) - known}


def run(plan: ScreeningPlan, listener: Listener | None = None, stop: Stop | None = None) -> ScreeningReport:
    """Screen all candidates; goes on where the same plan was interrupted, and does nothing where it is finished.

    Raises:
        UsageError: nothing to train on or to screen, a threshold that cannot be read, labels that are no formation
            energies, or another screening in the folder; before anything is written. Stopped: what is finished is kept.
    """
    listener, stop = listener or Listener(), stop or Stop()
    threshold = Threshold.parse(plan.threshold)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    path, hashes = Path(plan.output), _hashes(plan)
    record = same_run(path, plan, hashes)
    if record is not None and record["exit_code"] in (Exit.OK, Exit.SOME_FAILED):
        listener.say(f"{path}: finished before; nothing to do")
        return ScreeningReport(path, json.loads((path / output.REPORT).read_text(encoding="utf-8")))
    split = None if plan.model else labelled_and_not(plan, listener)
    if plan.model:
        refuse_unfit(Path(plan.model), threshold, listener)
    with locks.run_locked(path, output.TABLE):
        if record is None:
            if plan.overwrite and (path / RECORD).exists():
                output.clear(path)
            facts = {"command": "screen", PLAN: plan.to_json(), "inputs": hashes}
            folder = RunFolder.create(path, overwrite=plan.overwrite, facts=facts, config=plan.config)
        else:
            folder = RunFolder.reopen(path)
        with folder.recorded():
            model = Path(plan.model) if plan.model else _train(plan, folder, listener, stop)
            report = _screen(plan, threshold, model, split, folder, listener, stop)
        folder.finish(report.data["exit_code"], result_files(path))
        files.remove(folder.path / JOURNAL)
        if plan.latest:
            point_latest(folder.path)
        return report


def resume(path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop) -> ScreeningReport:
    """Go on with the screening in folder ``path``; ``changes`` may set threads and device.

    Raises:
        UsageError: no screening there, or its input changed.
    """
    record = RunFolder.read(path)
    if PLAN not in record or record.get("command") != "screen":
        raise UsageError("is no screening of one step; give a campaign's own command again", path=path)
    plan = replace(ScreeningPlan.from_json(record[PLAN]), **changes, output=str(path), overwrite=False)
    return run(plan, listener, stop)


def _train(plan: ScreeningPlan, folder: RunFolder, listener: Listener, stop: Stop) -> Path:
    assert plan.training is not None  # the command makes it where no model is given
    path = folder.path / "model"
    caches = tuple(map(Path, plan.candidates))
    training = replace(plan.training, options=replace(plan.training.options, caches=caches), path=path)
    return trained(training, plan.ensemble, listener, stop)


def _screen(
    plan: ScreeningPlan,
    threshold: Threshold,
    path: Path,
    split: tuple[GraphDataset, str] | None,
    folder: RunFolder,
    listener: Listener,
    stop: Stop,
) -> ScreeningReport:
    model, provenance = model_file.load(file_of(path))
    quantity = model.spec.targets[0]
    note = per_atom_energy(quantity)
    references: list[Phase] = []
    if split is None:
        if note:
            listener.say(note)
        candidates = gathered(plan.candidates, model.spec, "", folder.path / "candidates.h5", listener, required=False)
    else:
        everything, mask = _with_energies(*split)
        references += everything.phases()
        rest = np.flatnonzero(~mask)
        candidates = Pool(everything.data, rest, np.full(len(rest), np.nan))
    if plan.references:
        where = folder.path / "references.h5"
        known = gathered(plan.references, model.spec, plan.reference_label, where, listener, required=True)
        references += known.phases()
    read = json.dumps([folder.record["inputs"], sha256(file_of(path))], sort_keys=True)
    run = hashlib.sha256(read.encode()).hexdigest()[:16]
    journal = Journal(folder.path / JOURNAL, run)
    if journal.dropped:
        listener.warn(f"{journal.path}: {journal.dropped} lines are damaged or of another run; done again")
    found = journaled(model, candidates, provenance, plan, journal, stop)
    decisions = decide(found, references, threshold, robust=plan.robust)
    elements = sorted({s for c in found for s in c.amounts})
    listener.say(f"references: {len(references)} phases of known energy, and the elements {', '.join(elements)} at 0")
    data = output.write(folder, candidates, found, decisions, references, threshold, plan.pictures)
    for line in output.lines(data):
        listener.say(line)
    return ScreeningReport(folder.path, data)


def _with_energies(data: GraphDataset, name: str) -> tuple[Pool, NDArray[np.bool_]]:
    column = data.columns[name]
    return Pool(data, np.arange(len(data)), np.where(column.mask, column.values, np.nan)), column.mask


def _hashes(plan: ScreeningPlan) -> dict[str, str]:
    paths = [Path(p) for p in (*plan.candidates, *plan.references, plan.model) if p]
    return {str(p): sha256(p) for p in map(file_of, paths) if p.is_file()}
