"""Graph cache → trained model, its honest test error and the folder of the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.models.model_head import MODEL
from crystalcli.mechanisms.running.locks import run_locked
from crystalcli.mechanisms.running.onlooker import Onlooker
from crystalcli.mechanisms.running.run_folder import RunFolder, point_latest, sha256
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.scoring import evaluation
from crystalcli.mechanisms.simple_models import extra_baselines
from crystalcli.mechanisms.training import checkpoint, familiar
from crystalcli.mechanisms.training.optimizers import make_optimizer
from crystalcli.mechanisms.training.team import ALONE, Team, gathered, watched
from crystalcli.vocabulary.errors import CrystalError, Exit, NumericalFailure, Stopped, UsageError
from crystalcli.workflows.hearing import Listener, heard
from crystalcli.workflows.train import training_beside
from crystalcli.workflows.train.training_beside import Other, Standing
from crystalcli.workflows.train.training_facts import run_facts, split_facts
from crystalcli.workflows.train.training_loop import Trainer
from crystalcli.workflows.train.training_pictures import draw
from crystalcli.workflows.train.training_plan import TrainingPlan
from crystalcli.workflows.train.training_report import (
    TargetReport,
    predict_test,
    report_targets,
    write_test_predictions,
)
from crystalcli.workflows.train.training_setup import Prepared, prepare

REPORT = "report.json"


@dataclass(frozen=True)
class TrainingReport:
    """What came out.

    Args:
        targets: test errors. model: file of the model. folder: of the run.
        data: what report.json holds; empty in all processes of a team but the first.
    """

    targets: tuple[TargetReport, ...]
    model: Path
    folder: Path
    data: Mapping[str, Any]


def describe(plan: TrainingPlan, listener: Listener) -> dict[str, Any]:
    """The resolved plan (``--dry-run``): parts, sizes of the split, parameters, recipe. Writes nothing."""
    prepared = prepare(plan, listener)
    plan = plan.fitted_to(len(prepared.split.train), listener)
    make_optimizer(prepared.model, plan.recipe, plan.momentum)
    spec = prepared.model.spec
    return {
        "targets": [q.to_json() for q in prepared.targets],
        "parts": {
            k: {"name": c.name, "options": dict(c.options)}
            for k, c in (
                ("featurizer", spec.graph),
                ("embedding", spec.embedding),
                ("architecture", spec.architecture),
                ("head", spec.head),
            )
        },
        "parameters": prepared.n_parameters,
        "recipe": vars(plan.recipe),
        "split": split_facts(prepared),
        "leaks": [leak.to_json() for leak in prepared.leaks],
        "beside": [one.architecture for one, _ in training_beside.others(plan, prepared)],
        "device": str(prepared.device),
        "seed": plan.seed,
        "output": plan.output,
    }


def run(plan: TrainingPlan, listener: Listener | None = None, stop: Stop | None = None) -> TrainingReport:
    """Train, save the model, train what is to stand beside it, evaluate the test part.

    Raises:
        UsageError, EnvironmentProblem: before anything is written. NumericalFailure, Stopped: what was reached is kept.
    """
    stop = stop or Stop()
    with gathered(plan.device) as team:
        listener = (listener if team.is_first else None) or Listener()
        if plan.threads:
            torch.set_num_threads(plan.threads)
        said: list[str] = []
        listening = heard(listener, said.append)
        prepared = prepare(replace(plan, device=team.device(plan.device)), listening)
        plan = plan.fitted_to(len(prepared.split.train), listening)
        others = training_beside.others(plan, prepared)
        extra_baselines.parse_all(plan.baselines)
        return _begin(plan, prepared, others, listener, stop, said, team)


def _begin(
    plan: TrainingPlan,
    prepared: Prepared,
    others: Sequence[Other],
    listener: Listener,
    stop: Stop,
    said: Sequence[str] = (),
    team: Team = ALONE,
) -> TrainingReport:
    make_optimizer(prepared.model, plan.recipe, plan.momentum)
    path, facts = Path(plan.output), {**run_facts(plan, prepared), "processes": team.size}
    with _opened(
        team, path, lambda: RunFolder.create(path, overwrite=plan.overwrite, facts=facts, config=plan.config)
    ) as folder:
        for line in said:
            folder.log(line)
        folder.write_json("splits.json", prepared.split.to_json(prepared.ids))
        return _train(plan, prepared, others, folder, listener, stop, resumed=False, team=team)


@contextmanager
def _opened(team: Team, path: Path, opened: Callable[[], RunFolder]) -> Iterator[RunFolder]:
    """The folder of the run, opened and locked by the first process; the others end with it if it cannot."""
    problem: CrystalError | None = None
    folder: RunFolder | None = None
    with ExitStack() as inside:
        if team.is_first:
            try:
                inside.enter_context(run_locked(path))
                folder = opened()
            except CrystalError as found:
                problem = found
        code = team.firsts(None if problem is None else int(problem.exit_code))
        if problem is not None:
            raise problem
        if code is not None:
            raise SystemExit(code)
        yield folder or Onlooker(path)


def resume(
    path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop, *, end: bool = False
) -> TrainingReport:
    """Go on with the run in folder ``path``, or ``end`` it with its best epoch; ``changes`` may set threads and device.

    Raises:
        UsageError: no run there, it is finished, or its input changed.
    """
    record = RunFolder.read(path)
    if "plan" not in record:
        raise UsageError("is no training run", path=path)
    if record["exit_code"] == Exit.OK:
        raise UsageError(f"is finished: its model is {path / MODEL}; start a new run to train on", path=path)
    plan = TrainingPlan.from_json({**record["plan"], **changes, "output": str(path)})
    for name, digest in record["inputs"].items():
        if not Path(name).exists() or sha256(Path(name)) != digest:
            raise UsageError("is not the file that this run was started with", path=name)
    with gathered(plan.device) as team:
        listener = listener if team.is_first else Listener()
        if plan.threads:
            torch.set_num_threads(plan.threads)
        prepared = prepare(replace(plan, device=team.device(plan.device)), listener)
        others = training_beside.others(plan, prepared)
        with _opened(team, path, lambda: RunFolder.reopen(path)) as folder:
            return _train(plan, prepared, others, folder, listener, stop, resumed=True, team=team, end=end)


def _train(
    plan: TrainingPlan,
    prepared: Prepared,
    others: Sequence[Other],
    folder: RunFolder,
    listener: Listener,
    stop: Stop,
    *,
    resumed: bool,
    team: Team = ALONE,
    end: bool = False,
) -> TrainingReport:
    listening = heard(listener, folder.log)
    with folder.recorded(lambda: _outputs(folder)), watched(team):
        trainer = Trainer(plan, prepared, folder, listening, stop, team)
        try:
            if resumed:
                trainer.restore()
            if end:
                trainer.end()
            else:
                trainer.run()
            if not team.is_first:
                return TrainingReport((), folder.path / MODEL, folder.path, {})
            if others:
                trainer.save()
                _save_model(plan, prepared, folder, trainer)
            beside = training_beside.train(others, folder, listener, lambda *one: _beside(stop, *one))
            report = _finish(plan, prepared, folder, trainer, beside)
        except Stopped:
            if trainer.best and team.is_first:  # the state is kept already: a second signal costs nothing
                trainer.end()
                _finish(plan, prepared, folder, trainer, {}, code=Exit.STOPPED)
            raise
        except NumericalFailure:
            if trainer.best and team.is_first:
                prepared.model.load_state_dict(trainer.best)
                _save_model(plan, prepared, folder, trainer)
            raise
    folder.finish(Exit.OK, _outputs(folder))
    if team.is_first:
        checkpoint.clear(folder.path)
    if plan.latest:
        point_latest(folder.path)
    return report


def report_of(path: Path) -> dict[str, Any]:
    """What the finished run in folder ``path`` reported."""
    found: dict[str, Any] = json.loads((path / REPORT).read_text(encoding="utf-8"))
    return found


def _beside(
    stop: Stop, plan: TrainingPlan, prepared: Prepared, standing: Standing, listener: Listener
) -> Mapping[str, Any]:
    """What a training beside the model reports: trained now, gone on with, or finished before."""
    path = Path(plan.output)
    if standing == "finished":
        return report_of(path)
    if standing == "under way":
        with _opened(ALONE, path, lambda: RunFolder.reopen(path)) as folder:
            return _train(plan, prepared, (), folder, listener, stop, resumed=True).data
    return _begin(replace(plan, overwrite=True), prepared, (), listener, stop).data


def _outputs(folder: RunFolder) -> list[str]:
    """Results: training states are none, they go when the run is done."""
    return [p.name for p in folder.path.iterdir() if p.is_file() and not p.name.startswith((".", "state-"))]


def _save_model(plan: TrainingPlan, prepared: Prepared, folder: RunFolder, trainer: Trainer) -> Path:
    """Write the model; its provenance holds nothing of time, place or machine: equal runs are equal bytes."""
    split = prepared.split.to_json(prepared.ids)
    provenance = {
        "seed": plan.seed,
        "recipe": vars(plan.recipe),
        "split": split,
        "epoch": trainer.progress.best_epoch,
        "structures": len(prepared.data),
    }
    parts, size = prepared.split, plan.recipe.batch_size
    prepared.model.familiarity = familiar.learned(prepared.model, prepared.data, parts.train, parts.val, size)
    model_file.save(folder.path / MODEL, prepared.model, provenance)
    return folder.path / MODEL


def _finish(
    plan: TrainingPlan,
    prepared: Prepared,
    folder: RunFolder,
    trainer: Trainer,
    beside: Mapping[str, Mapping[str, Any]],
    code: Exit = Exit.OK,
) -> TrainingReport:
    path = _save_model(plan, prepared, folder, trainer)
    found = predict_test(prepared, plan.recipe.batch_size)
    targets = [
        replace(t, compared=training_beside.rows(beside, t.quantity.name))
        for t in report_targets(prepared, found, plan.baselines, paper_baselines=plan.paper_baselines)
    ]
    write_test_predictions(prepared, folder, found)
    draw(prepared, folder, trainer, found=found, targets=targets)
    data = {
        "model": str(path),
        "folder": str(folder.path),
        "architecture": plan.architecture,
        "test": {t.quantity.name: t.to_json() for t in targets},
        "split": split_facts(prepared),
        "leaks": [leak.to_json() for leak in prepared.leaks],
        "parameters": prepared.n_parameters,
        "epochs": trainer.progress.epoch,
        "best_epoch": trainer.progress.best_epoch,
        "best_score": trainer.progress.best,
        "validation": _validation_errors(prepared, plan.recipe.batch_size),
        "seed": plan.seed,
        "finished": code == Exit.OK,
        "exit_code": int(code),
    }
    folder.write_json(REPORT, data)
    for t in targets:
        folder.log(f"test {t.quantity.name}: {json.dumps(t.to_json()['model'])}")
    return TrainingReport(tuple(targets), path, folder.path, data)


def _validation_errors(prepared: Prepared, batch_size: int) -> dict[str, Any]:
    """Errors of the weights that are kept, on the part that chose them; by target."""
    found = evaluation.collect(prepared.model, prepared.data, prepared.split.val, batch_size, prepared.zeroth or None)
    return {name: c.errors().to_json() for name, c in found.items() if c.mask.any()}
