"""Trained model + labelled structures that it has never seen → the same model with a σ of the right size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from crystalcli.calibrate.new_rows import Counts, new_rows
from crystalcli.calibrate.options import CalibrateOptions
from crystalcli.engine.evaluate import calibration
from crystalcli.engine.labels.label_requests import parse
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.model.sigma_fit import SigmaFit
from crystalcli.engine.read.input_digest import digest as content
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.run import files, locks
from crystalcli.engine.run.devices import choose_device
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.prediction.errors import nearest
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity

Floats = NDArray[np.float64]
METHODS = get_args(get_type_hints(CalibrateOptions)["method"])
SILENT = CalibrateOptions()
"""What counts where nobody says anything."""


@dataclass(frozen=True)
class CalibrationPlan:
    """What to do: the options of the command as the objects that they mean.

    Args:
        model: model file or run folder. inputs: labelled structures or graph caches.
        output: model file to write.
        method: scale: σ → s·σ; conformal: half widths of intervals, too.
        levels: of the intervals.
        labels: where the labels are, see :class:`LabelRequest`.
        device: as ``--device``.
        reading: choices for tables.
        skip_known: leave out what the model was trained or validated on; else such structures are an error.
        overwrite: replace the output, which may be the model itself.
    """

    model: Path
    inputs: tuple[str, ...]
    output: Path
    method: str = SILENT.method
    levels: tuple[float, ...] = SILENT.chances
    labels: tuple[str, ...] = SILENT.labels
    reading: ReadOptions = DEFAULTS
    skip_known: bool = SILENT.skip_known
    batch_size: int = SILENT.batch_size
    device: str = SILENT.device
    overwrite: bool = False

    @classmethod
    def of(cls, asked: CalibrateOptions, *, overwrite: bool) -> Self:
        """What the options mean.

        Raises:
            UsageError: levels that are none. EnvironmentProblem: no such device.
        """
        file = named_by(asked.model)
        # beside a file of the user's; of a model by name here, and not in the package that brings it
        home = file.parent if asked.model.exists() else Path()
        stem = file.stem if asked.model.exists() else str(asked.model)
        return cls(
            model=asked.model,
            inputs=asked.inputs,
            output=asked.output or home / f"{stem}-calibrated.safetensors",
            method=asked.method,
            levels=asked.chances,
            labels=asked.labels,
            reading=ReadOptions(asked.cif_column, asked.id_column),
            skip_known=asked.skip_known,
            batch_size=asked.batch_size,
            device=str(choose_device(asked.device)),
            overwrite=overwrite,
        )


@dataclass
class CalibrationReport(Counts):
    """What came out.

    Args:
        output: the model. fits, before: by target the fit, and errors beside σ before.
        left_out: intervals, and targets that could not be calibrated, in words.
        skipped, unlabelled, repeated, failures: as of :class:`Counts`.
    """

    output: Path = field(kw_only=True)
    fits: dict[str, SigmaFit] = field(default_factory=dict)
    before: dict[str, calibration.Calibration] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return {
            "model": str(self.output),
            "sigma": {name: fit.to_json() for name, fit in self.fits.items()},
            "before": {name: found.to_json() for name, found in self.before.items()},
            "left_out": self.left_out,
            "skipped": self.skipped,
            "repeated": self.repeated,
            "failed": [f.to_json() for f in self.failures],
        }


def run(plan: CalibrationPlan, warn: Callable[[str], None] = lambda _line: None) -> CalibrationReport:
    """Predict the labelled structures, fit, write the model.

    Raises:
        UsageError: structures that taught the model, no target that can be calibrated, a method or level that is not
            there.
        EnvironmentProblem: another program writes the output.
    """
    check(plan)
    with locks.locked(plan.output):
        files.refuse_to_overwrite(plan.output, plan.overwrite)
        return _calibrate(plan, warn)


def _calibrate(plan: CalibrationPlan, warn: Callable[[str], None]) -> CalibrationReport:
    predictor = Predictor(
        plan.model,
        device=choose_device(plan.device),
        batch_size=plan.batch_size,
        labels=parse(plan.labels) or (),
        warn=warn,
    )
    predictor.model.sigma_fits = {}  # a fit replaces the one before
    report = CalibrationReport(output=plan.output)
    paths = expand(plan.inputs)  # once: a list on stdin can be read once
    names = [str(p) for p in paths]
    rows = new_rows(predictor, report, names, plan.reading, skip_known=plan.skip_known, warn=warn)
    predictor.labels.say_missing()
    numbers = [q for q in predictor.quantities if not q.classes]
    if not numbers:
        raise UsageError("none of the model's targets is a number; probabilities of classes are not calibrated")
    hashes = {name: content(path) for name, path in _by_name(paths).items()}
    head = predictor.model.head
    missing = []
    for quantity in numbers:
        try:
            if not _fit(plan, quantity, rows, hashes, report, head=head):
                missing.append(quantity.name)
        except UsageError as problem:  # a target that cannot be calibrated keeps no other from it
            report.left_out.append(f"{quantity.name}: {problem.reason}")
    if not report.fits and report.left_out:
        raise UsageError("; ".join(report.left_out))
    if not report.fits:
        first = f"; the first: {report.failures[0]}" if report.failures else ""
        why = f"{report.unlabelled} without a label, {report.skipped} left out, {len(report.failures)} failed{first}"
        raise UsageError(f"no structure to calibrate with ({why}); {_named(missing)}")
    if missing:
        report.left_out.append(f"{', '.join(missing)}, of which no structure has a label; {_named(missing)}")
    _save(plan, predictor, report)
    return report


def _named(missing: Sequence[str]) -> str:
    return f"--labels {missing[0]}=KEY says what the files call {missing[0]}"


def _by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by their names; those that share one by their paths."""
    count = Counter(path.name for path in paths)
    return {path.name if count[path.name] == 1 else str(path): path for path in paths}


