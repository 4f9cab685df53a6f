"""``crystal predict`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.prediction.options import PredictOptions


def _prepare(request: Request, host: Host) -> Work:
    from crystalcli.prediction.reading import begun

    with ExitStack() as inside:
        reading = None if request.dry_run else inside.enter_context(begun(request.options, host.warn))
        # its workers begin while torch is loaded, which is long
        from crystalcli.prediction.run import Predicting

        work = Predicting(request, host, reading)
        work.held = inside.pop_all()
    return work


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.prediction.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.prediction.view import planned

    return planned(described)


PREDICT = Workflow(
    name="predict",
    summary="Predict the properties of structures, in input order, with units; errors where the inputs have labels.",
    options=PredictOptions,
    home="file",
    resumes=False,
    delivers=lambda options: options.output is None,
    prepare=_prepare,
    show=_show,
    plan=_plan,
)
