"""Errors against the number of training structures on one test part, from nothing and from a trained model.

Every point is a run (or a series, or an ensemble) in a folder of its own; the folder above holds what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from crystalcli.mechanisms.drawing import size_plots
from crystalcli.mechanisms.models.model_head import file_of, read_head
from crystalcli.mechanisms.running.locks import run_locked
from crystalcli.mechanisms.running.run_folder import RunFolder, point_latest, sha256
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.running.tables import csv_text
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.texts import file_word
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training, training_beside, training_series
from crystalcli.workflows.train.training_plan import StartPlan, TrainingPlan
from crystalcli.workflows.train.training_series import Series, SeriesReport

SCRATCH, TRANSFER = "scratch", "transfer"
OF_TRANSFER = ("from", "freeze", "lr_factor", "freeze_norm", "new_head", "refit_normaliser")
"""Settings that a training from nothing does not have."""


@dataclass(frozen=True)
class Curve:
    """Which trainings make the curve.

    Args:
        sizes: numbers of training structures; a smaller set is part of a larger one.
        scratch_lr: learning rate of trainings from nothing, where others start from a model.
    """

    sizes: tuple[int, ...]
    scratch_lr: float = 0.0

    @classmethod
    def parse(cls, text: str, scratch_lr: float) -> Curve:
        """Read ``60,250,1000``.

        Raises:
            UsageError: not whole numbers from 2 on.
        """
        try:
            sizes = tuple(sorted({int(word) for word in text.split(",")}))
        except ValueError:
            sizes = ()
        if not sizes or sizes[0] < 2:
            raise UsageError(f"--learning-curve {text} must be numbers of training structures, e.g. 60,250,1000")
        return cls(sizes, scratch_lr)


@dataclass(frozen=True)
class Point:
    """One training of the curve: from ``scratch`` or by ``transfer``, of so many structures."""

    beginning: str
    size: int
    plan: TrainingPlan


def points(plan: TrainingPlan, curve: Curve) -> list[Point]:
    """The trainings, small ones first.

    Raises:
        UsageError: no epochs. InputError, UnsafeInput: the model to start from cannot be read.
    """
    if not plan.recipe.epochs:
        raise UsageError("--epochs 0 trains nothing; a learning curve is of trainings")
    beginnings = [(SCRATCH, _from_nothing(plan, curve)), (TRANSFER, plan)] if plan.start.model else [(SCRATCH, plan)]
    return [Point(name, size, _point(plan, one, name, size)) for size in curve.sizes for name, one in beginnings]


def _from_nothing(plan: TrainingPlan, curve: Curve) -> TrainingPlan:
    """The plan with the parts of its model, but none of its weights."""
    spec = read_head(file_of(Path(plan.start.model)))["spec"]
    own = spec["head"]["options"]
    one = replace(
        plan,
        architecture=spec["architecture"]["name"],
        architecture_options=spec["architecture"]["options"],
        head=plan.head if plan.start.new_head else spec["head"]["name"],
        head_options=plan.head_options if plan.start.new_head else own,
        featurizer=spec["graph"]["name"],
        embed_options=spec["embedding"]["options"],
        start=StartPlan(),
        recipe=replace(plan.recipe, lr=curve.scratch_lr or plan.recipe.lr),
    )
    if "train" not in plan.config:
        return one
    table = {k: v for k, v in plan.config["train"].items() if k not in OF_TRANSFER}
    table |= {"arch": one.architecture, "head": one.head, "lr": one.recipe.lr}
    table |= {n: dict(o) for n, o in ((one.architecture, one.architecture_options), (one.head, one.head_options)) if o}
    return replace(one, config={"train": table | ({one.featurizer: one.embed_options} if one.embed_options else {})})


def _point(plan: TrainingPlan, one: TrainingPlan, beginning: str, size: int) -> TrainingPlan:
    config = {}
    if "train" in one.config:
        table = {k: v for k, v in one.config["train"].items() if k not in ("learning_curve", "baseline", "compare")}
        config = {"train": table | {"train_size": size, "no_compare": True}}
    where = str(Path(plan.output) / f"{beginning}-{size}")
    made = replace(one, train_size=size, output=where, latest=False, compare=(), baselines=(), config=config)
    return replace(made, split_seed=plan.seed_of_split)


def run(plan: TrainingPlan, curve: Curve, series: Series, listener: Listener, stop: Stop) -> SeriesReport:
    """Train all points one after another and report them together.

    Raises:
        UsageError, EnvironmentProblem: before anything is written. Stopped, NumericalFailure: of the point under way.
    """
    found = points(plan, curve)
    facts = {
        "command": "train",
        "plan": plan.to_json(),
        "curve": asdict(curve),
        "series": asdict(series),
        "inputs": {str(p): sha256(p) for p in plan.inputs},
    }
    path = Path(plan.output)
    with run_locked(path):
        folder = RunFolder.create(path, overwrite=plan.overwrite, facts=facts, config=plan.config)
        return _train(plan, found, folder, listener, lambda one: _begun(one, series, listener, stop))


def is_curve(path: Path) -> bool:
    """Whether the run in folder ``path`` is a learning curve."""
    return "curve" in RunFolder.read(path)


def resume(path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop) -> SeriesReport:
    """Go on with the curve in folder ``path``: points that are finished stay, one under way goes on.

    Raises:
        UsageError: it is finished, or its input changed. EnvironmentProblem: another process is writing it.
    """
    with run_locked(path):
        return _resumed(path, changes, listener, stop)


def _resumed(path: Path, changes: Mapping[str, Any], listener: Listener, stop: Stop) -> SeriesReport:
    record, plan = training_beside.unfinished(path, changes, "points")
    series = Series(**record["series"])
    curve = Curve(**{**record["curve"], "sizes": tuple(record["curve"]["sizes"])})

    def go_on(one: TrainingPlan) -> Mapping[str, Any]:
        there = Path(one.output)
        if training_beside.standing(there, record["started"]) == "finished":
            return training.report_of(there)
        if not series.is_one and training_beside.begun(there, record["started"]):
            return training_series.resume(there, changes, listener, stop).data
        if training_beside.standing(there, record["started"]) == "under way":
            return training.resume(there, changes, listener, stop).data
        return _begun(replace(one, overwrite=True), series, listener, stop)

    return _train(plan, points(plan, curve), RunFolder.reopen(path), listener, go_on)


def _begun(one: TrainingPlan, series: Series, listener: Listener, stop: Stop) -> Mapping[str, Any]:
    if series.is_one:
        return training.run(one, listener, stop).data
    return training_series.run(one, series, listener, stop).data


def _train(
    plan: TrainingPlan,
    found: Sequence[Point],
    folder: RunFolder,
    listener: Listener,
    train: Callable[[TrainingPlan], Mapping[str, Any]],
) -> SeriesReport:
    reports = training_series.each([p.plan for p in found], folder, listener, train)
    curves = {name: _curve(name, found, reports) for name in reports[0]["test"]}
    data = {"folder": str(folder.path), "architecture": found[0].plan.architecture, "curves": curves, "exit_code": 0}
    for name, one in curves.items():
        rows = [[p["beginning"], p["structures"], p["error"], p["spread"]] for p in one["points"]]
        unit = f" [{one['unit']}]" if one["unit"] else ""
        header = ["beginning", "structures", f"{one['measure']}{unit}", "spread"]
        file = f"learning-curve-{file_word(name)}"
        folder.write(f"{file}.csv", csv_text(header, rows))
        size_plots.draw(paths(folder.path / file, plan.pictures), name, one)
    folder.write_json(training.REPORT, data)
    folder.finish(Exit.OK, training_series.outputs(folder))
    if plan.latest:
        point_latest(folder.path)
    return SeriesReport(folder.path, data)


def _curve(name: str, found: Sequence[Point], reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Test errors of one target at every point, and of always saying the mean of the largest training part."""
    first = reports[0]["test"][name]
    measure = "MAE" if first["model"] is None or "mae" in first["model"] else "accuracy"
    key = measure.lower()
    made = []
    for point, report in zip(found, reports, strict=True):
        row = report["ensemble"][name] if "ensemble" in report else report["test"][name]
        value = (row["model"] or {}).get(key)
        error, spread = (value["mean"], value["std"]) if isinstance(value, Mapping) else (value, None)
        n = report["split"]["sizes"]["train"]
        made.append({"beginning": point.beginning, "structures": n, "error": error, "spread": spread})
    mean = reports[-1]["test"][name]["baselines"].get("mean", {})
    return {"unit": first["unit"], "measure": measure, "mean": mean.get(key), "points": made}
