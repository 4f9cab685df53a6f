"""The life of a run, told once: refused, begun or gone on with, locked, recorded, stopped, finished.

The same command again goes on where its run was interrupted, and does nothing where it is finished. What a workflow
leaves in its folder is its own (:mod:`crystalcli.contracts.workflow_record`); everything about the folder is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Stop, Work, exit_code
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.host.following import Followers, loggers
from crystalcli.engine.host.live_run import Finished, LiveRun
from crystalcli.engine.record.run_record import (
    PAGE,
    REFUSED,
    REPORT,
    REQUEST,
    asked_there,
    children_of,
    clear,
    facts,
    grown,
    make_room,
    outputs,
    record_of,
    refuse_other_potential,
    reported,
    request_of,
    same_work,
    table,
)
from crystalcli.engine.registry.working_folder import staying
from crystalcli.engine.run import files, locks, progress
from crystalcli.engine.run.other_rank import OtherRankFolder
from crystalcli.engine.run.places import refuse_no_scheduler
from crystalcli.engine.run.run_folder import RunFolder, point_latest
from crystalcli.engine.run.stopping import StopSignal as NeverAsked
from crystalcli.vocabulary.errors import CrystalError, NothingUsable, RefusedLate, UsageError

SILENT = Host()
"""Nobody hears, and nothing is done for plugins."""


def at_a_worker(folder: RunFolder, host: Host, request: Request, workflow: Workflow) -> LiveRun:
    """The run as a worker has it that does pieces of it: it has begun, and somebody else decides when to stop."""
    nobody = Followers((), folder.path, host.warn)  # the loggers are where the run is
    return LiveRun(folder, host, NeverAsked(), True, request.path, workflow, nobody, _live, at_a_worker)


def describe(workflow: Workflow, request: Request, reporter: Host) -> Mapping[str, Any]:
    """The resolved plan (``--dry-run``). Writes nothing.

    Raises:
        CrystalError: as :func:`run` before it writes anything.
    """
    loggers(request)
    refuse_no_scheduler(getattr(request.options, "scheduler", ""))
    with _prepared(workflow, request, reporter) as work:
        return {**work.describe(), "output": str(request.path)}


def run(
    workflow: Workflow,
    request: Request,
    reporter: Host = SILENT,
    stop: Stop | None = None,
    *,
    overwrite: bool = False,
    latest: bool = False,
    page: bool = False,
) -> Finished:
    """Do what is asked, in the folder of the request; goes on where the same was begun there.

    Args:
        workflow: its record.
        request: what is asked.
        reporter: hears of it.
        stop: ends it.
        overwrite: replace the run that is there.
        latest: let the link ``latest`` beside the folder lead to it when it is finished.
        page: write :data:`PAGE` into the folder when it is finished.

    Raises:
        UsageError, InputError, EnvironmentProblem: before anything is written; another run is there.
        Stopped: resumable, as is whatever else goes wrong.
    """
    done = _live(workflow, request, reporter, stop or NeverAsked(), overwrite=overwrite, latest=latest)
    return _with_page(done, reporter) if page else done


def resume(
    workflow: Workflow,
    path: Path,
    changes: Mapping[str, Any],
    reporter: Host = SILENT,
    stop: Stop | None = None,
    *,
    end: bool = False,
    page: bool = False,
) -> Finished:
    """Go on with the run in folder ``path``; ``changes`` may set the options that are free.

    Args:
        workflow: its record.
        path: of the run.
        changes: of its options.
        reporter: hears of it.
        stop: ends it.
        end: with what it has.
        page: as for :func:`run`.

    Raises:
        UsageError: no run of this workflow there, its input changed, or it cannot be ended.
    """
    asked = asked_there(workflow, path)
    asked = replace(asked, options=opt.changed(asked.options, changes))
    if end:
        if workflow.end is None:
            raise UsageError(f"runs of crystal {workflow.name} cannot be ended before they are done", path=path)
        workflow.end(asked)
    latest = bool(RunFolder.read(path).get("latest"))
    done = _live(workflow, asked, reporter, stop or NeverAsked(), latest=latest, end=end)
    return _with_page(done, reporter) if page else done


def _with_page(done: Finished, reporter: Host) -> Finished:
    """The same, with a page in its folder; of several processes the first writes it."""
    if not done.silent:
        from crystalcli.engine.report.page import write

        for problem in write([done.path], done.path / PAGE).problems:
            reporter.warn(problem)
    return done


def _live(
    workflow: Workflow,
    request: Request,
    reporter: Host,
    stop: Stop,
    *,
    overwrite: bool = False,
    latest: bool = False,
    end: bool = False,
    parent: LiveRun | None = None,
) -> Finished:
    path = request.path
    record = None if overwrite else same_work(workflow, request)
    if record is not None:
        as_typed, request = request, grown(workflow, request, record)
        if request != as_typed:
            reporter.say(f"{path}: goes on with all that was asked for here; what is not named again stays")
    if record is not None and (before := reported(workflow, request, record)) is not None:
        reporter.say(f"{path}: finished before; nothing to do")
        clear(path, workflow.keeps)
        return Finished(path, before, before=True)
    named = loggers(request)  # refused before anything long
    refuse_no_scheduler(getattr(request.options, "scheduler", ""))
    said: list[str] = []
    with ExitStack() as inside:
        work = inside.enter_context(_prepared(workflow, request, reporter.heard_by(said.append)))
        folder = inside.enter_context(_opened(workflow, request, work, record, overwrite=overwrite, latest=latest))
        for line in said:
            folder.log(line)
        hears = _followed(reporter.heard_by(folder.log), folder, outermost=parent is None)
        followers = Followers([] if isinstance(folder, OtherRankFolder) else named, path, hears.warn)
        inside.callback(followers.close)
        resumed = record is not None
        live = LiveRun(folder, hears, stop, resumed, path, workflow, followers, _live, at_a_worker, ending=end)
        live.again = f"crystal {workflow.name} --resume {path}"
        if parent is not None:
            live.root, live.again = parent.root, parent.again
        with _as_before(workflow, folder, record), folder.recorded(lambda: outputs(folder, workflow)):
            with staying():
                data = {"output": str(path), **work.do(live)}
            data["exit_code"] = int(exit_code(data))
            folder.write_json(REPORT, data)
        folder.record["finished"] = True
        files.remove_note(path / progress.FILE)
        folder.finish(data["exit_code"], outputs(folder, workflow))
        if not isinstance(folder, OtherRankFolder):
            clear(path, workflow.keeps)
            if latest:
                point_latest(path)
    return Finished(path, data, silent=isinstance(folder, OtherRankFolder))


def _followed(reporter: Host, folder: RunFolder, *, outermost: bool) -> Host:
    """Its progress is kept in a file, and once a minute in the log of the outermost run."""
    hear = progress.both(reporter.hear, progress.Notes(folder.note_progress, len(reporter.around)).hear)
    if outermost:
        hear = progress.both(hear, progress.Pulse(folder.log).hear)
    return replace(reporter, hear=hear)


@contextmanager
def _as_before(workflow: Workflow, folder: RunFolder, record: Mapping[str, Any] | None) -> Iterator[None]:
    """A run stays what it was where more of it is refused: finished, or asked for what it was asked for.

    What is refused late, and what had nothing that it could use, stands in nobody's way.
    """
    try:
        yield
    except (UsageError, NothingUsable) as problem:
        is_more = record is not None and record[REQUEST] != folder.record[REQUEST]
        late = isinstance(problem, NothingUsable) or (isinstance(problem, RefusedLate) and not is_more)
        if late and not children_of(folder.path):
            folder.record[REFUSED] = True
            folder.write_record()
            if isinstance(problem, NothingUsable):
                clear(folder.path, workflow.keeps)  # what was kept says of each input that it cannot be used
        if record is not None:
            asked = {k: record[k] for k in (REQUEST, "settled") if k in record}
            folder.record = dict(record) if record.get("finished") else {**folder.record, **asked}
            folder.write_record()
            folder.write_config(table(workflow, request_of(workflow, record, folder.path)))
        raise


@contextmanager
def _prepared(workflow: Workflow, request: Request, reporter: Host) -> Iterator[Work]:
    with staying():
        work = workflow.prepared(request, reporter)
    try:
        yield work
    finally:
        work.close()


@contextmanager
def _opened(
    workflow: Workflow,
    request: Request,
    work: Work,
    record: Mapping[str, Any] | None,
    *,
    overwrite: bool,
    latest: bool,
) -> Iterator[RunFolder]:
    """The folder of the run, opened and locked by the first process; the others end with it if it cannot."""
    path = request.path
    config = table(workflow, replace(request, options=replace(request.options, **work.settled)))

    def opened() -> RunFolder:
        if record is not None:
            if record["inputs"].keys() != {str(p) for p in work.inputs}:
                raise UsageError("holds a run of other files; --overwrite replaces it", path=path)
            refuse_other_potential(record, work.facts, path)
            asked = {REQUEST: request.to_json(), "settled": dict(work.settled), "finished": False}
            folder = RunFolder.reopen(path, {**work.facts, **asked})
            folder.write_config(config)
            return folder
        if overwrite:
            make_room(path)
        begun = facts(workflow, request, work) | {"latest": latest}
        refused = (record_of(workflow, path) or {}).get(REFUSED, False)
        return RunFolder.create(path, overwrite=overwrite or refused, facts=begun, config=config)

    with ExitStack() as inside:
        folder = _by_the_first(work, inside, path, opened)
        yield folder


def _by_the_first(work: Work, inside: ExitStack, path: Path, opened: Callable[[], RunFolder]) -> RunFolder:
    team, problem, folder = work.team, None, None
    if team is None or team.is_first:
        try:
            inside.enter_context(locks.run_locked(path))
            folder = opened()
            files.clear_dead_below(path)
        except CrystalError as found:
            problem = found
    code = None if problem is None else int(problem.exit_code)
    code = code if team is None else team.firsts(code)
    if problem is not None:
        raise problem
    if code is not None:
        raise SystemExit(code)
    return folder or OtherRankFolder(path)
