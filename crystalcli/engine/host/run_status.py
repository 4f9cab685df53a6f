"""What a run does, did, or died of, seen from outside: from its files only, whoever writes them, on whatever machine.

run.json tells what was asked and how it ended, the lock whether somebody is at it, progress.json how far that is,
log.txt what was said last, and folders below hold the runs in it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crystalcli.engine.record.run_record import REPORT
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import locks, owners, progress
from crystalcli.engine.run.run_folder import RECORD, RunFolder
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, UsageError
from crystalcli.vocabulary.texts import inert

RUNNING, FINISHED, STOPPED, FAILED, KILLED, UNKNOWN = "running", "finished", "stopped", "failed", "killed", "unknown"
"""``killed`` died without a word, ``unknown`` cannot be told: of another machine, and not heard of."""
DEEP = 4
"""Folders below a run in which runs in it are looked for."""
TAIL = 4096
"""Bytes of the end of log.txt that are read."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
_PROBLEM = re.compile(r"[A-Z]\w*: ")


@dataclass(frozen=True)
class RunStatus:
    """One run.

    Args:
        path: its folder, or the file that a command without one writes.
        state: one of the words above.
        command: its workflow.
        said: what came of it, why it ended, or what it does, in a line.
        exit_code: of a run that has ended.
        started: UTC; none where unknown. seconds: of work in all, the time since it was last begun included.
        told: how far it is, or was when it ended. silent: seconds since that was written.
        where: which process on which machine, in which job; empty where nobody is at it.
        again: the command that goes on; empty where there is nothing to go on with.
        last: the last line of its log.
        children: the runs in it.
    """

    path: Path
    state: str
    command: str = ""
    said: str = ""
    exit_code: int | None = None
    started: datetime | None = None
    seconds: float | None = None
    told: progress.Told | None = None
    silent: float | None = None
    where: str = ""
    again: str = ""
    last: str = ""
    children: tuple[RunStatus, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told = None if self.told is None else self.told.to_json()
        return {
            "path": str(self.path),
            "state": self.state,
            "command": self.command,
            "said": self.said,
            "exit_code": self.exit_code,
            "started": None if self.started is None else self.started.isoformat(),
            "seconds": self.seconds,
            "progress": told,
            "silent_seconds": self.silent,
            "where": self.where,
            "again": self.again,
            "last": self.last,
            "runs": [child.to_json() for child in self.children],
        }


def status(path: Path) -> RunStatus:
    """Of the run in a folder, or of the command that writes the file ``path``.

    Raises:
        UsageError: no run is there, and no file.
    """
    if path.is_dir() and (path / RECORD).exists():
        return of_run(path)
    if path.exists() or _note_of_file(path) is not None or locks.lock_of(path.parent, path.name).exists():
        if path.is_dir():
            raise UsageError(f"is no run folder; crystal runs {path} lists those in it", path=path)
        return _of_file(path)
    raise UsageError("no run is there; crystal runs lists those in ./runs", path=path)


def runs_in(folder: Path) -> list[RunStatus]:
    """All runs in a folder and the folders in it, without those in runs, the newest last.

    Raises:
        UsageError: no such folder.
    """
    if not folder.is_dir():
        raise UsageError("no such folder: nothing has run here yet, or elsewhere; crystal runs FOLDER", path=folder)
    found = [folder] if (folder / RECORD).exists() else list(_below(folder, DEEP))
    with ThreadPoolExecutor(32) as pool:  # those of other machines may have to be waited for
        every = list(pool.map(lambda path: of_run(path, deep=False), found))
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(every, key=lambda one: (one.started or never, str(one.path)))


def of_run(path: Path, *, deep: bool = True) -> RunStatus:
    """Of the run in a folder; with the runs in it if ``deep``."""
    try:
        record = RunFolder.read(path)
        command = str(record["command"])
    except (UsageError, KeyError, TypeError) as problem:
        return RunStatus(path, UNKNOWN, said=getattr(problem, "reason", "run.json does not say which command it is of"))
    code = record.get("exit_code")
    begun = [record.get("started"), *record.get("resumed", [])]
    told, silent = _noted(path / progress.FILE)
    one = RunStatus(path, UNKNOWN, command, exit_code=code, started=_time(begun[0]), told=told, silent=silent)
    one = replace(one, seconds=record.get("seconds"), last=_last_line(path), again=f"crystal {command} --resume {path}")
    one = _alive(one, begun[-1], record) if code is None else _ended(one, record)
    if deep:
        one = replace(one, children=tuple(of_run(child) for child in sorted(_below(path, DEEP), key=_in_order)))
    return replace(one, said=inert(one.said), last=inert(one.last))


def _ended(one: RunStatus, record: Mapping[str, Any]) -> RunStatus:
    code = record["exit_code"]
    if record.get("finished", code in (Exit.OK, Exit.SOME_FAILED)):
        return replace(one, state=FINISHED, said=_headline(one), told=None, silent=None, again="")
    why = _PROBLEM.sub("", one.last, count=1)
    if code in (Exit.STOPPED, Exit.INTERRUPTED):
        return replace(one, state=STOPPED, said=why.partition(";")[0])
    return replace(one, state=FAILED, said=why or f"exit code {code}")


def _alive(one: RunStatus, began: Any, record: Mapping[str, Any]) -> RunStatus:
    """Of one that has no exit code: somebody is at it, or it died without a word."""
    name = locks.lock_of(one.path)
    try:
        owner, lives = _somebody(name)
    except (OSError, EnvironmentProblem) as problem:
        return replace(one, said=f"its lock cannot be read: {problem}")
    job = record.get("host", {}).get("slurm_job")
    where = str(owner) + (f", Slurm job {job}" if job else "")
    doing = one.told.text if one.told is not None else one.last
    if owner is not None and lives:
        begun = _time(began)
        here = (datetime.now(UTC) - begun).total_seconds() if begun else 0.0
        return replace(one, state=RUNNING, where=where, said=doing, seconds=(one.seconds or 0.0) + here, again="")
    if owner is not None and lives is None:
        since = owners.last_touch(name)
        for_ = "" if since is None else f" for {progress.spoken(time.time() - since)}"
        return replace(one, said=f"no sign of {where}{for_}: killed, or its machine or file system stands still")
    doing = one.told.words if one.told is not None else one.last
    return replace(one, state=KILLED, said="died without a word" + (f"; at last: {doing}" if doing else ""))


def _somebody(lock: Path) -> tuple[owners.Owner | None, bool | None]:
    """Who holds a lock, and whether they live; none where nothing can be said."""
    owner = owners.read(lock)
    return owner, None if owner is None else owners.seen(lock, owner)


def _of_file(path: Path) -> RunStatus:
    """Of a command whose home is a file."""
    note = _note_of_file(path) or {}
    told, silent = _noted(progress.beside(path))
    command, argv = str(note.get("command", "")), note.get("argv", [])
    one = RunStatus(path, UNKNOWN, command, started=_time(note.get("started")), told=told, silent=silent)
    try:
        owner, lives = _somebody(locks.lock_of(path.parent, path.name))
    except (OSError, EnvironmentProblem) as problem:
        return replace(one, said=f"its lock cannot be read: {problem}")
    doing = "" if told is None else told.text
    if owner is not None and lives:
        return replace(one, state=RUNNING, where=str(owner), said=inert(doing))
    if owner is not None and lives is None:
        return replace(one, where=str(owner), said=f"no sign of {owner}")
    again = " ".join(map(str, ["crystal", *argv[1:]])) if argv else ""
    if note or owner is not None:
        return replace(one, state=STOPPED, said=inert(doing), again=inert(again))
    return replace(one, state=FINISHED, said="")


def _note_of_file(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(progress.beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _noted(path: Path) -> tuple[progress.Told | None, float | None]:
    """How far it was when it was last written, and seconds since then."""
    try:
        told = progress.Told.from_json(json.loads(path.read_text(encoding="utf-8")))
        age = (datetime.now(UTC) - datetime.fromisoformat(told.at)).total_seconds()
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
    return told, max(0.0, age)


def _headline(one: RunStatus) -> str:
    """What a finished run says of itself; nothing where its plugin is gone, or cannot."""
    offered = registry().parts.get(("workflow", one.command))
    try:
        data = json.loads((one.path / REPORT).read_text(encoding="utf-8"))
        return str(offered.part.headline(data)) if offered is not None else ""  # type: ignore[attr-defined]
    except Exception:  # whatever a plugin does, or an earlier version's report makes it do
        return ""


def _last_line(path: Path) -> str:
    """Of its log, without the time."""
    try:
        with (path / "log.txt").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((_TIME.sub("", text, count=1) for text in reversed(lines) if text.strip()), "")


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """The runs in a folder; what is in them is theirs."""
    try:
        inside = sorted(e.path for e in os.scandir(folder) if e.is_dir(follow_symlinks=False) and e.name[:1] != ".")
    except OSError:
        return
    for name in inside:
        path = Path(name)
        if (path / RECORD).exists():
            yield path
        elif depth > 1:
            yield from _below(path, depth - 1)


def _in_order(path: Path) -> list[Any]:
    """``member-10`` comes after ``member-9``."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.split(r"(\d+)", str(path))]


def size_of(path: Path) -> int:
    """Bytes of all files of a run."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += Path(folder, name).lstat().st_size
            except OSError:
                continue
    return total
