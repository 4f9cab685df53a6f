"""A workflow's record → a command: its flags, its help, its run, and what a person or a program sees of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from crystalcli.commands.command import CrystalCommand, plugin_command, unasked
from crystalcli.commands.console import Face
from crystalcli.commands.plugin_flags import DefaultPart, names
from crystalcli.commands.runs import given, home, refuse_beside, refuse_changes
from crystalcli.commands.shared import TRANSIENT, DryRun, Json, Overwrite, Quiet, TimeLimit
from crystalcli.contracts import options as opt
from crystalcli.contracts.records import POTENTIAL, Calculator, Part, PartFlags, Word, Workflow
from crystalcli.contracts.workflow import Chosen, Host, Request, Shown, Table, Work, exit_code
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.texts import inert
from crystalcli.workflows.services import Services

WARNINGS = 10
"""So many are shown; all are in log.txt."""
BESIDE_RESUME = frozenset({"resume", "finish", "time_limit", "json", "quiet"})
"""What every workflow lets go with ``--resume``, beside its free options."""


Finish = Annotated[Path | None, typer.Option(metavar="RUN", help="end the stopped run in this folder with what it has")]


def add(app: typer.Typer, workflow: Workflow) -> None:
    """Make a command of ``workflow`` in ``app``."""
    app.command(workflow.name, cls=command_class(workflow), help=_help(workflow))(function(workflow))


def command_class(workflow: Workflow) -> type[CrystalCommand]:
    """The command's class: the flags of the parts that the workflow's options choose are its own, too."""
    if workflow.choose is not None:
        return plugin_command(workflow.choose)
    defaults = {s.name: _default_of_part(s, workflow) or s.default for s in opt.specs(workflow.options)}

    def chooser(word: Word) -> list[PartFlags]:
        found = []
        for option, family in workflow.chooses.items():
            default = defaults[option]
            name = word(_flag(option), None) or (default() if isinstance(default, DefaultPart) else default)
            part = chosen(family, name)
            if part is not None:
                found.append(PartFlags(part, part.options))
        return found

    return plugin_command(chooser)


def chosen(family: str, name: str) -> Part | None:
    """The part that an option's value names; none where it is empty, or a model.

    Raises:
        UsageError: no such part.
    """
    if not name:
        return None
    if family != POTENTIAL:
        return registry().get(family, name)
    from crystalcli.mechanisms.forces import potential_names

    found: Calculator | None = potential_names.calculator(name)
    return found


def function(workflow: Workflow) -> Callable[..., None]:
    """What Typer calls; its signature is made of the workflow's options and of those that all runs have."""

    def command(ctx: typer.Context, **values: Any) -> None:
        raise typer.Exit(_invocation(workflow)(workflow, ctx, values).code())

    places = {name: k for k, name in enumerate(workflow.chooses)}
    own = sorted(opt.specs(workflow.options), key=lambda s: (not s.argument, places.get(s.name, len(places))))
    made = [_parameter(s, _default_of_part(s, workflow)) for s in own]
    made += [_keyword(name, *declared) for name, declared in _of_the_host(workflow).items()]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    command.__signature__ = inspect.Signature([context, *made])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (context, *made)}
    return command


def _invocation(workflow: Workflow) -> type[Invocation]:
    if workflow.home == "folder":
        return Invocation
    from crystalcli.commands.file_invocation import FileInvocation

    return FileInvocation


def _of_the_host(workflow: Workflow) -> dict[str, tuple[Any, Any]]:
    """Options that no workflow declares: by name how Typer sees them, and their default."""
    named = workflow.called.upper() or workflow.name
    folder = f"run folder; default runs/DATE-{named}, which runs/latest then leads to"
    known: dict[str, tuple[Any, Any]] = {
        "output": (Annotated[Path | None, typer.Option("-o", "--output", help=folder)], None),
        "resume": (Annotated[Path | None, typer.Option(metavar="RUN", help="go on with the run in this folder")], None),
        **({} if workflow.end is None else {"finish": (Finish, None)}),
        "time_limit": (TimeLimit, ""),
        "overwrite": (Overwrite, False),
        "dry_run": (DryRun, False),
        "json": (Json, False),
        "quiet": (Quiet, False),
    }
    return {name: known[name] for name in workflow.host_flags}


def _default_of_part(spec: opt.OptionSpec, workflow: Workflow) -> DefaultPart | None:
    """The default of an option that chooses a part and names none: the one whose record says that it is the default."""
    family = workflow.chooses.get(spec.name, POTENTIAL)
    return DefaultPart(family) if spec.default == "" and family != POTENTIAL else None


