"""The class of every group of commands, and of the program, whose commands are loaded when they are asked for."""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from crystalcli.cli import help_table
from crystalcli.contracts.workflow_record import Workflow
from crystalcli.engine.registry.plugin_manager import announced_workflows, own_workflows, registry, use_only_builtins


class CrystalGroup(TyperGroup):
    """A group that lists its commands."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option ``--help``: false when absent, where Typer has none and loads pydantic to make sure of it."""
        option: Any = super().get_help_option(ctx)
        option.default = False
        return option

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the commands with what they do."""
        help_table.write(self, ctx, formatter, shutil.get_terminal_size().columns, self.summaries())

    def summaries(self) -> dict[str, str]:
        """What each command does, in a line or two."""
        return {name: _first_paragraph(c.help or "") for name, c in self.commands.items() if not c.hidden}


def group(
    app: typer.Typer, name: str, help: str, commands: Mapping[str, Callable[..., Any]], cls: type[TyperCommand]
) -> None:
    """Add a group of ``commands``, all of the class ``cls``, to ``app``."""
    made = typer.Typer(name=name, cls=CrystalGroup, no_args_is_help=True, help=help)
    for word, function in commands.items():
        made.command(word, cls=cls)(function)
    app.add_typer(made)


class Program(CrystalGroup):
    """The program itself: what one command needs is not loaded for another; those of plugins come last."""

    modules: ClassVar[Mapping[str, str]] = {}
    """Name of each command → module that has it, with a function ``register(app)``; or ``MODULE:WORKFLOW``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands: Any = _Commands(self.modules)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; without plugins there are none of their commands, wherever that is said."""
        if "--no-plugins" in (args[: args.index("--")] if "--" in args else args):
            use_only_builtins()
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is meant, which may be called by another name: a value of a flag of another command."""
        try:
            name, command, rest = super().resolve_command(ctx, args)
        except Exception as problem:  # Click's own: no such command, which may be of a plugin that was left out
            if (left_out := registry().broken_hint()) and hasattr(problem, "message"):
                problem.message = problem.message.removesuffix(".") + left_out
            raise
        if name is None or getattr(type(command), "chooser", None) is None:
            return name, command, rest
        other, rest = importlib.import_module("crystalcli.cli.workflow_command").handed_over(name, rest)
        return (name, command, rest) if other == name else (other, self.commands[other], rest)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as Typer calls it
        """Names, none of which is loaded for it."""
        return list(self.commands)

    def summaries(self) -> dict[str, str]:
        """What each command does; their options are not made for it."""
        modules = {**own_workflows(), **self.modules}
        own = {n: _first_paragraph(_said_of(modules[n])) for n in self.commands if n in modules}
        return own | {name: text for name, text in _of_others().items() if name not in own}


class _Commands(Mapping[str, Any]):
    def __init__(self, modules: Mapping[str, str]) -> None:
        self.modules = modules

    def __getitem__(self, name: str) -> Any:
        if name in self.modules:
            return _made(name, self.modules[name])
        if (record := own_workflows().get(name)) is not None:
            return _made(name, record)
        app = _empty()
        workflow_command().add(app, _offered()[name])
        group: Any = typer.main.get_command(app)
        return group.commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.modules, *own_workflows(), *_of_others()]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _of_others() -> dict[str, str]:
    """Commands of others' plugins, and a line on each; no plugin is loaded for it: one may take long, or be broken."""
    if registry.cache_info().currsize:
        return {name: w.summary for name, w in _offered().items()}
    return announced_workflows()


def _offered() -> dict[str, Workflow]:
    """Workflows of others' plugins by name; all plugins are loaded."""
    offered = [o for o in registry().offered() if not o.origin.builtin]
    return {o.part.name: o.part for o in offered if isinstance(o.part, Workflow)}


def workflow_command() -> Any:
    """The module that makes commands of workflows."""
    return importlib.import_module("crystalcli.cli.workflow_command")


@cache
def _registered(module: str) -> typer.Typer:
    """An application that has what ``module`` registers, or the workflow of it, and nothing else."""
    app = _empty()
    name, _, workflow = module.partition(":")
    loaded = importlib.import_module(name)
    if workflow:
        workflow_command().add(app, getattr(loaded, workflow))
    else:
        loaded.register(app)
    return app


def _empty() -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.callback()(_nothing)  # without it Typer takes an application of one command for that command
    return app


def _nothing() -> None: ...


@cache
def _made(name: str, module: str) -> Any:
    group: Any = typer.main.get_command(_registered(module))
    return group.commands[name]


def _said_of(module: str) -> str:
    """What a command does; that of a workflow's record is read, and no command made of it."""
    name, _, workflow = module.partition(":")
    if workflow:
        return str(getattr(importlib.import_module(name), workflow).summary)
    app = _registered(module)
    for command in app.registered_commands:
        return command.help or inspect.getdoc(command.callback) or ""
    return str(app.registered_groups[0].typer_instance.info.help)  # type: ignore[union-attr] # it is one of ours


def _first_paragraph(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
