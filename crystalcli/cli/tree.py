"""The command tree as plain data, for man pages and completion scripts; built-in parts only, the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperGroup, TyperOption

from crystalcli.cli.command import CrystalCommand
from crystalcli.cli.narrow_help import plain
from crystalcli.cli.plugin_flags import DefaultPart, takeable
from crystalcli.contracts import options as opt


@dataclass(frozen=True)
class TreeItem:
    """One option or argument.

    Args:
        names: flags, the negative one of a switch included; the name of an argument.
        value: placeholder of the value, empty for a switch.
        help: what it is, with its unit.
        extra: default and bounds as text.
        choices: words that the value can be.
        panel: heading that it stands under.
        is_path: the value is a file or folder.
        many: an argument that takes several values.
    """

    names: tuple[str, ...]
    value: str
    help: str
    extra: str = ""
    choices: tuple[str, ...] = ()
    panel: str = "Options"
    is_path: bool = False
    many: bool = False


@dataclass(frozen=True)
class Page:
    """One command or group.

    Args:
        path: words after ``crystal``.
        help: its whole help text.
        arguments: in order.
        options: of the command itself.
        part_options: of all built-in parts that it can take.
        children: names and first lines of the commands of a group.
    """

    path: tuple[str, ...]
    help: str
    arguments: tuple[TreeItem, ...] = ()
    options: tuple[TreeItem, ...] = ()
    part_options: tuple[TreeItem, ...] = ()
    children: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """First line of the help."""
        return self.help.split("\n", 1)[0].rstrip(".")


def pages() -> list[Page]:
    """All commands and groups, the program itself first."""
    from crystalcli.cli.main import app

    program: Any = typer.main.get_command(app)
    context = program.make_context("crystal", [], resilient_parsing=True)
    return list(_walk(program, (), context))


def _walk(command: Any, path: tuple[str, ...], context: Any) -> Iterator[Page]:
    params = command.get_params(context)
    group = isinstance(command, TyperGroup)
    yield Page(
        path,
        plain(command.help or "").strip(),
        tuple(_item(p, context) for p in params if p.param_type_name == "argument"),
        tuple(_item(p, context) for p in params if isinstance(p, TyperOption) and not p.hidden),
        tuple(_part_items(command)),
        {n: c.get_short_help_str(200).rstrip(".") for n, c in command.commands.items()} if group else {},
    )
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _walk(child, (*path, name), context)


def _item(param: Any, context: Any) -> TreeItem:
    argument = param.param_type_name == "argument"
    kind = param.display_type(context)
    switch = not argument and (param.is_flag or param.count)
    bounds = _bounds(getattr(param, "min", None), getattr(param, "max", None))
    extra = []
    if param.required:
        extra.append("required")
    elif isinstance(param.default, DefaultPart):
        extra.append(f"default {param.default()}")
    elif not switch and param.default not in (None, "", []) and not callable(param.default):
        extra.append(f"default {param.default}")
    if bounds:
        extra.append(bounds)
    choices = tuple(kind.strip("<>").split("|")) if "|" in kind else ()
    value = param.metavar or ("|".join(choices) if choices else _placeholder(kind))
    return TreeItem(
        (param.name,) if argument else (*sorted(param.opts, key=_short_first), *param.secondary_opts),
        "" if switch else value,
        plain(param.help or "").strip(),
        ", ".join(extra),
        choices,
        getattr(param, "rich_help_panel", None) or "Options",
        "path" in kind.lower() or param.metavar == "FILE",
        param.nargs == -1,
    )


def _bounds(low: float | None, high: float | None) -> str:
    """Bounds as people say them."""
    if low is None or high is None:
        return f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else ""
    return f"{low:g} to {high:g}"


def _short_first(flag: str) -> tuple[bool, str]:
    """Order of the spellings of one option; Typer gives those of --help in any order."""
    return flag.startswith("--"), flag


def _placeholder(kind: str) -> str:
    """``<int range>`` → ``INT``."""
    word = kind.strip("<>").removeprefix("list[").rstrip("]").split(" ")[0]
    return {"str": "TEXT", "int": "INT", "float": "NUMBER", "path": "PATH", "Path": "PATH"}.get(word, word.upper())


def _part_items(command: Any) -> Iterator[TreeItem]:
    """Options of all built-in parts that the command can take."""
    if not isinstance(command, CrystalCommand) or (chooser := type(command).chooser) is None:
        return
    for (family, name), model in sorted(takeable(chooser), key=lambda s: s[0]):
        for s in opt.specs(model):
            switch = s.type is bool
            default = (s.flag if s.default else f"no-{s.flag}") if switch else s.default
            bounds = _bounds(s.min, s.max)
            yield TreeItem(
                (f"--{s.flag}", f"--no-{s.flag}") if switch else (f"--{s.flag}",),
                "" if switch else "|".join(s.choices) or _placeholder(s.type.__name__),
                s.help + (f" ({s.unit})" if s.unit else ""),
                f"default {default}" + (f", {bounds}" if bounds else ""),
                s.choices,
                f"{family.capitalize()} {name}",
            )
