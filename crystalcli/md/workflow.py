"""``crystal md`` as a part; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalcli.contracts.host import Reporter
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Shown, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.md.options import (
    ANALYSIS,
    CHUNKS,
    LAST,
    LAST_GOOD,
    PICTURES,
    RESTARTS,
    STOPPED_AT,
    STRUCTURES,
    THERMO,
    TRAJECTORY,
    MdOptions,
)
from crystalcli.vocabulary.errors import UsageError

if TYPE_CHECKING:
    from crystalcli.contracts.sections import ReportedRun, Section


def _prepare(request: Request, reporter: Reporter) -> Work:
    from crystalcli.engine.read.supervised_reading import Reading
    from crystalcli.nouns.structures.read_options import ReadOptions

    o = request.options
    files, how = [Path(p) for p in o.structures], ReadOptions(o.cif_column, o.id_column, "unused")
    with Reading(files, how, fork=True) as structures:  # its process begins while torch is loaded, which is long
        from crystalcli.md.run import Sampling

        return Sampling(request, reporter, structures)


def _more(request: Request, report: Mapping[str, Any]) -> bool:
    """Whether the run is to be longer than it is, and something in it still moves."""
    asked, done = request.options.length, report["steps"]
    if asked < done:
        raise UsageError(f"has {done} steps; --steps makes a run longer, not shorter", path=request.path)
    return asked > done and len(report["stopped"]) < len(report["structures"])


def _headline(report: Mapping[str, Any]) -> str:
    from crystalcli.md.view import headline

    return headline(report)


def _show(report: Mapping[str, Any]) -> Shown:
    from crystalcli.md.view import shown

    return shown(report)


def _plan(described: Mapping[str, Any]) -> Shown:
    from crystalcli.md.view import planned

    return planned(described)


def _sections(run: ReportedRun) -> Sequence[Section]:
    from crystalcli.md.sections import sections

    return sections(run)


MD = Workflow(
    name="md",
    summary="Run molecular dynamics of structures, side by side; a run that was stopped goes on with the same bits.",
    help="""Writes trajectory.extxyz, thermo.csv and what they tell (g(r), bonds, …), of several structures into
structures/NAME. The same command again, or --resume RUN, goes on after a stop or a kill; with more --steps it makes a
run longer, a finished one too. A structure that leaves the physical world is stopped and the others go on: exit code 3,
or 7 if none is left.""",
    options=MdOptions,
    chooses={"potential": "potential", "sampler": "sampler"},
    prepare=_prepare,
    show=_show,
    headline=_headline,
    plan=_plan,
    sections=_sections,
    free=frozenset({"steps", "time", "device", "threads", "pictures", "log"}),
    more=_more,
    writes=(TRAJECTORY, THERMO, *ANALYSIS, *PICTURES, LAST, LAST_GOOD, STOPPED_AT, STRUCTURES, *RESTARTS),
    keeps=(CHUNKS,),
)
