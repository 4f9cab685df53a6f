"""What a workflow and its host say to each other; the record itself is :class:`crystalcli.contracts.records.Workflow`.

A workflow is asked (:class:`Request`), refuses what cannot work before anything is written (``prepare``), and gives a
:class:`Work`. The host opens the folder of a run, or goes on with one, and lets it work (:class:`Run`); lock, record,
log, ``--resume``, ``--overwrite``, ``--dry-run``, ``--json``, signals, time limit, ``latest`` and exit codes are the
host's. Loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from crystalcli.contracts import options as opt
from crystalcli.vocabulary.errors import Exit, InputError

if TYPE_CHECKING:
    from crystalcli.contracts.dynamics import Potential
    from crystalcli.contracts.records import Part
    from crystalcli.nouns.structures.entry import Entry


@dataclass(frozen=True)
class Chosen:
    """A part that an option of a workflow chose: its name and the values of its own options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What is asked of a workflow.

    Args:
        options: of the workflow, an object of its options model.
        parts: what its options chose, by the option's name; nothing where an option names a file.
        path: folder of the run.
        overwrite: files that are there may be replaced; for workflows without a run folder, whose files are their own.
        dry_run: only what would be done is asked (``--dry-run``): nothing long need begin.
    """

    options: Any
    parts: Mapping[str, Chosen] = field(default_factory=dict)
    path: Path = Path()
    overwrite: bool = False
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values of options and parts; the folder, and how it is asked, are no part of what is asked."""
        parts = {k: {"name": c.name, "options": dict(c.options)} for k, c in self.parts.items()}
        return {"options": opt.to_dict(self.options), "parts": parts}

    @classmethod
    def from_json(cls, model: type, data: Mapping[str, Any], path: Path) -> Request:
        """The inverse of :meth:`to_json`.

        Raises:
            UsageError: not of these options.
        """
        parts = {k: Chosen(c["name"], c["options"]) for k, c in data["parts"].items()}
        return cls(opt.make(model, data["options"], owner="the run"), parts, path)

    def differs(self, other: Request, free: frozenset[str]) -> list[str]:
        """Names of the options, a part's included, that are not those of ``other`` and not ``free``."""
        one, two = (_flat(r.to_json()) for r in (self, other))
        return sorted(k for k in one.keys() | two.keys() if k not in free and one.get(k) != two.get(k))


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(data["options"])
    names = [part["name"] for part in data["parts"].values()]
    for key, part in data["parts"].items():
        name = part["name"] if names.count(part["name"]) == 1 else f"{key}-{part['name']}"
        found |= {f"{name}.{k}": v for k, v in part["options"].items()}
    return found


@dataclass(frozen=True)
class Level:
    """What is under way, and how much of it is done: ``run 3 of 5``, and in it ``epoch 7 of 20``.

    Args:
        now: in words.
        done: so much, without the one that a further level tells of.
        of: so much in all; none where nobody knows.
        part: so much of it is what a further level tells of: a batch of 8 boxes counts 8.
    """

    now: str
    done: float
    of: float | None = None
    part: float = 1.0


@dataclass(frozen=True)
class Reporter:
    """Who hears of a run while it goes on; workflows print nothing themselves.

    Args:
        say: a line for people. warn: a warning.
        hear: told what is under way, from the whole inwards; draws bars, says a line a minute, keeps it in a file.
        around: what this reporter's own progress is a part of.
    """

    say: Callable[[str], None] = lambda _line: None
    warn: Callable[[str], None] = lambda _line: None
    hear: Callable[[tuple[Level, ...]], None] = lambda _levels: None
    around: tuple[Level, ...] = ()

    def progress(self, now: str, done: float, of: float | None) -> None:
        """Tell what is under way, so much done, of so much or none where nobody knows; as often as one likes."""
        self.hear((*self.around, Level(now, done, of)))

    def within(self, now: str, done: float = 0.0, of: float | None = None, part: float = 1.0) -> Self:
        """One whose progress is that of a part of this, as of a run in a run; see :class:`Level`."""
        return replace(self, around=(*self.around, Level(now, done, of, part)))

    def heard_by(self, log: Callable[[str], None]) -> Self:
        """The same, with ``log`` told all that is said, too."""

        def say(text: str) -> None:
            log(text)
            self.say(text)

        def warn(text: str) -> None:
            log(f"warning: {text}")
            self.warn(text)

        return replace(self, say=say, warn=warn)


@dataclass(frozen=True)
class Host(Reporter):
    """A reporter that can also do what a plugin cannot reach by itself; ``prepare`` is given one.

    Args:
        deliver: of a workflow that ``delivers``: writes values to stdout as they come. None where stdout is for the one
            object of ``--json``: the report holds them then.
    """

    deliver: Callable[[str], None] | None = None

    def structures(self, files: Sequence[str]) -> Iterator[Entry | InputError]:
        """Structures of the files, in order, read as every command reads them; an error for each that cannot be read.

        Args:
            files: values of an option declared with ``files=True``.

        Raises:
            UsageError: two structures that cannot be told apart, and the like.
        """
        raise NotImplementedError

    def potential(self, request: Request, option: str = "potential", **more: str) -> Potential:
        """The potential that an option names, with the options of its part.

        Args:
            request: what is asked.
            option: of the family ``potential``.
            more: ``device`` and ``dtype``, as :func:`crystalcli.contracts.run_options.device` declares them.

        Raises:
            UsageError: no such potential. InputError: the model cannot be read. EnvironmentProblem: no such device.
        """
        raise NotImplementedError

    def model_file(self, text: str) -> Path | None:
        """The model file that the value of an option means, also in the folder of a run; none where it means none.

        It is one of the ``inputs`` of a :class:`Work`, lest a run goes on with another model by the same name.
        """
        raise NotImplementedError

    def part(self, family: str, chosen: Chosen) -> Part:
        """The record of a part that runs inside will have, its options looked at; without a name the default.

        Raises:
            UsageError: no such part, or options that it does not have.
        """
        raise NotImplementedError

    def writing(self, path: Path) -> AbstractContextManager[IO[bytes]]:
        """A file of a workflow without a run folder, which appears whole when the block is left, or not at all.

        What a program that was killed has left beside it is removed.

        Raises:
            EnvironmentProblem: it cannot be written.
        """
        raise NotImplementedError


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
        """Forget the lines of metrics.jsonl whose ``epoch`` is beyond ``epochs``: they are written again."""

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
            CrystalError: what was reached is kept; Stopped: the same command goes on.
        """
        raise NotImplementedError


def exit_code(data: Mapping[str, Any]) -> Exit:
    """The exit code in a report."""
    return Exit(data.get("exit_code", Exit.OK))
