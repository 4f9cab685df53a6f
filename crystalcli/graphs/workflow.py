"""``crystal build-graphs`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.graphs.options import BuildOptions


def _prepare(request: Request, reporter: Reporter) -> Work:
    from crystalcli.graphs.run import Building

    return Building(request, reporter)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.graphs.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.graphs.view import planned

    return planned(described)


BUILD_GRAPHS = Workflow(
    name="build-graphs",
    summary="Build the graphs of structures and keep them in one file.",
    help="""Labels come from an id_prop.csv beside the files, from columns of a table, or from the files themselves.
A file that cannot be read is reported and listed in OUTPUT.failures.jsonl; the others go on. Files are read in
worker processes with limits of time and memory. A build that was stopped or killed goes on where it was when the
same command is given again: what is done lies in OUTPUT.parts, and the result is the same bytes.""",
    options=BuildOptions,
    home="file",
    chooses={"featurizer": "featurizer"},
    prepare=_prepare,
    show=_show,
    plan=_plan,
)
