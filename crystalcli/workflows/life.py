"""The life of a run, told once: refused, begun or gone on with, locked, recorded, stopped, finished.

The same command again goes on where its run was interrupted, and does nothing where it is finished. What a workflow
leaves in its folder is its own (:class:`crystalcli.contracts.records.Workflow`); everything about the folder is here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Workflow
from crystalcli.contracts.workflow import Chosen, Host, Request, Stop, Work, exit_code
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.running import files, locks
from crystalcli.mechanisms.running.onlooker import Onlooker
from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder, plugin_versions, point_latest
from crystalcli.mechanisms.running.stopping import Stop as NeverAsked
from crystalcli.vocabulary.errors import CrystalError, Stopped, UsageError
from crystalcli.workflows.graphs.input_digest import UNREADABLE, digest

REPORT = "report.json"
REQUEST = "request"
"""Key of run.json that holds what was asked."""
SILENT = Host()
"""Nobody hears, and nothing is done for plugins."""


@dataclass(frozen=True)
class Finished:
    """What came of a run.

    Args:
        path: its folder. data: what report.json holds. before: it was finished already, and nothing was done.
    """

    path: Path
    data: Mapping[str, Any]
    before: bool = False


@dataclass
class LiveRun:
    """The run of a workflow while it works; see :class:`crystalcli.contracts.workflow.Run`."""

    folder: RunFolder
    reporter: Host
    stop: Stop
    resumed: bool
    root: Path
    workflow: Workflow = field(repr=False)

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    def stop_if_asked(self, at: str = "") -> None:
        """Raise Stopped where a signal or the time limit asks for it."""
        if why := self.stop.reason():
            where = f" at {at}" if at else ""
            raise Stopped(f"stopped by {why}{where}; the same command or --resume {self.root} goes on")

    def log(self, text: str) -> None:
        """A line in log.txt."""
        self.folder.log(text)

    def metric(self, values: Mapping[str, Any]) -> None:
        """A line in metrics.jsonl."""
        self.folder.metric(values)

    def write(self, name: str, text: str) -> Path:
        """Write a whole text file."""
        return self.folder.write(name, text)

    def write_json(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write a whole JSON file."""
        return self.folder.write_json(name, data)

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file that appears whole when the block is left."""
        return files.writing(self.path / name)

    def child(
        self, workflow: str, name: str, options: Mapping[str, Any], parts: Mapping[str, Chosen] | None = None
    ) -> Mapping[str, Any]:
        """What another workflow reports of a run in the folder ``name`` below; see the contract.

        Raises:
            UsageError: no such workflow, or options that cannot work.
        """
        record = cast(Workflow, registry().get("workflow", workflow))
        asked = Request(opt.make(record.options, options, owner=f"workflow {workflow}"), parts or {}, self.path / name)
        other = _record(record, asked.path)
        fits = other is not None and not asked.differs(_request(record, other, asked.path), record.free)
        return _live(record, asked, self.reporter, self.stop, overwrite=not fits, root=self.root).data


def describe(workflow: Workflow, request: Request, reporter: Host) -> Mapping[str, Any]:
    """The resolved plan (``--dry-run``). Writes nothing.

    Raises:
        CrystalError: as :func:`run` before it writes anything.
    """
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
) -> Finished:
    """Do what is asked, in the folder of the request; goes on where the same was begun there.

    Args:
        workflow: its record.
        request: what is asked.
        reporter: hears of it.
        stop: ends it.
        overwrite: replace the run that is there.
        latest: let the link ``latest`` beside the folder lead to it when it is finished.

    Raises:
        UsageError, InputError, EnvironmentProblem: before anything is written; another run is there.
        Stopped: resumable, as is whatever else goes wrong.
    """
    return _live(workflow, request, reporter, stop or NeverAsked(), overwrite=overwrite, latest=latest)


def resume(
    workflow: Workflow,
    path: Path,
    changes: Mapping[str, Any],
    reporter: Host = SILENT,
    stop: Stop | None = None,
) -> Finished:
    """Go on with the run in folder ``path``; ``changes`` may set the options that are free.

    Raises:
        UsageError: no run of this workflow there, or its input changed.
    """
    record = RunFolder.read(path)
    if (was := record.get("command")) != workflow.name or REQUEST not in record:
        raise UsageError(f"is no run of crystal {workflow.name}" + (f" but of crystal {was}" if was else ""), path=path)
    asked = _request(workflow, record, path)
    asked = replace(asked, options=opt.changed(asked.options, changes))
    return _live(workflow, asked, reporter, stop or NeverAsked(), latest=bool(record.get("latest")))


def _live(
    workflow: Workflow,
    request: Request,
    reporter: Host,
    stop: Stop,
    *,
    overwrite: bool = False,
    latest: bool = False,
    root: Path | None = None,
) -> Finished:
    path = request.path
    record = None if overwrite else _same(workflow, request)
    if record is not None and (done := _done(workflow, request, record)) is not None:
        reporter.say(f"{path}: finished before; nothing to do")
        clear(path, workflow.keeps)
        return done
    said: list[str] = []
    with ExitStack() as inside:
        work = inside.enter_context(_prepared(workflow, request, reporter.heard_by(said.append)))
        folder = inside.enter_context(_opened(workflow, request, work, record, overwrite=overwrite, latest=latest))
        for line in said:
            folder.log(line)
        live = LiveRun(folder, reporter.heard_by(folder.log), stop, record is not None, root or path, workflow)
        with _still_finished(workflow, folder, record), folder.recorded(lambda: _outputs(folder, workflow)):
            data = {"output": str(path), **work.do(live)}
            data["exit_code"] = int(exit_code(data))
            folder.write_json(REPORT, data)
        folder.record["finished"] = True
        folder.finish(data["exit_code"], _outputs(folder, workflow))
        if not isinstance(folder, Onlooker):
            clear(path, workflow.keeps)
            if latest:
                point_latest(path)
    return Finished(path, data)


@contextmanager
def _still_finished(workflow: Workflow, folder: RunFolder, record: Mapping[str, Any] | None) -> Iterator[None]:
    """A finished run stays what it was where more of it is refused."""
    try:
        yield
    except UsageError:
        if record is not None and record.get("finished"):
            folder.record = dict(record)
            folder.write_record()
            folder.write_config(table(workflow, _request(workflow, record, folder.path)))
        raise


@contextmanager
def _prepared(workflow: Workflow, request: Request, reporter: Host) -> Iterator[Work]:
    work = workflow.prepare(request, reporter)
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

    def opened() -> RunFolder:
        if record is not None:
            if record["inputs"].keys() != {str(p) for p in work.inputs}:
                raise UsageError("holds a run of other files; --overwrite replaces it", path=path)
            folder = RunFolder.reopen(path, {**work.facts, REQUEST: request.to_json(), "finished": False})
            folder.write_config(table(workflow, request))
            return folder
        if overwrite:
            _make_room(path)
        facts = _facts(workflow, request, work) | {"latest": latest}
        return RunFolder.create(path, overwrite=overwrite, facts=facts, config=table(workflow, request))

    with ExitStack() as inside:
        folder = _by_the_first(work, inside, path, opened)
        yield folder


def _by_the_first(work: Work, inside: ExitStack, path: Path, opened: Callable[[], RunFolder]) -> RunFolder:
    team, problem, folder = work.team, None, None
    if team is None or team.is_first:
        try:
            inside.enter_context(locks.run_locked(path))
            folder = opened()
        except CrystalError as found:
            problem = found
    code = None if problem is None else int(problem.exit_code)
    code = code if team is None else team.firsts(code)
    if problem is not None:
        raise problem
    if code is not None:
        raise SystemExit(code)
    return folder or Onlooker(path)


def _facts(workflow: Workflow, request: Request, work: Work) -> dict[str, Any]:
    return {
        "command": workflow.name,
        REQUEST: request.to_json(),
        "inputs": {str(p): digest(p) for p in work.inputs},
        "plugins": plugin_versions([("workflow", workflow.name), *work.parts]),
        **work.facts,
        "finished": False,
    }


def _record(workflow: Workflow, path: Path) -> dict[str, Any] | None:
    """What run.json says, if it is of this workflow."""
    if not (path / RECORD).is_file():
        return None
    record = RunFolder.read(path)
    return record if record.get("command") == workflow.name and REQUEST in record else None


def _request(workflow: Workflow, record: Mapping[str, Any], path: Path) -> Request:
    return Request.from_json(workflow.options, record[REQUEST], path)


def _same(workflow: Workflow, request: Request) -> dict[str, Any] | None:
    """The record of the run in the folder, if it is the same work.

    Raises:
        UsageError: it is another one, or an input has changed.
    """
    path = request.path
    record = _record(workflow, path)
    if record is None:
        return None
    if differs := request.differs(_request(workflow, record, path), workflow.free):
        flags = ", ".join(n.replace("_", "-") for n in differs)
        raise UsageError(f"holds another run of {workflow.name} ({flags} differ); --overwrite replaces it", path=path)
    for name, was in record["inputs"].items():
        if (now := digest(Path(name))) == UNREADABLE != was:
            raise UsageError("cannot be read: a run goes on in the folder that it was started from", path=name)
        if now != was:
            raise UsageError("is not the file that this run was started with", path=name)
    return record


def _done(workflow: Workflow, request: Request, record: Mapping[str, Any]) -> Finished | None:
    """What was reported, if the run is finished and has no more to do."""
    if not record.get("finished"):
        return None
    try:
        data = json.loads((request.path / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return None if workflow.more(request, data) else Finished(request.path, data, before=True)


def _make_room(path: Path) -> None:
    """Remove what an earlier run left; anything else is left to be refused."""
    if not (path / RECORD).is_file():
        return
    name = RunFolder.read(path).get("command")
    offered = registry().parts.get(("workflow", str(name)))
    if offered is not None:
        workflow = cast(Workflow, offered.part)
        clear(path, (*workflow.writes, *workflow.keeps))


def clear(path: Path, names: tuple[str, ...]) -> None:
    """Remove the files and folders of these names, with ``*``, from a run's folder."""
    for name in names:
        for found in path.glob(name):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    files.remove(found)


def _outputs(folder: RunFolder, workflow: Workflow) -> list[str]:
    """Names of the results that are there."""
    found = {str(p.relative_to(folder.path)) for name in (*workflow.writes, REPORT) for p in folder.path.glob(name)}
    return sorted(found)


def table(workflow: Workflow, request: Request) -> dict[str, Any]:
    """What ``config.toml`` says: given with ``-c``, the command runs the same again."""
    said = request.to_json()
    names = [c["name"] for c in said["parts"].values()]
    inner = {k: v for k, v in said["options"].items() if v not in (None, [], "")}
    for option, chosen in said["parts"].items():
        twice = names.count(chosen["name"]) > 1
        key = f"{workflow.chooses[option]}-{chosen['name']}" if twice else chosen["name"]
        if chosen["options"]:
            inner[key] = dict(chosen["options"])
    return {workflow.name: inner}
