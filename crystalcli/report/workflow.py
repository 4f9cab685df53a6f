"""``crystal report`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crystalcli.contracts import run_options as common
from crystalcli.contracts.host import Host
from crystalcli.contracts.options import option
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What ``crystal report`` asks."""

    runs: tuple[Path, ...] = option((), "folders of runs", argument=True, required=True)
    output: Path | None = common.output(None, "the page; default RUN/report.html, of several runs report.html")


def _prepare(request: Request, host: Host) -> Work:
    from crystalcli.report.run import Reporting

    return Reporting(request, host)


def _show(report: Mapping[str, Any]) -> Shown:
    lines = [f"{report['bytes'] / 1e6:.2f} MB -> {report['output']}"]
    return Shown(lines, warnings=report["problems"])


def _plan(described: Mapping[str, Any]) -> Shown:
    return Shown([f"a page of {', '.join(described['runs'])} -> {described['output']}; nothing was written"])


REPORT_PAGE = Workflow(
    name="report",
    summary="Make one HTML page of a run, or of several side by side: numbers, plots, structures.",
    help="""The page is made of the run's files alone, of a run that is under way too, and asks no network for anything:
send it to whoever has a browser. --report of the commands that make runs writes it at their end. Only the structures
are looked up in the run's inputs, if these are still what they were.""",
    options=ReportOptions,
    home="file",
    resumes=False,
    prepare=_prepare,
    show=_show,
    plan=_plan,
)
