"""The end of an ensemble's training: members become one model, with σ, its test error, calibration and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.drawing import BLUE, GREY, canvas
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run
from crystalcli.engine.drawing import plots
from crystalcli.engine.drawing.plots import save
from crystalcli.engine.evaluate import calibration, evaluation, metrics
from crystalcli.engine.evaluate.evaluation import Collected
from crystalcli.engine.model import model_file, taught
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_head import MODEL
from crystalcli.train import positions
from crystalcli.train.options import TrainOptions
from crystalcli.train.pictures import draw_places
from crystalcli.train.report import write_test_predictions
from crystalcli.train.setup import Prepared
from crystalcli.vocabulary.pictures import paths
from crystalcli.vocabulary.texts import file_word

USUAL = 0.99
"""Members that disagree more than on this share of the test structures extrapolate."""


def finish(
    options: TrainOptions,
    prepared: Prepared,
    runs: Sequence[Request],
    reports: Sequence[Mapping[str, Any]],
    run: Run,
) -> dict[str, Any]:
    """Write the model of the ensemble and what it does on the test part; returns what report.json holds of it.

    Args:
        options: of the first member.
        prepared: data of the first member.
        runs: members.
        reports: of the members.
        run: of the ensemble.

    σ_a² is the mean over members of their mean squared error on their own validation parts, where they have labels.
    """
    loaded = [model_file.load(one.path / MODEL) for one in runs]
    ensemble = Ensemble([cast(CrystalModel, model) for model, _ in loaded], aleatoric(reports)).eval()
    path = run.path / MODEL
    provenance = {
        "seed": options.seed,
        "members": [{"seed": r["seed"], "epoch": r["best_epoch"], "split": r["split"]["sha256"]} for r in reports],
        "recipe": vars(options.recipe),
    }
    provenance["split"] = _split(runs, [prepared.ids[i] for i in prepared.split.test])
    provenance[taught.KEY] = reduce(or_, (taught.Taught.of(said) for _, said in loaded)).to_json()
    found = evaluation.collect(ensemble.to(prepared.device), prepared.data, prepared.split.test, options.size)
    provenance["domain"] = {name: _domain(prepared, name, c) for name, c in found.items()}
    model_file.save(path, ensemble, provenance)
    more = {name: positions.more_of(prepared, c) for name, c in found.items()}
    for name, c in found.items():
        if line := _noise_said(name, c, reports):
            run.reporter.warn(line)
    told = {name: _told(name, c, reports, more[name]) for name, c in found.items()}
    for name, c in found.items():
        _draw(prepared, run, name, c, len(runs), options.pictures)
        for line in _lines(name, told[name]):
            run.reporter.say(line)
    write_test_predictions(prepared, run, found)
    return {"model": str(path), "aleatoric": ensemble.aleatoric, "ensemble": told}


def _split(runs: Sequence[Request], test: list[str]) -> dict[str, list[str]]:
    """By id: what taught any member, what only chose epochs, and what none of them saw."""
    parts = [json.loads((one.path / "splits.json").read_text(encoding="utf-8")) for one in runs]
    train = {i for part in parts for i in part["train"]}
    return {"train": sorted(train), "val": sorted({i for part in parts for i in part["val"]} - train), "test": test}


def _domain(prepared: Prepared, name: str, found: Collected) -> dict[str, float]:
    """Within which the members were taught: range of the labels, and the spread that is usual on test structures."""
    column = prepared.data.columns[name]
    if found.quantity.level != "structure" or found.quantity.classes or found.quantity.shape:
        return {}
    taught = np.concatenate([prepared.split.train, prepared.split.val])
    known = taught[column.mask[taught]]
    sizes = prepared.data.atom_counts()[known] if column.quantity.extensive else 1.0
    values = column.values[known] / sizes
    spread = found.epistemic if found.epistemic is not None and len(found.epistemic) else np.array([np.inf])
    return {
        "low": float(values.min()),
        "high": float(values.max()),
        "epistemic": float(np.quantile(spread, USUAL)),
    }


def aleatoric(reports: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """σ_a by target, of numbers that the validation part of a member has labels of."""
    names = dict.fromkeys(name for r in reports for name in r["validation"])
    of_each = {name: [_variance(row) for row in _numbers(name, reports)] for name in names}
    return {name: math.sqrt(sum(of) / len(of)) for name, of in of_each.items() if of}


def _numbers(name: str, reports: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Validation errors of a target, of the members that have any."""
    rows = [r["validation"].get(name) or {} for r in reports]
    return [row for row in rows if "rmse" in row]


