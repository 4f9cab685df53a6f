"""Flags contributed by the parts chosen on the same command line.

A command class made by :func:`plugin_command` looks for ``--arch NAME`` and its like before parsing, asks the
chosen parts for their options and adds them as real flags, in a help panel of their own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Part
from crystalcli.mechanisms.plugin_manager import registry


@dataclass(frozen=True)
class Source:
    """A part of a command line whose options become flags: the part and the options model that counts."""

    part: Part
    model: type


@dataclass(frozen=True)
class Given:
    """Values of one part's flags; ``explicit`` are those not left at their defaults."""

    values: dict[str, Any]
    explicit: dict[str, Any]


Chooser = Callable[[Callable[[str, str | None], str | None]], Sequence[Source]]
"""``chooser(word)`` returns the chosen parts; ``word(flag, default)`` tells what a flag says before parsing."""


def flags(source: Source) -> list[Any]:
    """Let Typer turn a made-up signature into its own parameters."""

    def stub(**_: Any) -> None: ...

    parameters = [
        inspect.Parameter(
            s.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=s.default,
            annotation=Annotated[
                s.type,
                typer.Option(
                    help=s.help + (f" [{s.unit}]" if s.unit else ""),
                    min=s.min,
                    max=s.max,
                    envvar=f"CRYSTAL_{s.name.upper()}",
                    show_envvar=False,
                    rich_help_panel=f"{source.part.family} {source.part.name}",
                ),
            ],
        )
        for s in opt.specs(source.model)
    ]
    stub.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    stub.__annotations__ = {p.name: p.annotation for p in parameters}
    app = typer.Typer(add_completion=False)
    app.command()(stub)
    return list(typer.main.get_command(app).params)  # type: ignore[attr-defined]


def plugin_command(chooser: Chooser) -> type[TyperCommand]:
    """Command class whose flags include those of the parts that ``chooser`` picks."""

    class PluginCommand(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            chosen = chooser(lambda flag, default: word(args, flag, default))
            ctx.meta["crystal.flags"] = [(s, flags(s)) for s in chosen]
            return super().parse_args(ctx, args)

        def get_params(self, ctx: Any) -> list[Any]:
            return super().get_params(ctx) + [q for _, fs in ctx.meta.get("crystal.flags", []) for q in fs]

        def invoke(self, ctx: Any) -> Any:
            ctx.obj = {}
            for source, fs in ctx.meta["crystal.flags"]:
                given = ctx.obj.setdefault((source.part.family, source.part.name), Given({}, {}))
                for q in fs:
                    value = ctx.params.pop(q.name)
                    given.values[q.name] = value
                    if ctx.get_parameter_source(q.name).name != "DEFAULT":
                        given.explicit[q.name] = value
            return super().invoke(ctx)

    return PluginCommand


def word(args: list[str], flag: str, default: str | None) -> str | None:
    """What ``flag`` says in ``args``; the last one wins."""
    seen = args[: args.index("--")] if "--" in args else args
    found = [b for a, b in zip(seen, seen[1:], strict=False) if a == flag]
    found += [a.split("=", 1)[1] for a in seen if a.startswith(flag + "=")]
    return found[-1] if found else default


def names(family: str) -> Callable[[str], list[str]]:
    """Completion of part names."""
    return lambda incomplete: [n for n in registry().names(family) if n.startswith(incomplete)]
