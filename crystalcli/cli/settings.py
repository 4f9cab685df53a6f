"""Values from configuration files, checked like flags, all problems reported at once.

``crystal.toml`` of the working folder sets how things are computed, and may not do everything: nobody has asked for it,
and anybody may have put it there. What is run, overwritten, or written elsewhere, has to be said: by a flag, a variable
``CRYSTAL_*``, or ``-c FILE``, which may well be ``-c crystal.toml``.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.core import TyperCommand, TyperGroup

from crystalcli.cli.console import plain_words
from crystalcli.cli.plugin_flags import Flag, explain_unknown, models, takeable
from crystalcli.contracts import options as opt
from crystalcli.contracts.options import OptionSpec
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.config import ConfigError, Layer, line_of, table_at
from crystalcli.vocabulary.errors import UnsafeInput, UsageError, did_you_mean
from crystalcli.vocabulary.texts import inert

WRITTEN = ("output", "latent", "resume")
"""Parameters that name what is written."""


@dataclass(frozen=True)
class Setting:
    """A value of a configuration file, with the file and the keys that lead to it there."""

    value: Any
    layer: Layer
    keys: tuple[str, ...]

    def unsafe(self, reason: str) -> UnsafeInput:
        """An error about it, with its line."""
        return UnsafeInput(reason, path=self.layer.path, line=line_of(self.layer.text, self.keys))


def read_all(
    command: TyperCommand, ctx: Any, layers: Sequence[Layer], keys: Sequence[str], flags: Sequence[Flag]
) -> dict[str, Setting]:
    """Settings of all layers by parameter name; later layers win.

    Raises:
        ConfigError: unknown keys, wrong types, values out of bounds.
    """
    if not layers:
        return {}
    checker = _Checker(command, ctx, flags, keys)
    commands = tree(ctx.find_root().command)
    for layer in layers:
        checker.problems += check_top_level(layer, commands)
        checker.read(layer)
    if checker.problems:
        raise ConfigError(checker.problems)
    return checker.values


class _Checker:
    def __init__(self, command: TyperCommand, ctx: Any, flags: Sequence[Flag], keys: Sequence[str]) -> None:
        self.ctx, self.flags, self.keys = ctx, flags, list(keys)
        self.chooser = getattr(type(command), "chooser", None)
        self.params = {p.name: p for p in command.get_params(ctx) if p.name != "help"}
        by_dest = {f.dest for f in flags}
        self.own = {n.rstrip("_"): p for n, p in self.params.items() if n not in by_dest and n != "config"}
        self.hints = typing.get_type_hints(inspect.unwrap(command.callback)) if command.callback else {}
        self.parts = {o.part.name for o in registry().offered()}
        self.values: dict[str, Setting] = {}
        self.problems: list[UsageError] = []

    def read(self, layer: Layer) -> None:
        try:
            table = table_at(layer, self.keys)
        except UsageError as problem:
            self.problems.append(problem)
            return
        for key, value in table.items():
            name = key.replace("-", "_")
            if isinstance(value, Mapping):
                self.part_table(layer, key, value)
            elif name in self.own:
                self.take(layer, [key], self.own[name], self.hints.get(self.own[name].name, bool), value)
            elif (flag := self.flag_of(name)) is not None:
                self.take(layer, [key], self.params[flag.dest], flag.spec.type, value)
            else:
                self.wrong(layer, [key], self.unknown(name))

    def flag_of(self, name: str) -> Flag | None:
        """The chosen part's option of this name, if exactly one part has it."""
        found = [f for f in self.flags if f.spec.name == name and not f.shared]
        return found[0] if len(found) == 1 else None

    def unknown(self, name: str) -> str:
        shared = [f for f in self.flags if f.spec.name == name]
        if shared:
            tables = " or ".join(f"[{'.'.join([*self.keys, f.key])}]" for f in shared)
            return f"'{name}' is declared by {' and '.join(f.owner for f in shared)}; put it into {tables}"
        known = [*self.own, *(f.spec.name for f in self.flags)]
        flag = "--" + name.replace("_", "-")
        flags = ["--" + word.replace("_", "-") for word in known]
        said = explain_unknown(flag, self.flags, flags, takeable(self.chooser))
        if "belongs to" in said:
            return said.replace(flag, f"'{name}'")
        return f"unknown key '{name}'; {did_you_mean(name, known)}"

    def part_table(self, layer: Layer, key: str, table: Mapping[str, Any]) -> None:
        chosen = {f.spec.name: f for f in self.flags if key in (f.key, f.source.part.name, f.full_key)}
        offered = [o.part for o in registry().offered() if key in (o.part.name, f"{o.part.family}-{o.part.name}")]
        if not offered and not chosen:
            words = [*self.own, *self.parts]
            self.wrong(layer, [key], f"there is no part '{key}'; {did_you_mean(key, words)}")
            return
        known = {s.name: s for p in offered for m in models(p) for s in opt.specs(m)}
        for option, value in table.items():
            name = option.replace("-", "_")
            if name in chosen:
                flag = chosen[name]
                self.take(layer, [key, option], self.params[flag.dest], flag.spec.type, value)
            elif name in known:
                self.type_problem(layer, [key, option], known[name].type, value)
            else:
                self.wrong(layer, [key, option], f"'{key}' has no option '{option}'; {did_you_mean(name, list(known))}")

    def take(self, layer: Layer, path: list[str], param: Any, hint: Any, value: Any) -> None:
        """Check one value as the flag would be checked, and keep it."""
        if self.type_problem(layer, path, hint, value):
            return
        before = self.values.get(param.name)
        if before is not None and before.layer is layer:
            line = line_of(layer.text, before.keys)
            self.wrong(layer, path, f"{path[-1]} is said twice; the other is in line {line}")
            return
        try:
            param.process_value(self.ctx, value)
        except Exception as problem:
            if not hasattr(problem, "message"):
                raise
            self.wrong(layer, path, f"{path[-1]} = {value!r}: {plain_words(problem.message)}")
        else:
            self.values[param.name] = Setting(value, layer, (*self.keys, *path))

    def type_problem(self, layer: Layer, path: list[str], hint: Any, value: Any) -> bool:
        """TOML has types: a text is no number and a number is no switch."""
        wanted = _wrong_type(hint, value)
        if wanted:
            self.wrong(layer, path, f"{path[-1]} must be {wanted}, not {value!r}")
        return bool(wanted)

    def wrong(self, layer: Layer, path: list[str], reason: str) -> None:
        self.problems.append(layer.problem([*self.keys, *path], f"[{'.'.join([*self.keys, *path[:-1]])}] {reason}"))