def _parameter(spec: opt.OptionSpec, default_part: DefaultPart | None) -> inspect.Parameter:
    kind: Any = list[spec.inner] | None if spec.many else spec.type  # type: ignore[name-defined]
    default = spec.default if not spec.many else list(spec.default) or None
    unit = f" ({spec.unit})" if spec.unit else ""
    settings: dict[str, Any] = {"help": spec.help + unit, "min": spec.min, "max": spec.max}
    settings["rich_help_panel"] = spec.panel or None
    if spec.names:
        settings["autocompletion"] = names(spec.names)
    if spec.words:
        settings["autocompletion"] = lambda incomplete: [w for w in spec.words if w.startswith(incomplete)]
    if spec.metavar:
        settings["metavar"] = spec.metavar
    if default_part is not None:
        settings["default_factory"], default = default_part, inspect.Parameter.empty
    if spec.required:
        kind, default = list[spec.inner] if spec.many else kind, inspect.Parameter.empty  # type: ignore[name-defined]
    if spec.argument:
        return _keyword(spec.name, Annotated[kind, typer.Argument(**settings)], default)
    flag = f"--{spec.flag}"
    if spec.type is bool and spec.default:
        flag = f"{flag}/--no-{spec.flag}"
    words = [flag] if not spec.short else [spec.short, flag]
    return _keyword(spec.name, Annotated[kind, typer.Option(*words, **settings)], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _help(workflow: Workflow) -> str:
    return f"{workflow.summary}\n\n{workflow.help}".strip()


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")


@dataclass
class Invocation:
    """One command line of a workflow with a run folder."""

    workflow: Workflow
    ctx: typer.Context
    values: Mapping[str, Any]
    face: Face = field(init=False)
    warned: int = 0

    def __post_init__(self) -> None:
        self.face = Face(json=self.values["json"], quiet=self.values["quiet"])

    def code(self) -> int:
        """Do it; the exit code."""
        from crystalcli.mechanisms.running.stopping import Stop, seconds
        from crystalcli.workflows import life

        limit = seconds(self.values["time_limit"])
        workflow = replace(self.workflow, prepare=self._prepared)
        ended = self.values.get("finish")
        if ended is not None and self.values["resume"] is not None:
            raise UsageError("--resume goes on and --finish ends; give one of them")
        begun = ended or self.values["resume"]
        if begun is None:
            self._refuse_beside_plan()
            request = self.request()
            self._show_commands(request)
            if self.values["dry_run"]:
                return self._plan(life.describe(workflow, request, self._services()))
        else:
            free = self.workflow.free
            refuse_changes(self.ctx, free | BESIDE_RESUME, *(s.name for s in self._specs() if s.argument))
            changes = {k: v for k, v in self._own().items() if k in free and given(self.ctx, k)}
            self._show_commands(life.asked_there(self.workflow, begun))
        with Stop(limit).listening() as stop, self._reporter() as reporter:
            if begun is not None:
                done = life.resume(workflow, begun, changes, reporter, stop, end=ended is not None)
            else:
                overwrite, latest = self.values["overwrite"], self.values["output"] is None
                done = life.run(workflow, request, reporter, stop, overwrite=overwrite, latest=latest)
        if done.silent:
            return int(exit_code(done.data))
        if self.warned > WARNINGS:
            self.face.warn(f"{self.warned - WARNINGS} more warnings; all are in {done.path / 'log.txt'}")
        self._show(self.workflow.show(done.data))
        self.face.result(done.data)
        return int(exit_code(done.data))

    def _prepared(self, request: Request, reporter: Host) -> Work:
        """The workflow's, which loads what it needs; only then is the CPU set up, which loads torch."""
        work = self.workflow.prepare(request, reporter)
        from crystalcli.mechanisms.running.cpu import prepare_cpu

        prepare_cpu()
        return work

    def request(self) -> Request:
        """What the command line, the environment and the configuration files ask for."""
        asked = self._asked(Path())
        return replace(asked, path=self._folder(asked.options))

    def _asked(self, path: Path) -> Request:
        options: Any = opt.make(self.workflow.options, self._own(), owner=f"crystal {self.workflow.name}")
        how = {"overwrite": self.values["overwrite"], "dry_run": self.values["dry_run"]}
        parts = {family: Chosen(name, found.values) for (family, name), found in self.ctx.obj.items()}
        for option, family in self.workflow.chooses.items():
            part = chosen(family, getattr(options, option))
            if part is not None and (own := self.ctx.obj.get((part.family, part.name))) is not None:
                parts.pop(part.family, None)
                parts[option] = Chosen(part.name, own.values)
        return Request(options, parts, path, **how)

    def _folder(self, options: Any) -> Path:
        plan = self._plan_file(options)
        if plan is not None and self.values["output"] is None:
            from crystalcli.mechanisms.running.run_folder import RUNS

            return RUNS / plan.stem
        word = getattr(options, self.workflow.called) if self.workflow.called else self.workflow.name
        return Path(home(self.ctx, self.values["output"], word))

    def _plan_file(self, options: Any) -> Path | None:
        """The file that says all the rest, if one is named."""
        plan = self.workflow.plan_file
        named = None if plan is None else getattr(options, plan.option)
        return Path(named) if named else None

    def _refuse_beside_plan(self) -> None:
        plan = self.workflow.plan_file
        if plan is not None and self.values[plan.option]:
            free = plan.beside | {plan.option, "output", "time_limit"} | TRANSIENT
            refuse_beside(self.ctx, _flag(plan.option), free, "write it into the plan")

    def _show_commands(self, request: Request) -> None:
        """Say what the plan has run, before it is.

        Raises:
            UnsafeInput: nobody asked for the plan.
        """
        plan, path = self.workflow.plan_file, self._plan_file(request.options)
        if plan is None or path is None:
            return
        found = plan.commands(path)
        for owner, text in found:
            self.face.line(f"{path}: command of '{owner}': {inert(text)}")
        by = None if self.values["resume"] is not None else unasked(self.ctx, plan.option)
        if found and by is not None:
            owner, text = found[0]
            said = f"names {path}, nobody asked for it, and its stage '{owner}' runs '{inert(text)[:120]}'"
            refused = by.unsafe(f"{said}; if you trust it: {_flag(plan.option)} {path}")
            if not self.values["dry_run"]:
                raise refused
            self.face.warn(f"would be refused: {refused}")

    def _specs(self) -> list[opt.OptionSpec]:
        return list(opt.specs(self.workflow.options))

    def _own(self) -> dict[str, Any]:
        return {s.name: self._value(s) for s in self._specs()}

    def _value(self, spec: opt.OptionSpec) -> Any:
        value = self.values[spec.name]
        if not spec.files or not value:
            return (value or ()) if spec.many else value
        from crystalcli.mechanisms.structure_files.inputs import expand

        return [str(path) for path in expand(value, steps=not spec.ends)]

    def _plan(self, described: Mapping[str, Any]) -> int:
        self._show(self.workflow.plan(described))
        self.face.say(f"output: {described['output']}; nothing was written")
        self.face.result(described)
        return 0

    def _show(self, shown: Shown) -> None:
        for line in shown.warnings:
            self.face.warn(line)
        for line in shown.errors:
            self.face.error(line)
        console = self.face.console()
        if shown.table is not None and shown.table.rows and console.is_terminal:
            console.print(_rich(shown.table))
        for one in shown.tables:
            console.print(_rich(one))
        for line in shown.lines:
            self.face.say(line)

    def _warn(self, text: str) -> None:
        self.warned += 1
        if self.warned <= WARNINGS:
            self.face.warn(text)

    def _services(self) -> Host:
        return Services(self.face.line, self._warn)

    def _beside_the_bar(self, text: str) -> None:
        """A line while there is a bar, which says the same."""

    @contextmanager
    def _reporter(self) -> Iterator[Host]:
        console = self.face.console()
        if not console.is_terminal or self.face.quiet:
            yield self._services()
            return
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        clock = TimeRemainingColumn() if self.workflow.talks else TimeElapsedColumn()
        columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.fields[now]}", markup=False), clock)
        bar = Progress(*columns, console=console, transient=True)
        task = bar.add_task("", total=None, now="")

        def progress(now: str, done: float, of: float | None) -> None:
            bar.start()  # with the first: before, this process has one thread and may be forked
            bar.update(task, completed=done, total=of, now=now)

        try:
            yield Services(console.print if self.workflow.talks else self._beside_the_bar, self._warn, progress)
        finally:
            bar.stop()


def _rich(shown: Table) -> Any:
    from rich.table import Table as RichTable

    table = RichTable(*shown.heads, title=shown.title or None, caption=shown.caption or None)
    for row in shown.rows:
        table.add_row(*row)
    return table