def check(plan: CalibrationPlan) -> None:
    """Refuse what cannot work, before anything is read.

    Raises:
        UsageError: no such method or level, or an output that is there.
    """
    if plan.method not in METHODS:
        raise UsageError(f"no method '{plan.method}'; {did_you_mean(plan.method, METHODS)}")
    wrong = [level for level in plan.levels if not 0.0 < level < 1.0]
    if wrong:
        raise UsageError(f"level {wrong[0]:g} must be between 0 and 1")
    files.refuse_to_overwrite(plan.output, plan.overwrite)


def _fit(
    plan: CalibrationPlan,
    quantity: Quantity,
    rows: Sequence[Row],
    data: Mapping[str, str],
    report: CalibrationReport,
    *,
    head: Any,
) -> bool:
    """Fit the σ of one target; whether there are labels of it.

    Raises:
        UsageError: a σ of zero, or too few labels.
    """
    name = quantity.name
    error, sigma, structures = _errors(quantity, rows, head)
    if not len(error):
        return False
    if not error.any():  # as forces that symmetry forbids have none
        report.left_out.append(f"{name}, of which all {len(error)} errors are zero: they say nothing of its sigma")
        return True
    agreed = int((sigma <= 0.0).sum())
    if agreed:
        raise UsageError(f"its sigma is zero for {agreed} of {len(sigma)} values: no factor cures that")
    try:
        factor = calibration.scale(error, sigma)
    except UsageError as problem:
        raise UsageError(f"{problem.reason}; there are {len(error)}") from problem
    widths = {}
    if plan.method == "conformal":
        widths = _half_widths(error, sigma, plan.levels, report, name)
    report.fits[name] = SigmaFit(plan.method, factor, widths, len(error), structures, data)
    found = calibration.calibration(error, sigma)
    if found is not None and name in rows[0].uncertainties:
        report.before[name] = found
    return True


def _half_widths(
    error: Floats, sigma: Floats, levels: Sequence[float], report: CalibrationReport, name: str
) -> dict[str, float]:
    """Of the intervals that so many labels can give.

    Raises:
        UsageError: too few for any.
    """
    found = {}
    for level in sorted(levels):
        try:
            found[f"{level:g}"] = calibration.conformal(error, sigma, level)
        except UsageError as problem:
            if level == min(levels):
                raise
            report.left_out.append(f"{name}: {problem.reason}")
    return found


def _errors(quantity: Quantity, rows: Sequence[Row], head: Any) -> tuple[Floats, Floats, int]:
    """Errors and σ of all labels (where the model has none 1, of totals 1 per atom); how many structures have them."""
    errors, sigmas = [np.zeros(0)], [np.zeros(0)]
    for row in rows:
        if quantity.name not in row.labels:
            continue
        value = np.asarray(row.values[quantity.name], dtype=np.float64)
        total = quantity.extensive and quantity.level == "structure"
        unit = np.full(value.shape, len(row.atoms) if total else 1.0)
        sigma = np.asarray(row.uncertainties.get(quantity.name, {}).get("sigma", unit), dtype=np.float64)
        error = value - nearest(head, quantity, row)[0]
        known = np.isfinite(error)
        errors.append(error[known])
        sigmas.append(sigma[known])
    return np.concatenate(errors), np.concatenate(sigmas), sum(len(e) > 0 for e in errors)


def _save(plan: CalibrationPlan, predictor: Predictor, report: CalibrationReport) -> None:
    """Write the model anew; what taught it stays in its provenance, and a target without labels as it was."""
    model, provenance = model_file.load(predictor.path)
    model.sigma_fits = {**model.sigma_fits, **report.fits}
    model_file.save(plan.output, model, provenance)