def _noise_said(name: str, found: Collected, reports: Sequence[Mapping[str, Any]]) -> str:
    """What σ of a target lacks, because validation parts have no label of it; empty if it lacks nothing."""
    known, of = len(_numbers(name, reports)), len(reports)
    if known == of or found.sigma is None or found.epistemic is None:
        return ""
    if known:
        return f"σ_a of {name} is from {known} of {of} members; the validation parts of the others have no label of it"
    if not np.array_equal(found.sigma, found.epistemic):  # the members say it themselves
        return ""
    return (
        f"σ_a of {name} is unknown, for no member's validation part has a label of it: σ is the spread of the members"
        " alone, and too small; crystal calibrate fits it to labels that no member saw"
    )


def _variance(row: Mapping[str, Any]) -> float:
    """Mean squared error of one component in the unit of the target."""
    return float((row["rmse"] / row.get("factor", 1.0)) ** 2 / row.get("components", 1))


def _told(
    name: str, found: Collected, reports: Sequence[Mapping[str, Any]], more: Mapping[str, float]
) -> dict[str, Any]:
    if not found.mask.any():
        return {"unit": found.quantity.unit, "model": None, "members": None, "calibration": None}
    errors = found.errors()
    key = "mae" if isinstance(errors, metrics.Errors) else "log_loss"
    calibrated = None
    if found.sigma is not None:
        error = (found.value - found.true)[found.mask]
        calibrated = calibration.calibration(error.ravel(), found.sigma[found.mask].ravel())
    row = errors.to_json()
    return {
        "unit": row.get("unit", found.quantity.unit),
        "model": {**row, **more},
        "members": [r["test"][name]["model"][key] for r in reports],
        "calibration": calibrated.to_json() if calibrated else None,
    }


def _lines(name: str, told: Mapping[str, Any]) -> list[str]:
    if told["model"] is None:
        return [f"ensemble: the test part has no labels '{name}'"]
    key = "mae" if "mae" in told["model"] else "log_loss"
    members = ", ".join(f"{v:.4g}" for v in told["members"])
    unit = f" {told['unit']}" if told["unit"] else ""
    said = [f"ensemble {name}: test {key.replace('_', ' ')} {told['model'][key]:.4g}{unit} (members {members})"]
    c = told["calibration"]
    if c is not None:
        rank = "none" if c["spearman"] is None else f"{c['spearman']:.2f}"
        said.append(
            f"sigma of {name} (uncalibrated): {c['within_1_sigma']:.0%} within 1σ, {c['within_2_sigma']:.0%} within 2σ,"
            f" mean z² {c['mean_z2']:.2f}, rank correlation with the error {rank}"
        )
    return said


def _draw(prepared: Prepared, run: Run, name: str, found: Collected, members: int, pictures: str) -> None:
    errors = found.errors() if found.mask.any() else None
    if not isinstance(errors, metrics.Errors):
        return
    true, value = found.true[found.mask].ravel(), found.value[found.mask].ravel()
    title, drawn = f"ensemble of {members}", paths(run.path / f"parity-{file_word(name)}", pictures)
    if found.quantity.meaning == "position":
        draw_places(pictures, prepared, run, found, f"-{file_word(name)}", title=title)
    else:
        plots.parity(drawn, found.quantity, true, value, mae=errors.mae, title=f"{title}; test", unit=errors.unit)
    if found.sigma is not None:
        sigma = found.sigma[found.mask].ravel()
        drawn = paths(run.path / f"reliability-{file_word(name)}", pictures)
        draw_reliability(drawn, value - true, sigma, title=f"{title}; test")


def draw_reliability(
    paths: Sequence[Path], error: NDArray[np.float64], sigma: NDArray[np.float64], *, title: str
) -> None:
    """Draw which share of errors lies inside the Gaussian interval of every level; the diagonal is calibrated.

    Args:
        paths: files to write, the format by their endings.
        error: (n,).
        sigma: (n,) in the same unit; where one is not positive, nothing is drawn.
        title: what was evaluated.
    """
    found = calibration.calibration(error, sigma)
    if found is None:
        return
    figure, axes = canvas(5.0, 5.0)
    observed = calibration.reliability(error, sigma)
    axes.fill_between(calibration.LEVELS, calibration.LEVELS, observed, color=BLUE, alpha=0.15, lw=0)
    axes.plot(calibration.LEVELS, observed, "-", lw=1.5, color=BLUE, label="observed")
    axes.plot([0, 1], [0, 1], "--", lw=1, color=GREY, label="calibrated")
    axes.set(
        xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="interval of the predicted σ", ylabel="share of errors inside"
    )
    axes.legend(frameon=False, loc="upper left")
    text = f"mean z² {found.mean_z2:.2f}   area {found.miscalibration_area:.3f}   n = {found.n}"
    axes.set_title(f"{title}\n{text}", fontsize=10)
    save(figure, paths)
