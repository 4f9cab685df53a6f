"""The record by which a command is offered, by the core or by a plugin. Importing this loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from crystalcli.contracts.records import Part
from crystalcli.vocabulary.errors import PluginFault

if TYPE_CHECKING:
    from crystalcli.contracts.host import Host
    from crystalcli.contracts.request import Request
    from crystalcli.contracts.sections import ReportedRun, Section
    from crystalcli.contracts.workflow import Shown, Work


@dataclass(frozen=True)
class PartFlags:
    """A part whose options become flags.

    Args:
        part: the chosen part.
        model: the options model that counts here, e.g. the featurizer's ``embed_options`` in training.
        defaults: values that count as defaults, e.g. what an architecture wants of its head.
    """

    part: Part
    model: type
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What a command line has chosen.

    Args:
        sources: the chosen parts.
        defaults: defaults of the command's own options that follow from the choice, by parameter name.
    """

    sources: Sequence[PartFlags]
    defaults: Mapping[str, Any] = field(default_factory=dict)


POTENTIAL = "potential"
"""What an option of a workflow chooses that names a calculator, or a file of a model."""

Word = Callable[[str, "str | None"], "str | None"]
"""``word(flag, default)`` tells what a flag, the environment or a configuration file says; of a name without dashes,
what the first argument of the command is."""


@dataclass(frozen=True)
class PlanFile:
    """An option of a workflow that names a file which says all the rest.

    A run that is given no folder goes into ``runs/NAME``, called as the file. What the file has run is shown before it
    runs, and refused where a ``crystal.toml`` that nobody asked for names the file.

    Args:
        option: its name.
        beside: options that may go with it; all others are refused beside it.
        commands: ``commands(path) -> [(what of the file, what it runs)]``.
        changed: what to do where the file has changed since the run in the folder ``{run}`` began with it.
    """

    option: str
    beside: frozenset[str]
    commands: Callable[[Any], Sequence[tuple[str, str]]]
    changed: str = ""


@dataclass(frozen=True)
class OtherName:
    """A workflow where people look for it, as a value of another's flag: ``crystal COMMAND FLAG WORD`` is the same.

    Args:
        command: the other workflow.
        flag: of it, with its dashes.
        word: what the flag must say; no part that the flag chooses is called so.
        flags: spelled otherwise there → the workflow's own; to nothing where it is an argument.
    """

    command: str
    flag: str
    word: str
    flags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Workflow(Part):
    """A command: what it asks, what it refuses, what it does in the folder of a run (``crystal NAME …``).

    The host tells the rest, once for all: see :mod:`crystalcli.contracts.workflow`. A workflow whose ``home`` is a file
    has no run folder, no run.json and no ``--resume``: an option of its own (``output``) names what it writes, its
    ``Work.do`` is given a ``Running``, and locks, journals, and that nothing is overwritten unless the request says so,
    are its own. ``free``, ``more``, ``writes`` and ``keeps`` mean nothing there.

    Args:
        home: where results go.
        resumes: it asks ``run.stop``, and the same command goes on; else a signal interrupts it, what is half done is
            undone, and there is no ``--time-limit``. Only where ``home`` is a file may it be false.
        delivers: ``delivers(options) -> bool``: whether values go to stdout as they come (``Host.deliver``), and all
            talk to stderr.
        help: the whole help text, below the summary.
        chooses: options that name a part → its family; the part's options become flags of the command. The family
            ``potential`` is a calculator by name, or a file of a model, which has no flags.
        choose: in place of that, where a part chooses others, or the defaults of options: ``choose(word) -> Choice``.
            Parts that no option of ``chooses`` names are those of a request by their family.
        plan_file: the option, if there is one, that names a file which says all the rest.
        prepare: ``prepare(request, host) -> Work``; refuses before anything is written.
        show: ``show(report) -> Shown``: what people see of a report.
        headline: ``headline(report) -> str``: what came of it in a few words, for lists of runs.
        plan: ``plan(described) -> Shown``: what people see of a plan (``--dry-run``).
        free: options that may differ when a run goes on.
        grows: lists among them that only grow: what was asked for before is asked for with it, and first.
        more: ``more(request, report) -> bool``: whether a finished run has more to do for such a request; may raise
            UsageError where it has done too much.
        also: other names of the command; they are for the command line alone.
        end: ``end(request)``: a run that was stopped can be ended with what it has (``--finish RUN``); raises
            UsageError where not this one.
        sections: ``sections(run) -> [Section]``: what the page of ``crystal report`` shows of a run, from its files
            (:mod:`crystalcli.contracts.sections`); without it report.json, tables and structures as they are.
        called: the option whose value names the folder of a run that is given none; else it is the workflow.
        talks: what it says while it works is for people on a terminal, too, beside the bar.
        writes: names, with ``*``, of what a run may write into its folder; ``--overwrite`` removes no other files.
        keeps: such names of what is there only until the run is finished.
        example: ``example(folder)`` writes a small input into a folder and returns the words of a command line that
            works on it for some seconds, for ``crystal plugins check``: ``["in.cif", "--potential", "emt"]``.
    """

    family: ClassVar[str] = "workflow"
    home: Literal["folder", "file"] = "folder"
    resumes: bool = True
    delivers: Callable[[Any], bool] = lambda _options: False
    prepare: Callable[[Request, Host], Work]
    show: Callable[[Mapping[str, Any]], Shown]
    plan: Callable[[Mapping[str, Any]], Shown]
    headline: Callable[[Mapping[str, Any]], str] = lambda _report: ""
    help: str = ""
    chooses: Mapping[str, str] = field(default_factory=dict)
    choose: Callable[[Word], Choice] | None = None
    plan_file: PlanFile | None = None
    free: frozenset[str] = frozenset()
    grows: Sequence[str] = ()
    more: Callable[[Any, Mapping[str, Any]], bool] = lambda _request, _report: False
    also: tuple[OtherName, ...] = ()
    end: Callable[[Request], None] | None = None
    sections: Callable[[ReportedRun], Sequence[Section]] | None = None
    called: str = ""
    talks: bool = False
    writes: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    example: Callable[[Path], Sequence[str]] | None = None

    def prepared(self, request: Request, host: Host) -> Work:
        """What ``prepare`` returns.

        Raises:
            PluginFault: it is no Work.
        """
        from crystalcli.contracts.workflow import Work

        work = self.prepare(request, host)
        if not isinstance(work, Work):
            raise PluginFault(f"bug in workflow {self.name}: prepare gives a {type(work).__name__}, not a Work")
        return work

    @property
    def host_flags(self) -> tuple[str, ...]:
        """Names of the options that the host declares for it, and it may not."""
        ends = () if self.end is None else ("finish",)
        of_runs = ("output", "resume", *ends, "report") if self.home == "folder" else ()
        return (*of_runs, *(("time_limit",) if self.resumes else ()), "overwrite", "dry_run", "json", "quiet")
