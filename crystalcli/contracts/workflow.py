"""What a workflow and its host say to each other; its record is in :mod:`crystalcli.contracts.workflow_record`.

A workflow is asked (:mod:`crystalcli.contracts.request`), refuses what cannot work before anything is written
(``prepare``), and gives a :class:`Work`. The host (:mod:`crystalcli.contracts.host`) opens the folder of a run, or goes
on with one, and lets it work (:class:`Run`); lock, record, log, ``--resume``, ``--overwrite``, ``--dry-run``,
``--json``, signals, time limit, ``latest`` and exit codes are the host's. Loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Protocol

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.vocabulary.errors import Exit


class Stop(Protocol):
    """Knows whether to stop."""

    def reason(self) -> str | None:
        """Why to stop now, by a signal or the time limit; or none."""


class Log(Protocol):
    """What a :class:`crystalcli.contracts.records.Logger` builds for one run; called by one thread."""

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Take numbers by name; a step that is not beyond the last one is told again: forget what came after it."""

    def close(self) -> None:
        """The run has ended, however."""


class Running(Protocol):
    """Work while it goes on: all that a workflow without a run folder is given.

    Attributes:
        reporter: hears of it.
        stop: knows whether to stop.
    """

    reporter: Host
    stop: Stop


class Run(Running, Protocol):
    """The run of a workflow while it works, as the host gives it; what its reporter hears stands in log.txt, too.

    Attributes:
        resumed: it has begun before; whatever it wrote then is there.
        ending: it is to be ended with what it has (``end`` of the workflow).
        again: the command that goes on after a stop, with this run or with that around it.
    """

    resumed: bool
    ending: bool
    again: str

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def inner(self) -> bool:
        """Whether it is a run in a run."""

    def stop_if_asked(self, at: str = "") -> None:
        """Raise Stopped, with the words that say how to go on, where a signal or the time limit asks for it.

        Args:
            at: how far the run is: ``step 20 of 100``.
        """

    def log(self, text: str) -> None:
        """A line in log.txt."""

    def metric(self, values: Mapping[str, Any]) -> None:
        """A line in metrics.jsonl; numbers that are not finite become null."""

    def follow(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers for the loggers that the option ``log`` names (``run_options.log``), beside those of ``metric``."""

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl."""

    def trim_metrics(self, epochs: int) -> None:
        """Forget the lines of metrics.jsonl whose ``epoch`` is beyond ``epochs``: they are written again.

        What is damaged goes, too, and is warned of.
        """

    def write(self, name: str, text: str) -> Path:
        """Write a whole text file of the folder, in one step."""

    def write_json(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write a whole JSON file of the folder, in one step."""

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file of the folder that appears whole when the block is left, and not at all where it raises."""

    def child(
        self,
        workflow: str,
        name: str,
        options: Mapping[str, Any],
        parts: Mapping[str, Chosen],
        *,
        reporter: Host | None = None,
        prepare: Callable[[Request, Host], Work] | None = None,
    ) -> Any:
        """What another workflow reports of a run in the folder ``name`` below: done once, gone on with if it has begun.

        Args:
            workflow: its name.
            name: of the folder.
            options: of the workflow; the rest are its defaults.
            parts: what its options choose.
            reporter: hears of it; the run's own where none is given.
            prepare: in place of the workflow's, for the same work: knows what need not be read again.
        """

    def pieces(
        self, work: Work, items: Sequence[Any], *, jobs: int = 1, scheduler: str = ""
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each item with what :meth:`Work.piece` returns of it, in their order, wherever it is done.

        Args:
            work: this one.
            items: picklable; each says which piece.
            jobs: processes, as :func:`crystalcli.contracts.run_options.jobs` declares them; one is this process.
            scheduler: of a Dask cluster, as :func:`crystalcli.contracts.run_options.scheduler` declares it.

        Raises:
            Stopped: asked to. EnvironmentProblem: no workers, or pieces that they could not do; after all others.
        """


@dataclass(frozen=True)
class Table:
    """Rows for people.

    Args:
        heads: of the columns. rows: cells as text. title: above. caption: below.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Shown:
    """What people see of a report or a plan.

    Args:
        lines: in order.
        table: above them, on a terminal only: what it says is in a file.
        warnings: told apart from the lines.
        tables: above the lines, on a terminal or not.
        errors: what failed of many; told apart, too, after the warnings.
    """

    lines: Sequence[str]
    table: Table | None = None
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    errors: Sequence[str] = ()


class Team(Protocol):
    """Processes that work together, as torchrun starts them."""

    @property
    def is_first(self) -> bool:
        """Whether this one writes and speaks."""

    def firsts(self, mine: Any) -> Any:
        """What the first process has."""


class Work:
    """What a workflow has prepared: everything is looked up and nothing is written yet.

    Attributes:
        inputs: files that are read; the same, by their hashes, when a run goes on.
        facts: more for run.json: device, versions, ….
        parts: ``(family, name)`` of what works, for run.json; their versions are kept.
        settled: values of options that were worked out of the inputs, by name: in run.json, and in config.toml, which
            asks for them.
        team: the processes that do it together; none where it is this one alone.
    """

    inputs: Sequence[Path] = ()
    facts: Mapping[str, Any] = MappingProxyType({})
    parts: Sequence[tuple[str, str]] = ()
    settled: Mapping[str, Any] = MappingProxyType({})
    team: Team | None = None

    def close(self) -> None:
        """Give back what was taken; called once, whatever happened."""

    def describe(self) -> Mapping[str, Any]:
        """The resolved plan as plain values (``--dry-run --json``)."""
        raise NotImplementedError

    def piece(self, run: Run, item: Any) -> Any:
        """One of the pieces that :meth:`Run.pieces` hands out: written into the run's folder, under names of its own.

        Done by this process, or by a worker that has prepared the same work from the same request, on another machine
        perhaps: nothing that ``do`` has found is known there but ``item``. It may have been begun before.
        """
        raise NotImplementedError

    def do(self, run: Run) -> Mapping[str, Any]:
        """Work, or go on with it; returns what report.json will hold.

        ``exit_code`` in it is the command's: 0 where it is not given, 3 where some of many failed.

        Raises:
            CrystalError: what was reached is kept; Stopped: the same command goes on; RefusedLate: before anything came
                of it, so that another command may have the folder.
        """
        raise NotImplementedError


def exit_code(data: Mapping[str, Any]) -> Exit:
    """The exit code in a report."""
    return Exit(data.get("exit_code", Exit.OK))
