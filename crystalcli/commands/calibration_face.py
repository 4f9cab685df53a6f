"""How a calibration looks: for every target the factor, what it was before, and the intervals."""

from __future__ import annotations

import torch

from crystalcli.commands.console import Face
from crystalcli.mechanisms.models.sigma_fit import SigmaFit
from crystalcli.mechanisms.running.cpu import prepare_cpu
from crystalcli.vocabulary.errors import Exit
from crystalcli.workflows.train import calibrating
from crystalcli.workflows.train.calibrating import CalibrationPlan, CalibrationReport


class CalibrationFace:
    """Runs a calibration for a person or a program."""

    def __init__(self, face: Face, threads: int) -> None:
        self.face = face
        prepare_cpu()
        if threads:
            torch.set_num_threads(threads)

    def run(self, plan: CalibrationPlan) -> bool:
        """Calibrate; returns whether structures failed."""
        report = calibrating.run(plan, self.face.warn)
        for failure in report.failures:
            self.face.warn(str(failure))
        if report.skipped:
            self.face.say(f"{report.skipped} structures that trained or validated the model are left out")
        for name, fit in report.fits.items():
            self.face.say(_line(name, fit, report))
        for line in report.left_out:
            self.face.warn(f"left out: {line}")
        self.face.say(f"model -> {report.output}")
        self.face.say(f"check it on other structures: crystal predict {report.output} OTHERS -o FILE")
        code = Exit.SOME_FAILED if report.failures else Exit.OK
        self.face.result({**report.to_json(), "exit_code": int(code)})
        return bool(report.failures)


def _line(name: str, fit: SigmaFit, report: CalibrationReport) -> str:
    from crystalcli.workflows.predict.prediction_batches import percent

    before = report.before.get(name)
    was = f"sigma times {fit.factor:.4g} (mean z² was {before.mean_z2:.2f})" if before else f"sigma {fit.factor:.4g}"
    widths = ", ".join(f"±{w / fit.factor:.3g}σ holds {percent(level)} %" for level, w in fit.half_widths.items())
    return f"{name}: {was}, of {fit.n} labels of {fit.structures} structures{'; ' + widths if widths else ''}"
