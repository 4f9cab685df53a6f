"""Architectures trained beside a model, on its data and split: what the report says of the model is measured by them.

Each is a whole run in a folder below that of the model. What fails in one of them is said and costs the model nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from crystalcli.contracts.records import Architecture
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder
from crystalcli.vocabulary.errors import CrystalError, Exit, Stopped, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train.training_plan import TrainingPlan
from crystalcli.workflows.train.training_setup import Prepared, remodelled

Other = tuple[TrainingPlan, Prepared]


def others(plan: TrainingPlan, prepared: Prepared) -> list[Other]:
    """The trainings beside that of ``plan``, on its data and split.

    Raises:
        UsageError: an architecture that is not there, does not fit, or is the plan's own; a model to start from.
    """
    if plan.compare and plan.start.model:
        raise UsageError("--compare trains from nothing, --from does not: their errors would not be comparable")
    plans = [_plan(plan, name) for name in plan.compare]
    return [(one, remodelled(prepared, one, Listener())) for one in plans]


def _plan(plan: TrainingPlan, name: str) -> TrainingPlan:
    if name == plan.architecture:
        raise UsageError(f"--compare {name} is the architecture itself")
    part = cast(Architecture, registry().get("architecture", name))
    one = replace(
        plan,
        architecture=name,
        architecture_options={},
        head_options={**plan.head_options, **part.partner_options.get(plan.head, {})},
        output=str(Path(plan.output) / name),
        compare=(),
        baselines=(),
        latest=False,
    )
    return replace(one, config=_config(plan, one))


def _config(plan: TrainingPlan, one: TrainingPlan) -> dict[str, Any]:
    """What trains ``one`` again by itself, on the split of the model."""
    if "train" not in plan.config:
        return {}
    table = {k: v for k, v in plan.config["train"].items() if k not in ("compare", "baseline", plan.architecture)}
    table |= {"arch": one.architecture, "head": one.head, "no_compare": True}
    table |= {one.head: dict(one.head_options), one.featurizer: dict(one.embed_options)}
    if not plan.train:
        table["split_file"] = str(Path(plan.output) / "splits.json")
    return {"train": table}


def unfinished(path: Path, changes: Mapping[str, Any], of: str) -> tuple[dict[str, Any], TrainingPlan]:
    """Record and plan of the several trainings in folder ``path``, to go on with; ``of``: what they are called.

    Raises:
        UsageError: all of them are finished.
    """
    record = RunFolder.read(path)
    if record["exit_code"] == Exit.OK:
        raise UsageError(f"is finished: all its {of} are trained; start a new run", path=path)
    return record, TrainingPlan.from_json({**record["plan"], **changes, "output": str(path)})


Standing = Literal["new", "under way", "finished"]


def standing(path: Path, since: str) -> Standing:
    """How far the run in folder ``path`` is that belongs to a run begun at ``since``; older ones do not count."""
    if not (path / RECORD).exists():
        return "new"
    record = RunFolder.read(path)
    if record["started"] < since:
        return "new"
    if record["exit_code"] == Exit.OK:
        return "finished"
    return "under way" if any(path.glob("state-*.json")) else "new"


def begun(path: Path, since: str) -> bool:
    """Whether there is a run in folder ``path`` that belongs to a run begun at ``since``."""
    return (path / RECORD).exists() and bool(RunFolder.read(path)["started"] >= since)


def train(
    found: Sequence[Other],
    folder: RunFolder,
    listener: Listener,
    run: Callable[[TrainingPlan, Prepared, Standing, Listener], Mapping[str, Any]],
) -> dict[str, Mapping[str, Any]]:
    """Train all of them with ``run``, which returns a report, one after another; reports by architecture.

    Raises:
        Stopped: asked to stop; what was reached is kept.
    """
    reports: dict[str, Mapping[str, Any]] = {}
    for one, prepared in found:
        name = one.architecture
        listener.say(f"beside the model: {name} -> {one.output}")
        try:
            where = standing(Path(one.output), folder.record["started"])
            reports[name] = run(one, prepared, where, _named(listener, name))
        except Stopped as problem:
            reason = problem.reason.split(";")[0]
            raise Stopped(f"{reason} of {name}; go on with: crystal train --resume {folder.path}") from None
        except CrystalError as problem:
            listener.warn(f"{name}, trained beside the model: {problem}")
            reports[name] = {"skipped": problem.reason}
    return reports


def _named(listener: Listener, name: str) -> Listener:
    return replace(
        listener, say=lambda text: listener.say(f"{name}: {text}"), warn=lambda text: listener.warn(f"{name}: {text}")
    )


def rows(reports: Mapping[str, Mapping[str, Any]], target: str) -> dict[str, Mapping[str, Any]]:
    """Test errors of ``target`` by architecture, or why there are none."""
    found = {}
    for name, report in reports.items():
        row = report if "skipped" in report else report["test"][target]["model"]
        if row is not None:
            found[name] = row
    return found