def _wrong_type(hint: Any, value: Any) -> str:
    """What ``value`` should be, empty if it is."""
    origin = get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        wanted = [_wrong_type(h, value) for h in get_args(hint) if h is not type(None)]
        return "" if "" in wanted else " or ".join(wanted)
    if origin is Literal:
        choices = get_args(hint)
        return "" if value in choices else "one of " + ", ".join(map(str, choices))
    if origin in (list, tuple):
        inner = get_args(hint)[0]
        if not isinstance(value, list):
            return "a list"
        return next((f"a list of {w}" for v in value if (w := _wrong_type(inner, v))), "")
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path (a text)"}
    kinds: dict[Any, Any] = {bool: bool, int: int, float: (int, float), str: str, Path: str}
    if hint not in kinds:
        return ""
    good = isinstance(value, kinds[hint]) and (hint is bool or not isinstance(value, bool))
    return "" if good else words[hint]


def check_top_level(layer: Layer, tree: Mapping[str, Any]) -> list[UsageError]:
    """Problems of a file's top level: tables that are no command, values outside of any table.

    Args:
        layer: the file.
        tree: command names → ``None`` or the commands of a group.
    """
    problems = []
    for key, value in layer.data.items():
        if key not in tree:
            hint = did_you_mean(key, sorted(tree))
            said = (
                f"there is no command '{key}'; {hint}"
                if isinstance(value, Mapping)
                else (f"'{key}' stands outside of any table; put it under a command, such as [train]")
            )
            problems.append(layer.problem([key], said))
        elif (commands := tree[key]) is not None and isinstance(value, Mapping):
            problems += [
                layer.problem([key, k], f"there is no command '{key} {k}'; {did_you_mean(k, sorted(commands))}")
                for k in value
                if k not in commands
            ]
    return problems


def path_of(ctx: Any) -> list[str]:
    """Names of the command below the program: ``["graphs", "merge"]``."""
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.command.name)
        ctx = ctx.parent
    return names or [ctx.command.name]


def tree(command: Any) -> dict[str, Any]:
    """Command names → ``None`` or the tree of a group."""
    if not isinstance(command, TyperGroup):
        return {command.name: None}
    return {n: tree(c) if isinstance(c, TyperGroup) else None for n, c in command.commands.items()}


def refuse_unasked(setting: Setting, name: str, specs: Sequence[OptionSpec] = ()) -> None:
    """Refuse a setting that has to be asked for.

    Args:
        setting: from a file that nobody asked for.
        name: of the parameter.
        specs: of the option, if it is one of a part.

    Raises:
        UnsafeInput: names file, line and the cure.
    """
    key = setting.keys[-1]
    flag = f"--{key.replace('_', '-')}"
    why = ""
    if any(s.runs for s in specs) and setting.value:
        why = "is run"
    elif name == "scheduler" and setting.value:
        why = "has others work, who send what is run"
    elif name == "overwrite" and setting.value:
        why = "removes what is there"
    elif name in WRITTEN and _leads_out(Path(str(setting.value))):
        why = "is not in this folder"
    if why:
        cure = f"say it yourself: {flag}, or -c {setting.layer.path}"
        raise setting.unsafe(f"{key} = {inert(repr(setting.value))[:120]} {why}, and nobody asked for it; {cure}")


def _leads_out(path: Path) -> bool:
    """Whether ``path`` lies outside of the working folder, links followed."""
    try:
        return not path.resolve().is_relative_to(Path.cwd().resolve())
    except (OSError, RuntimeError, ValueError):  # links in a loop, or no name of a file
        return True
