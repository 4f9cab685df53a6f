"""Several trainings in one command: the same split, other beginnings, one report.

Every member is a whole run in a folder of its own; the folder of the series holds what they say together.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from crystalcli.mechanisms.running.locks import run_locked
from crystalcli.mechanisms.running.run_folder import RunFolder, point_latest, sha256
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.training import transfer
from crystalcli.vocabulary.errors import Exit, Stopped, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training, training_beside, training_ensemble
from crystalcli.workflows.train.training_plan import TrainingPlan


@dataclass(frozen=True)
class Series:
    """Which trainings belong together.

    Args:
        seeds: how many, from the plan's seed upwards.
        ensemble: the runs are members of one model: each has training and validation structures of its own.
        folds: the runs are the folds of one k-fold split, every structure once in a test part.
    """

    seeds: int = 1
    ensemble: bool = False
    folds: bool = False

    @property
    def is_one(self) -> bool:
        """Whether it is an ordinary single training."""
        return self.seeds == 1 and not self.ensemble and not self.folds


@dataclass(frozen=True)
class SeriesReport:
    """What came out.

    Args:
        folder: of the series. data: what its report.json holds.
    """

    folder: Path
    data: Mapping[str, Any]


def members(plan: TrainingPlan, series: Series) -> list[TrainingPlan]:
    """The plans of the single trainings, in order; of an ensemble only the first has others trained beside it.

    Raises:
        UsageError: an ensemble of one.
    """
    if series.folds:
        return [_of_fold(plan, k) for k in range(plan.split.folds)]
    if series.ensemble and series.seeds < 2:
        raise UsageError("an ensemble has two members or more")
    one_source = series.ensemble and plan.start.model and transfer.distinct(plan.start.model) < series.seeds
    start = replace(plan.start, keep=not one_source)
    found = []
    for k in range(series.seeds):
        member = k if series.ensemble else 0
        one = replace(
            plan,
            seed=plan.seed + k,
            split_seed=plan.seed_of_split,
            start=start,
            member=member,
            output=str(Path(plan.output) / (f"member-{member}" if series.ensemble else f"seed-{plan.seed + k}")),
            compare=() if member else plan.compare,
            baselines=() if k else plan.baselines,
            latest=False,
        )
        found.append(replace(one, config=_config(plan, one)))
    return found


def _of_fold(plan: TrainingPlan, k: int) -> TrainingPlan:
    """The plan with fold ``k`` as its test part, everything else the same."""
    table = {key: v for key, v in plan.config.get("train", {}).items() if key != "all_folds"} | {"fold": k}
    return replace(
        plan,
        split=replace(plan.split, fold=k),
        output=str(Path(plan.output) / f"fold-{k}"),
        config={"train": table} if "train" in plan.config else {},
        latest=False,
    )


def _config(plan: TrainingPlan, one: TrainingPlan) -> dict[str, Any]:
    """What trains member ``one`` again by itself, on the split of the series."""
    if "train" not in plan.config:
        return {}
    table = {k: v for k, v in plan.config["train"].items() if k not in ("seeds", "ensemble")} | {"seed": one.seed}
    if not one.baselines:
        table.pop("baseline", None)
    if not one.compare:
        table = {k: v for k, v in table.items() if k != "compare"} | {"no_compare": True}
    if not plan.train:
        table["split_file"] = str(Path(one.output) / "splits.json")
    return {"train": table}


def run(plan: TrainingPlan, series: Series, listener: Listener | None = None, stop: Stop | None = None) -> SeriesReport:
    """Train all members one after another and report them together.

    Raises:
        UsageError, EnvironmentProblem: before anything is written; another process may be writing the folder. Stopped,
            NumericalFailure: of the member under way; what was reached is kept.
    """
    listener, stop = listener or Listener(), stop or Stop()
    plans = members(plan, series)
    facts = {
        "command": "train",
        "plan": plan.to_json(),
        "series": asdict(series),
        "inputs": {str(p): sha256(p) for p in plan.inputs},
    }
    path = Path(plan.output)
    with run_locked(path):
        folder = RunFolder.create(path, overwrite=plan.overwrite, facts=facts, config=plan.config)
        return _train(plan, series, plans, folder, listener, lambda one: training.run(one, listener, stop).data)


def is_series(path: Path) -> bool:
    """Whether the run in folder ``path`` is a series."""
    return "series" in RunFolder.read(path)


def resume(path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop) -> SeriesReport:
    """Go on with the series in folder ``path``: members that are finished stay, one under way goes on.

    Raises:
        UsageError: it is finished, or its input changed. EnvironmentProblem: another process is writing it.
    """
    with run_locked(path):
        return _resumed(path, changes, listener, stop)


def _resumed(path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop) -> SeriesReport:
    record, plan = training_beside.unfinished(path, changes, "runs")
    series = Series(**record["series"])
    plans = members(plan, series)

    def go_on(one: TrainingPlan) -> Mapping[str, Any]:
        there = Path(one.output)
        standing = training_beside.standing(there, record["started"])
        if standing == "finished":
            return training.report_of(there)
        if standing == "under way":
            return training.resume(there, changes, listener, stop).data
        return training.run(replace(one, overwrite=True), listener, stop).data

    return _train(plan, series, plans, RunFolder.reopen(path), listener, go_on)


def _train(
    plan: TrainingPlan,
    series: Series,
    plans: Sequence[TrainingPlan],
    folder: RunFolder,
    listener: Listener,
    train: Callable[[TrainingPlan], Mapping[str, Any]],
) -> SeriesReport:
    reports = each(plans, folder, listener, train)
    data = summary(plan, reports, series) | {"folder": str(folder.path)}
    if series.ensemble:
        data |= training_ensemble.finish(plan, plans, reports, folder, listener)
    folder.write_json(training.REPORT, data)
    for name, row in data["test"].items():
        folder.log(f"test {name}: {json.dumps(row['model'])}")
    folder.finish(Exit.OK, outputs(folder))
    if plan.latest:
        point_latest(folder.path)
    return SeriesReport(folder.path, data)


def each(
    plans: Sequence[TrainingPlan],
    folder: RunFolder,
    listener: Listener,
    train: Callable[[TrainingPlan], Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """What ``train`` reports of every plan, in order; ``folder`` is that of them all.

    Raises:
        Stopped: says how many are done. CrystalError: of the run under way.
    """
    reports: list[Mapping[str, Any]] = []
    with folder.recorded(lambda: outputs(folder)):
        try:
            for k, one in enumerate(plans):
                listener.say(f"run {k + 1} of {len(plans)}: {one.architecture}, seed {one.seed} -> {one.output}")
                listener.run(k + 1, len(plans), one.recipe.epochs)
                reports.append(train(one))
        except Stopped as problem:
            done = f"{len(reports)} of {len(plans)} runs are finished"
            raise Stopped(
                f"{problem.reason.split(';')[0]}; {done}; go on with: crystal train --resume {folder.path}"
            ) from None
    return reports


def summary(plan: TrainingPlan, reports: Sequence[Mapping[str, Any]], series: Series = Series()) -> dict[str, Any]:
    """What members say together: mean and spread of every test error, by target and architecture.

    Folds have test parts of their own, and with them baselines, splits and leaks.
    """
    one = reports[0]
    test = {}
    for name, first in reports[0]["test"].items():
        test[name] = {
            "unit": first["unit"],
            "model": spread([r["test"][name]["model"] for r in reports]),
            "compared": {a: _compared(a, [r["test"][name]["compared"] for r in reports]) for a in first["compared"]},
            "baselines": first["baselines"],
        }
        if series.folds:
            every = [r["test"][name]["baselines"] for r in reports]
            test[name]["baselines"] = {b: _compared(b, every) for b in first["baselines"]}
            if test[name]["model"] is not None:
                test[name]["model"]["n"] = sum(r["test"][name]["model"]["n"] for r in reports)
    return {
        "architecture": plan.architecture,
        "test": test,
        "runs": [{k: r[k] for k in ("architecture", "seed", "folder", "model", "best_epoch")} for r in reports],
        "split": [r["split"] for r in reports] if series.folds else one["split"],
        "leaks": [r["leaks"] for r in reports] if series.folds else one["leaks"],
        "exit_code": 0,
    }


def _compared(architecture: str, found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What the runs of an architecture beside the model say together; those that failed do not count."""
    known = [rows[architecture] for rows in found if architecture in rows]
    done = [row for row in known if "skipped" not in row]
    return spread(done) if done else known[0]


def spread(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Mean and sample standard deviation (over n − 1; none of one run) of every number that all ``rows`` have."""
    if any(row is None for row in rows):
        return None
    known = [row for row in rows if row is not None]
    found: dict[str, Any] = {"runs": len(known)}
    for key, first in known[0].items():
        values = [row.get(key) for row in known]
        if key == "n":
            found[key] = first
        elif all(isinstance(v, (int, float)) for v in values):
            numbers = cast("list[float]", values)
            found[key] = {
                "mean": statistics.fmean(numbers),
                "std": statistics.stdev(numbers) if len(numbers) > 1 else None,
            }
    return found


def outputs(folder: RunFolder) -> list[str]:
    """Files of the folder but its lock."""
    return [p.name for p in sorted(folder.path.iterdir()) if p.is_file() and not p.name.startswith(".")]
