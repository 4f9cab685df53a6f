"""One command line of a workflow with a run folder: what it asks, its run, and what is seen of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import typer

from crystalcli.cli.command import unasked
from crystalcli.cli.console import Face
from crystalcli.cli.plugin_flags import chosen
from crystalcli.cli.runs import flag, given, home, refuse_beside, refuse_changes
from crystalcli.cli.shared import TRANSIENT
from crystalcli.contracts import options as opt
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.run_options import CALCULATOR, MODEL
from crystalcli.contracts.workflow import Shown, Table, Work, exit_code
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.host.services import Services
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.texts import inert

WARNINGS = 10
"""So many are shown; all are in log.txt."""
MODELS = (CALCULATOR, MODEL)
"""Families of an option whose value may be a model."""
BESIDE_RESUME = frozenset({"resume", "finish", "time_limit", "json", "quiet", "report"})
"""What every workflow lets go with ``--resume``, beside its free options."""


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
        from crystalcli.engine.host import life
        from crystalcli.engine.record import run_record
        from crystalcli.engine.record.run_record import PAGE
        from crystalcli.engine.run.stopping import StopSignal, seconds

        limit = seconds(self.values["time_limit"])
        workflow = replace(self.workflow, prepare=self._prepared)
        ended, page = self.values.get("finish"), self.values["report"]
        if ended is not None and self.values["resume"] is not None:
            raise UsageError("--resume goes on and --finish ends; give one of them")
        begun = ended or self.values["resume"]
        if begun is None:
            self._refuse_beside_plan()
            request = self.request()
            self._show_commands(request)
            if self.values["dry_run"]:
                with self.face.own_stdout():
                    described = life.describe(workflow, request, self._services())
                return self._plan(described)
        else:
            free = self.workflow.free
            refuse_changes(self.ctx, free | BESIDE_RESUME, *(s.name for s in self._specs() if s.argument))
            changes = {k: v for k, v in self._own().items() if k in free and self._changed(k)}
            self._show_commands(run_record.asked_there(self.workflow, begun))
        with StopSignal(limit).listening() as stop, self._reporter() as reporter, self.face.own_stdout():
            if begun is not None:
                done = life.resume(workflow, begun, changes, reporter, stop, end=ended is not None, page=page)
            else:
                overwrite, latest = self.values["overwrite"], self.values["output"] is None
                done = life.run(workflow, request, reporter, stop, overwrite=overwrite, latest=latest, page=page)
        if done.silent:
            return int(exit_code(done.data))
        if self.warned > WARNINGS:
            self.face.warn(f"{self.warned - WARNINGS} more warnings; all are in {done.path / 'log.txt'}")
        self._show(self.workflow.show(done.data))
        if page:
            self.face.say(f"page -> {done.path / PAGE}")
        self.face.result(done.data)
        return int(exit_code(done.data))

    def _prepared(self, request: Request, reporter: Host) -> Work:
        """The workflow's, which loads what it needs; only then is the CPU set up, which loads torch."""
        work = self.workflow.prepared(request, reporter)
        from crystalcli.engine.run.devices import prepare_cpu

        prepare_cpu()
        return work

    def request(self) -> Request:
        """What the command line, the environment and the configuration files ask for."""
        asked = self._asked(Path())
        return replace(asked, path=self._folder(asked.options))

    def _asked(self, path: Path) -> Request:
        options: Any = opt.make(self.workflow.options, self._own(), owner=f"crystal {self.workflow.name}")
        say_shadowed(self.face, [(s.names, getattr(options, s.name)) for s in self._specs() if s.names in MODELS])
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
            from crystalcli.engine.run.run_folder import RUNS

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
            refuse_beside(self.ctx, flag(plan.option), free)

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
            refused = by.unsafe(f"{said}; if you trust it: {flag(plan.option)} {path}")
            if not self.values["dry_run"]:
                raise refused
            self.face.warn(f"would be refused: {refused}")

    def _specs(self) -> list[opt.OptionSpec]:
        return list(opt.specs(self.workflow.options))

    def _changed(self, option: str) -> bool:
        """Whether it is said for going on; a crystal.toml that lies there says how runs begin, as this one did."""
        return given(self.ctx, option) and unasked(self.ctx, option) is None

    def _own(self) -> dict[str, Any]:
        return {s.name: self._value(s) for s in self._specs()}

    def _value(self, spec: opt.OptionSpec) -> Any:
        value = self.values[spec.name]
        if not spec.files or not value:
            return (value or ()) if spec.many else value
        from crystalcli.engine.read.inputs import meant

        return [str(path) for path in meant(value, steps=not spec.ends)]

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
            console.print(rich_table(shown.table))
        for one in shown.tables:
            console.print(rich_table(one))
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
        beside = console.print if self.workflow.talks else self._beside_the_bar
        say = beside if console.is_terminal and not self.face.quiet else self.face.line
        with self.face.hearing(console) as hear:
            yield Services(say, self._warn, hear)


def say_shadowed(face: Face, said: Sequence[tuple[str, Any]]) -> None:
    """Say where a file here is taken for a model, and a model or a calculator has its name.

    Args:
        face: says it.
        said: family and value of every option that may name one.
    """
    words = [(family, w) for family, value in said for w in (value if isinstance(value, tuple) else (value,)) if w]
    if words:
        from crystalcli.engine.model.model_names import shadowed
        from crystalcli.engine.potential.potential_names import shadowed_calculator

        lines = [*shadowed(word for _, word in words)]
        for family, word in words:
            lines += shadowed_calculator(word) if family == CALCULATOR else ()
        for line in dict.fromkeys(lines):
            face.warn(line)


def rich_table(shown: Table) -> Any:
    """The table as a terminal has it."""
    from rich.table import Table as RichTable

    table = RichTable(*shown.heads, title=shown.title or None, caption=shown.caption or None)
    for row in shown.rows:
        table.add_row(*row)
    return table
