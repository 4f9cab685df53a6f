"""What a run's folder says of it (run.json, report.json, config.toml), and what of an earlier run may be removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from crystalcli.contracts.records import Logger
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.read.input_digest import UNREADABLE, digest
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files, locks
from crystalcli.engine.run.run_folder import RECORD, RunFolder, plugin_versions
from crystalcli.vocabulary.errors import UsageError

REPORT, PAGE = "report.json", "report.html"
REQUEST = "request"
"""Key of run.json that holds what was asked."""
CHILDREN = "children"
"""Key of run.json that holds the folders of the runs in a run."""
REFUSED = "refused"
"""Key of run.json: what was asked could not be done, and nothing came of it that another run would have to spare."""


def asked_there(workflow: Workflow, path: Path) -> Request:
    """What was asked of the run in folder ``path``.

    Raises:
        UsageError: no run of this workflow there.
    """
    record = RunFolder.read(path)
    was = record.get("command")
    if was == workflow.name and REQUEST not in record:
        raise UsageError("was written by an earlier crystal, which kept runs in another way; start it anew", path=path)
    if was != workflow.name:
        raise UsageError(f"is no run of crystal {workflow.name}" + (f" but of crystal {was}" if was else ""), path=path)
    return request_of(workflow, record, path)


def facts(workflow: Workflow, request: Request, work: Work) -> dict[str, Any]:
    """What run.json says of a run that begins."""
    return {
        "command": workflow.name,
        REQUEST: request.to_json(),
        "settled": dict(work.settled),
        "inputs": {str(p): digest(p) for p in work.inputs},
        "plugins": plugin_versions([("workflow", workflow.name), *work.parts]),
        **work.facts,
        "finished": False,
    }


def record_of(workflow: Workflow, path: Path) -> dict[str, Any] | None:
    """What run.json says, if it is of this workflow."""
    if not (path / RECORD).is_file():
        return None
    record = RunFolder.read(path)
    return record if record.get("command") == workflow.name and REQUEST in record else None


def request_of(workflow: Workflow, record: Mapping[str, Any], path: Path) -> Request:
    """What was asked of the run in folder ``path`` whose run.json says ``record``."""
    return Request.from_json(workflow.options, record[REQUEST], path)


def same_work(workflow: Workflow, request: Request) -> dict[str, Any] | None:
    """The record of the run in the folder, if it is the same work; none of one that was refused.

    Raises:
        UsageError: it is another one, or an input has changed.
    """
    path = request.path
    record = record_of(workflow, path)
    if record is None or record.get(REFUSED):
        return None
    if differs := request.differs(request_of(workflow, record, path), workflow.free):
        flags = ", ".join(n.replace("_", "-") for n in differs)
        raise UsageError(f"holds another run of {workflow.name} ({flags} differ); --overwrite replaces it", path=path)
    for name, was in record["inputs"].items():
        if (now := digest(Path(name))) == UNREADABLE != was:
            raise UsageError("cannot be read: a run goes on in the folder that it was started from", path=name)
        if now != was:
            said = f"is not the file that this run was started with{_cure(workflow, request, name)}"
            raise UsageError(said, path=name)
    return record


def grown(workflow: Workflow, request: Request, record: Mapping[str, Any]) -> Request:
    """``request`` with what was asked for before of the options that only grow, so that its record says all of it."""
    was = {**record[REQUEST]["options"], **record.get("settled", {})}
    more = {
        name: tuple(dict.fromkeys((*was.get(name, ()), *getattr(request.options, name)))) for name in workflow.grows
    }
    return replace(request, options=replace(request.options, **more))


def _cure(workflow: Workflow, request: Request, name: str) -> str:
    """What to do where the file ``name`` has changed; the workflow may know better."""
    plan = workflow.plan_file
    if plan is None or not plan.changed or name != str(getattr(request.options, plan.option)):
        return "; --overwrite replaces what is there, another --output keeps it"
    return f"; {plan.changed.format(run=request.path)}"


def refuse_other_potential(record: Mapping[str, Any], facts: Mapping[str, Any], path: Path) -> None:
    """A potential that is no file, and so no input, must compute with what it computed with: weights, tables, commands.

    Versions of its packages may differ, as those of plugins and of this program may.

    Raises:
        UsageError: it does not; says what differs (``made_of`` of :mod:`crystalcli.contracts.dynamics`).
    """
    was, now = (dict(f.get("potential", {})) for f in (record, facts))
    differs = sorted(k for k in was.keys() & now.keys() if k != "packages" and was[k] != now[k])
    if differs:
        raise UsageError(
            f"was begun with other {', '.join(differs)} of {now['name']}; --overwrite replaces it", path=path
        )


def reported(workflow: Workflow, request: Request, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What report.json holds, if the run is finished and has no more to do."""
    if not record.get("finished"):
        return None
    try:
        data: dict[str, Any] = json.loads((request.path / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return None if workflow.more(request, data) else data


def make_room(path: Path) -> None:
    """Remove what an earlier run left; anything else is left to be refused."""
    if not (path / RECORD).is_file():
        return
    record = RunFolder.read(path)
    children = children_of(path)
    for child in children:
        _refuse_held(child)
    for child in children:
        shutil.rmtree(child, ignore_errors=True)
    clear(path, tuple(name for o in registry().offered() if isinstance(o.part, Logger) for name in o.part.writes))
    offered = registry().parts.get(("workflow", str(record.get("command"))))
    if offered is not None:
        workflow = cast(Workflow, offered.part)
        clear(path, (*workflow.writes, *workflow.keeps))


def children_of(path: Path) -> list[Path]:
    """Folders of the runs in the run in folder ``path``."""
    return [path / name for name in RunFolder.read(path).get(CHILDREN, ()) if (path / name / RECORD).is_file()]


def _refuse_held(path: Path) -> None:
    """Refuse to remove a run that another program goes on with by itself, or one in it.

    Raises:
        EnvironmentProblem: names host and process.
    """
    with locks.run_locked(path):
        for child in children_of(path):
            _refuse_held(child)


def clear(path: Path, names: tuple[str, ...]) -> None:
    """Remove the files and folders of these names, with ``*``, from a run's folder."""
    for name in names:
        for found in path.glob(name):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    files.remove(found)


def outputs(folder: RunFolder, workflow: Workflow) -> list[str]:
    """Names of the results that are there."""
    found = {
        str(p.relative_to(folder.path)) for name in (*workflow.writes, REPORT, PAGE) for p in folder.path.glob(name)
    }
    return sorted(found)


def table(workflow: Workflow, request: Request) -> dict[str, Any]:
    """What ``config.toml`` says: given with ``-c``, the command runs the same again."""
    said = request.to_json()
    names = [c["name"] for c in said["parts"].values()]
    inner = {k.rstrip("_"): v for k, v in said["options"].items() if v not in (None, [], "")}
    for option, chosen in said["parts"].items():
        twice = names.count(chosen["name"]) > 1
        key = f"{workflow.chooses.get(option, option)}-{chosen['name']}" if twice else chosen["name"]
        if chosen["options"]:
            inner[key] = dict(chosen["options"])
    return {workflow.name: inner}
