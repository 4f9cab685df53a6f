"""A calibration as the work of a workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from crystalcli.calibrate import calibrating
from crystalcli.calibrate.calibrating import CalibrationPlan
from crystalcli.calibrate.options import CalibrateOptions
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Running, Work
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.read.inputs import expand
from crystalcli.vocabulary.errors import Exit


class Calibrating(Work):
    """What a calibration has looked up before anything is predicted.

    Raises:
        UsageError: no such model, levels that are none, an output that is there.
    """

    def __init__(self, request: Request) -> None:
        asked: CalibrateOptions = request.options
        if asked.threads:
            torch.set_num_threads(asked.threads)
        self.plan = CalibrationPlan.of(asked, overwrite=request.overwrite)
        calibrating.check(self.plan)
        self.model = named_by(asked.model)

    def describe(self) -> Mapping[str, Any]:
        """The resolved plan."""
        plan = self.plan
        return {
            "model": str(self.model),
            "output": str(plan.output),
            "files": len(expand(plan.inputs)),
            "method": plan.method,
            "levels": list(plan.levels),
            "device": plan.device,
        }

    def do(self, run: Running) -> Mapping[str, Any]:
        """Calibrate, and write the model."""
        report = calibrating.run(self.plan, run.reporter.warn)
        for failure in report.failures:
            run.reporter.warn(str(failure))
        return report.to_json() | {"exit_code": int(Exit.SOME_FAILED if report.failures else Exit.OK)}
