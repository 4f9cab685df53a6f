"""Errors against the number of training structures on one test part, from nothing and from a trained model.

Every point is a run (or a series, or an ensemble) in the run of the curve, which holds what they say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from crystalcli.contracts.drawing import BLUE, GREY, ORANGE, canvas
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow import Run
from crystalcli.engine.drawing.plots import save
from crystalcli.engine.labels import label_units
from crystalcli.train.choice import head, learning_rate, spec_of
from crystalcli.train.labels import labelled
from crystalcli.train.material import Material
from crystalcli.train.options import StartOptions, TrainOptions
from crystalcli.train.series import Several, unit_of_errors
from crystalcli.train.setup import values_of
from crystalcli.train.split import choose
from crystalcli.vocabulary.display import unit_for
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.tables import csv_text
from crystalcli.vocabulary.texts import file_word

SCRATCH, TRANSFER = "scratch", "transfer"

LOOKS = {SCRATCH: (BLUE, "o", "from scratch"), TRANSFER: (ORANGE, "s", "from a trained model")}


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
        UsageError: a model to start from and no epochs. InputError, UnsafeInput: that model cannot be read.
    """
    o: TrainOptions = request.options
    if not o.epochs and o.from_ is not None:
        raise UsageError("--epochs 0 does not train a model on; a learning curve is of trainings")
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
    made = replace(request, options=replace(o, **plain, **names), parts=parts)
    return replace(made, options=replace(made.options, lr=learning_rate(made)))


def _point(request: Request, one: Request, way: str, size: int) -> Request:
    alone = {"learning_curve": "", "compare": (), "no_compare": True, "baseline": ()}
    seed = request.options.seed_of_split
    options = replace(one.options, train_size=size, split_seed=seed, **alone)
    return Request(options, one.parts, request.path / f"{way}-{size}")


def _beginning(point: Request) -> str:
    return SCRATCH if point.options.from_ is None else TRANSFER


class LearningCurve(Several):
    """The trainings of a curve.

    Raises:
        UsageError: as ``points`` and ``Several``; two points of the same structures.
    """

    def __init__(self, request: Request, host: Host) -> None:
        super().__init__(request, points(request), host)
        p, asked = self.prepared, sizes(self.options.learning_curve)
        material = Material(p.data, labelled(p.data, p.targets, Host()), values_of(p.data, p.targets[0]), p.ids)
        n = len(choose(material, replace(self.runs[0].options, train_size=0)).train)
        if len(all_of_them := [size for size in asked if size >= n]) > 1:
            self.close()
            said = " and ".join(map(str, all_of_them))
            raise UsageError(
                f"--learning-curve: the training part has {n} structures, and {said} would be the same training twice"
            )

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
            draw_learning_curve(paths(run.path / file, self.options.pictures), name, one)
        return {"folder": str(run.path), "architecture": reports[0]["architecture"], "curves": curves, "exit_code": 0}


def _curve(name: str, found: Sequence[Request], reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Test errors of one target at every point, and of always saying the mean of the largest training part.

    All are in the unit of the labels, though a model that is trained on may count in another.
    """
    first = reports[0]["test"][name]
    unit = unit_of_errors(first)
    measure = "MAE" if first["model"] is None or "mae" in first["model"] else "accuracy"
    key = measure.lower()
    made = []
    for point, report in zip(found, reports, strict=True):
        row = report["ensemble"][name] if "ensemble" in report else report["test"][name]
        value = (row["model"] or {}).get(key)
        both = (value["mean"], value["std"]) if isinstance(value, Mapping) else (value, None)
        error, spread = (_expressed(v, report["test"][name], unit) for v in both)
        n = report["split"]["sizes"]["train"]
        made.append({"beginning": _beginning(point), "structures": n, "error": error, "spread": spread})
    last = reports[-1]["test"][name]
    mean = _expressed(last["baselines"].get("mean", {}).get(key), last, unit)
    return {"unit": unit, "measure": measure, "mean": mean, "points": made}


def _expressed(error: float | None, row: Mapping[str, Any], unit: str) -> float | None:
    """An error of the target of ``row`` in ``unit``."""
    times = label_units.factor(unit_of_errors(row), unit)
    return error if error is None or times is None else error * times


def draw_learning_curve(files: Sequence[Path], name: str, curve: Mapping[str, Any]) -> None:
    """Draw the errors of a learning curve, both axes logarithmic; nothing without errors.

    Args:
        files: to write, the format by their endings.
        name: of the target.
        curve: ``unit``, ``measure`` (MAE, accuracy), ``mean`` (that of the training mean, or none) and ``points`` with
            ``beginning`` (scratch, transfer), ``structures``, ``error`` and ``spread``.
    """
    points = [p for p in curve["points"] if p["error"] is not None]
    if not points:
        return
    quantity = Quantity(name, curve["unit"])
    factor, unit = unit_for(min(p["error"] for p in points), quantity) if curve["measure"] == "MAE" else (1.0, "")
    figure, axes = canvas(5.5, 4.0)
    for beginning, (color, mark, label) in LOOKS.items():
        mine = [p for p in points if p["beginning"] == beginning]
        if mine:
            x, y = [p["structures"] for p in mine], [factor * p["error"] for p in mine]
            spread = [factor * (p["spread"] or 0.0) for p in mine]
            axes.errorbar(x, y, spread, fmt=f"{mark}-", ms=6, lw=1.5, color=color, capsize=3, label=label)
    if curve["mean"] is not None:
        axes.axhline(factor * curve["mean"], ls="--", lw=1, color=GREY, label="mean of the training part")
    axes.set_xscale("log")
    if curve["measure"] == "MAE":
        _log_errors(axes)
    ticks = sorted({p["structures"] for p in points})
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axes.xaxis.minorticks_off()
    axes.set(xlabel="training structures", ylabel=f"test {curve['measure']}{f' ({unit})' if unit else ''}")
    figure.suptitle(name.replace("_", " "), fontsize=10)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    save(figure, files)


def _log_errors(axes: Any) -> None:
    """A logarithmic axis with plain numbers, also where all lie in one decade."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
