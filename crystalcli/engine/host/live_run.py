"""A run while it works, as its workflow sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow import Stop, Work
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.host.following import Followers
from crystalcli.engine.record.run_record import CHILDREN, record_of, request_of
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.vocabulary.errors import Stopped


@dataclass(frozen=True)
class Finished:
    """What came of a run.

    Args:
        path: its folder. data: what report.json holds. before: it was finished already, and nothing was done.
        silent: another process of the team knows the report, and speaks.
    """

    path: Path
    data: Mapping[str, Any]
    before: bool = False
    silent: bool = False


@dataclass
class LiveRun:
    """The run of a workflow while it works; see :class:`crystalcli.contracts.workflow.Run`.

    Args:
        folder: of the run. reporter, stop: as it was begun with. resumed: it had begun before.
        root: folder of the outermost run. workflow: its record. followers: the loggers.
        lived: has a run within this one live; at_a_worker: as which a worker has it that does pieces of it.
        again: the command that goes on with it. ending: it ends with what it has.
    """

    folder: RunFolder
    reporter: Host
    stop: Stop
    resumed: bool
    root: Path
    workflow: Workflow = field(repr=False)
    followers: Followers = field(repr=False)
    lived: Callable[..., Finished] = field(repr=False)
    at_a_worker: Callable[..., LiveRun] = field(repr=False)
    again: str = ""
    ending: bool = False

    @property
    def inner(self) -> bool:
        """Whether it is a run in a run."""
        return self.root != self.path

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
        self.followers.row(values)

    def follow(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers for the loggers."""
        self.followers.values(step, values)

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl."""
        return self.folder.metrics()

    def trim_metrics(self, epochs: int) -> None:
        """Forget the lines of metrics.jsonl of epochs after ``epochs``."""
        if lost := self.folder.trim_metrics(epochs):
            said = f"{lost} of {epochs} epochs are missing or damaged; only the learning curve is without them"
            self.reporter.warn(f"{self.path / 'metrics.jsonl'}: {said}")

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
        self,
        workflow: str,
        name: str,
        options: Mapping[str, Any],
        parts: Mapping[str, Chosen] | None = None,
        *,
        reporter: Host | None = None,
        prepare: Callable[[Request, Host], Work] | None = None,
    ) -> Mapping[str, Any]:
        """What another workflow reports of a run in the folder ``name`` below; see the contract.

        Raises:
            UsageError: no such workflow, or options that cannot work.
        """
        record = cast(Workflow, registry().get("workflow", workflow))
        asked = Request(opt.make(record.options, options, owner=f"workflow {workflow}"), parts or {}, self.path / name)
        record = record if prepare is None else replace(record, prepare=prepare)
        if name not in (known := self.folder.record.get(CHILDREN, ())):
            # a run of many pieces removes those it has used
            there = [one for one in known if (self.path / one).is_dir()]
            self.folder.record[CHILDREN] = [*there, name]
            self.folder.write_record()
        other = record_of(record, asked.path)
        fits = other is not None and not asked.differs(request_of(record, other, asked.path), record.free)
        return self.lived(record, asked, reporter or self.reporter, self.stop, overwrite=not fits, parent=self).data

    def pieces(
        self, work: Work, items: Sequence[Any], *, jobs: int = 1, scheduler: str = ""
    ) -> Iterator[tuple[Any, Any]]:
        """Each item with what came of it, wherever it is done; see the contract."""
        from crystalcli.engine.host.pieces import pieces, place_of

        asked = request_of(self.workflow, self.folder.record, self.path)
        return pieces(self, work, asked, self.workflow.name, items, place_of(jobs, scheduler), self.at_a_worker)
