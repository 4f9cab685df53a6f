"""A workflow's record → a command: its flags, help and other names; see :mod:`.invocation` for what it then does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalcli.cli.command import CrystalCommand, plugin_command
from crystalcli.cli.plugin_flags import DefaultPart, chosen, names, words
from crystalcli.cli.runs import flag
from crystalcli.cli.shared import DryRun, Json, Overwrite, Quiet, Report, TimeLimit
from crystalcli.contracts import options as opt
from crystalcli.contracts.workflow_record import POTENTIAL, Choice, OtherName, PartFlags, Word, Workflow
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError

if TYPE_CHECKING:
    from crystalcli.cli.invocation import Invocation

Finish = Annotated[Path | None, typer.Option(metavar="RUN", help="end the stopped run in this folder with what it has")]


def handed_over(command: str, args: Sequence[str]) -> tuple[str, list[str]]:
    """The command that ``args`` of ``command`` are meant for, and they as it spells them.

    Args:
        command: as typed.
        args: that follow it.
    """
    typed = list(args[: args.index("--")] if "--" in args else args)
    for workflow, other in _others(command):
        flags = {other.flag, f"--{command}.{other.flag.removeprefix('--')}"}
        if (rest := _without(typed, flags, other.word)) is not None:
            return workflow, [*_respelled(rest, other), *args[len(typed) :]]
    return command, list(args)


def words_of_other_commands(command: str, flag: str) -> list[str]:
    """Values of ``flag`` of ``command`` that mean another command."""
    return sorted(other.word for _, other in _others(command) if other.flag == flag)


def _others(command: str) -> list[tuple[str, OtherName]]:
    records = [o.part for o in registry().offered() if isinstance(o.part, Workflow)]
    return [(w.name, other) for w in records for other in w.also if other.command == command]


def _without(args: list[str], flags: set[str], word: str) -> list[str] | None:
    """``args`` without the flag where it says ``word``; none where it never does."""
    kept, k = list[str](), 0
    while k < len(args):
        name, equals, value = args[k].partition("=")
        if equals and name in flags and value == word:
            k += 1
        elif args[k] in flags and args[k + 1 : k + 2] == [word]:
            k += 2
        else:
            kept.append(args[k])
            k += 1
    return kept if len(kept) < len(args) else None


def _respelled(args: Sequence[str], other: OtherName) -> list[str]:
    out = list[str]()
    for arg in args:
        name, equals, value = arg.partition("=")
        if name not in other.flags:
            out.append(arg)
        elif own := other.flags[name]:
            out.append(own + equals + value)
        elif equals:
            out.append(value)
    return out


def add(app: typer.Typer, workflow: Workflow) -> None:
    """Make a command of ``workflow`` in ``app``."""
    app.command(workflow.name, cls=command_class(workflow), help=_help(workflow))(function(workflow))


def command_class(workflow: Workflow) -> type[CrystalCommand]:
    """The command's class: the flags of the parts that the workflow's options choose are its own, too."""
    if workflow.choose is not None:
        return plugin_command(workflow.choose)
    defaults = {s.name: _default_of_part(s, workflow) or s.default for s in opt.specs(workflow.options)}

    def chooser(word: Word) -> Choice:
        found = []
        for option, family in workflow.chooses.items():
            default = defaults[option]
            name = word(flag(option), None) or (default() if isinstance(default, DefaultPart) else default)
            if name in words_of_other_commands(workflow.name, flag(option)):
                raise UsageError(f"{name} is a command of another name; say {flag(option)} {name} on the command line")
            part = chosen(family, name)
            if part is not None:
                found.append(PartFlags(part, part.options))
        return Choice(found)

    return plugin_command(chooser)


def function(workflow: Workflow) -> Callable[..., None]:
    """What Typer calls; its signature is made of the workflow's options and of those that all runs have."""

    def command(ctx: typer.Context, **values: Any) -> None:
        raise typer.Exit(_invocation(workflow)(workflow, ctx, values).code())

    places = {name: k for k, name in enumerate(workflow.chooses)}
    own = sorted(opt.specs(workflow.options), key=lambda s: (not s.argument, places.get(s.name, len(places))))
    made = [_parameter(s, _default_of_part(s, workflow), workflow.name) for s in own]
    made += [_keyword(name, *declared) for name, declared in _of_the_host(workflow).items()]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    command.__signature__ = inspect.Signature([context, *made])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (context, *made)}
    return command


def _invocation(workflow: Workflow) -> type[Invocation]:
    if workflow.home == "folder":
        from crystalcli.cli.invocation import Invocation

        return Invocation
    from crystalcli.cli.file_invocation import FileInvocation

    return FileInvocation


def _of_the_host(workflow: Workflow) -> dict[str, tuple[Any, Any]]:
    """Options that no workflow declares: by name how Typer sees them, and their default."""
    named = workflow.called.upper() or workflow.name
    folder = f"run folder; default runs/DATE-{named}, which runs/latest then leads to"
    known: dict[str, tuple[Any, Any]] = {
        "output": (Annotated[Path | None, typer.Option("-o", "--output", help=folder)], None),
        "resume": (Annotated[Path | None, typer.Option(metavar="RUN", help="go on with the run in this folder")], None),
        "finish": (Finish, None),
        "report": (Report, False),
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


def _parameter(spec: opt.OptionSpec, default_part: DefaultPart | None, command: str) -> inspect.Parameter:
    kind: Any = list[spec.inner] | None if spec.many else spec.type  # type: ignore[name-defined]
    default = spec.default if not spec.many else list(spec.default) or None
    unit = f" ({spec.unit})" if spec.unit else ""
    settings: dict[str, Any] = {"help": spec.help + unit, "min": spec.min, "max": spec.max}
    settings["rich_help_panel"] = spec.panel or None
    if spec.names:
        settings["autocompletion"] = names(spec.names, lambda: words_of_other_commands(command, f"--{spec.flag}"))
    if spec.words:
        settings["autocompletion"] = words(spec.words, between_commas=not spec.many)
    if spec.metavar:
        settings["metavar"] = spec.metavar
    if default_part is not None:
        settings["default_factory"], default = default_part, inspect.Parameter.empty
    if spec.required:
        kind, default = list[spec.inner] if spec.many else kind, inspect.Parameter.empty  # type: ignore[name-defined]
    if spec.argument:
        return _keyword(spec.name, Annotated[kind, typer.Argument(**settings)], default)
    word = f"--{spec.flag}"
    if spec.type is bool and spec.default:
        word = f"{word}/--no-{spec.flag}"
    flags = [word] if not spec.short else [spec.short, word]
    return _keyword(spec.name, Annotated[kind, typer.Option(*flags, **settings)], default)


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _help(workflow: Workflow) -> str:
    return f"{workflow.summary}\n\n{workflow.help}".strip()
