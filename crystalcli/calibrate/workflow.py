"""``crystal calibrate`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crystalcli.calibrate.options import CalibrateOptions
from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow


def _prepare(request: Request, _reporter: Reporter) -> Work:
    from crystalcli.calibrate.run import Calibrating

    return Calibrating(request)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.calibrate.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.calibrate.view import planned

    return planned(described)


CALIBRATE = Workflow(
    name="calibrate",
    summary="Give a model's sigma the size that its errors on new structures have, and keep that in the model.",
    options=CalibrateOptions,
    home="file",
    resumes=False,
    prepare=_prepare,
    show=_show,
    plan=_plan,
)
