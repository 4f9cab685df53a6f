"""Errors against the number of training structures on one test part, from nothing and from a trained model.

Every point is a run (or a series, or an ensemble) in the run of the curve, which holds what they say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow import Run
from crystalcli.train import size_plots
from crystalcli.train.choice import GENTLER, architecture, head, recipe_of, spec_of
from crystalcli.train.options import StartOptions, TrainOptions
from crystalcli.train.series import Several, unit_of_errors
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.tables import csv_text
from crystalcli.vocabulary.texts import file_word

SCRATCH, TRANSFER = "scratch", "transfer"


def sizes(text: str) -> tuple[int, ...]:
    """Read ``60,250,1000``: numbers of training structures, a smaller set is part of a larger one.

    Raises:
        UsageError: not whole numbers from 2 on.
    """
    try:
        found = tuple(sorted({int(word) for word in text.split(",")}))
    except ValueError:
        found = ()
    if not found or found[0] < 2:
        raise UsageError(f"--learning-curve {text} must be numbers of training structures, e.g. 60,250,1000")
    return found


def points(request: Request) -> list[Request]:
    """The trainings, small ones first; from a model both ways.

    Raises:
        UsageError: no epochs. InputError, UnsafeInput: the model to start from cannot be read.
    """
    o: TrainOptions = request.options
    if not o.epochs:
        raise UsageError("--epochs 0 trains nothing; a learning curve is of trainings")
    ways = {SCRATCH: request} if o.from_ is None else {SCRATCH: _from_nothing(request), TRANSFER: request}
    return [_point(request, one, name, size) for size in sizes(o.learning_curve) for name, one in ways.items()]


def _from_nothing(request: Request) -> Request:
    """The same with the parts of its model, but none of its weights."""
    o: TrainOptions = request.options
    assert o.from_ is not None
    spec = spec_of(o.from_)
    parts = {
        "arch": Chosen(spec["architecture"]["name"], spec["architecture"]["options"]),
        "head": Chosen(spec["head"]["name"], spec["head"]["options"]),
        "featurizer": Chosen(spec["graph"]["name"], spec["embedding"]["options"]),
    }
    if o.new_head:
        name = head(request).name
        parts["head"] = request.parts.get("head", Chosen(name))
    plain: dict[str, Any] = {f.name: f.default for f in fields(StartOptions)}
    names: dict[str, Any] = {option: chosen.name for option, chosen in parts.items()}
    return replace(request, options=replace(o, **plain, **names, lr=_from_nothings_lr(request)), parts=parts)


def _from_nothings_lr(request: Request) -> float:
    """The learning rate that suits the architecture, where the model is trained on with the gentler one."""
    usual = float(recipe_of(architecture(request), head(request))["lr"])
    asked: float = request.options.lr
    return usual if asked == usual * GENTLER else asked


def _point(request: Request, one: Request, way: str, size: int) -> Request:
    alone = {"learning_curve": "", "compare": (), "no_compare": True, "baseline": ()}
    seed = request.options.seed_of_split
    options = replace(one.options, train_size=size, split_seed=seed, **alone)
    return Request(options, one.parts, request.path / f"{way}-{size}")


def _beginning(point: Request) -> str:
    return SCRATCH if point.options.from_ is None else TRANSFER


class LearningCurve(Several):
    """The trainings of a curve."""

    def __init__(self, request: Request, host: Host) -> None:
        super().__init__(request, points(request), host)

    def do(self, run: Run) -> Mapping[str, Any]:
        """Train all points one after another and report them together."""
        reports = self.train(run)
        curves = {name: _curve(name, self.runs, reports) for name in reports[0]["test"]}
        for name, one in curves.items():
            rows = [[p["beginning"], p["structures"], p["error"], p["spread"]] for p in one["points"]]
            unit = f" [{one['unit']}]" if one["unit"] else ""
            header = ["beginning", "structures", f"{one['measure']}{unit}", "spread"]
            file = f"learning-curve-{file_word(name)}"
            run.write(f"{file}.csv", csv_text(header, rows))
            size_plots.draw(paths(run.path / file, self.options.pictures), name, one)
        return {"folder": str(run.path), "architecture": reports[0]["architecture"], "curves": curves, "exit_code": 0}


def _curve(name: str, found: Sequence[Request], reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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
        made.append({"beginning": _beginning(point), "structures": n, "error": error, "spread": spread})
    mean = reports[-1]["test"][name]["baselines"].get("mean", {})
    return {"unit": unit_of_errors(first), "measure": measure, "mean": mean.get(key), "points": made}
