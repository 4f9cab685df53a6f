"""The class of every command: configuration files, environment, flags of the chosen parts, in that order.

Precedence: defaults < ``crystal.toml`` < ``-c FILE`` < environment ``CRYSTAL_*`` < flags, also for the choice of the
parts themselves.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

from crystalcli.cli import help_table, narrow_help, plugin_flags, settings, variables
from crystalcli.cli.command_line import config_files, first_argument, word_in
from crystalcli.cli.console import plain_words
from crystalcli.cli.plugin_flags import Chooser, DefaultPart, Flag, Given
from crystalcli.cli.settings import Setting, refuse_unasked
from crystalcli.cli.shared import PANEL
from crystalcli.contracts import options as opt
from crystalcli.engine.registry.plugin_manager import registry, use_only_builtins
from crystalcli.engine.run import config
from crystalcli.vocabulary.errors import CrystalError, UsageError, one_line

STATE = "crystal.state"


def _everywhere(
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", metavar="FILE", help="TOML settings, above ./crystal.toml", rich_help_panel=PANEL
        ),
    ] = None,
    no_plugins: Annotated[
        bool, typer.Option("--no-plugins", help="only the parts that come with crystal", rich_help_panel=PANEL)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks", rich_help_panel=PANEL)] = False,
) -> None: ...


def _common() -> list[Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_everywhere)
    return list(typer.main.get_command(app).params)


class _State:
    """What one command line has chosen; lives in the context."""

    def __init__(self) -> None:
        self.flags: list[Flag] = []
        self.parts: list[tuple[str, str]] = []
        self.defaults: Mapping[str, Any] = {}
        self.params: list[Any] | None = None
        self.settings: Mapping[str, Setting] = {}


class CrystalCommand(TyperCommand):
    """A command that reads configuration and environment, and takes the flags of chosen parts.

    ``ctx.obj[family, name]`` holds the :class:`Given` values of each chosen part.
    """

    chooser: ClassVar[Chooser | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.common = _common()
        self.params = [*self.params, *self.common]
        self.help = _escaped(self.help)
        for param in self.params:
            if isinstance(param, TyperArgument | TyperOption):
                param.help = _escaped(param.help)
            if isinstance(param, TyperOption) and param.envvar is None:
                word = param.name.rstrip("_").upper()
                param.envvar = [f"CRYSTAL_{self._upper()}_{word}", f"CRYSTAL_{word}"]
                param.show_envvar = False

    def _upper(self) -> str:
        return (self.name or "").upper().replace("-", "_")

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's own parameters with the defaults that follow from the choice, then the parts' flags."""
        state = ctx.meta.get(STATE)
        if state is None:
            return super().get_params(ctx)
        if state.params is None:
            own = [_with_default(p, state.defaults) for p in super().get_params(ctx)]
            state.params = own + plugin_flags.parameters(state.flags, self._upper() + "_")
        params: list[Any] = state.params
        return params

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Help in which no flag is cut, on a terminal of any width."""
        if narrow_help.fits(self, ctx):
            help_table.write(self, ctx, formatter, shutil.get_terminal_size().columns)
        else:
            narrow_help.write(self, ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find the chosen parts, take their flags in, then parse."""
        state = _State()
        typed = args[: args.index("--")] if "--" in args else args
        if "--no-plugins" in typed:
            use_only_builtins()
        if "--dry-run" in typed:
            from crystalcli.engine.model.pretrained import nothing_kept

            ctx.with_resource(nothing_kept())  # models of others by name are not imported by it
        try:
            layers = self._layers(args)
            self._choose(state, args, layers, settings.path_of(ctx))
            ctx.meta[STATE] = state
            own = {o: p.name for p in super().get_params(ctx) for o in (*p.opts, *p.secondary_opts)}
            args = plugin_flags.respell(args, state.flags, own, self.name or "")
            state.settings = settings.read_all(self, ctx, layers, settings.path_of(ctx), state.flags)
            ctx.default_map = {name: s.value for name, s in state.settings.items()}
        except CrystalError:
            if not ctx.resilient_parsing:
                raise
            ctx.meta[STATE] = state
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as problem:
            self._blame_environment(ctx, problem)
            unknown = getattr(problem, "option_name", None)
            if unknown is None or not hasattr(problem, "possibilities"):
                raise
            known = [o for p in self.get_params(ctx) for o in (*p.opts, *p.secondary_opts) if o.startswith("-")]
            can_take = plugin_flags.takeable(type(self).chooser)
            raise UsageError(plugin_flags.explain_unknown(unknown, state.flags, known, can_take)) from problem

    def _blame_environment(self, ctx: Any, problem: typer.TyperException) -> None:
        """A value that comes from the environment is reported under the variable's name."""
        param = getattr(problem, "param", None)
        source = ctx.get_parameter_source(param.name) if param is not None else None
        if param is None or source is None or source.name != "ENVIRONMENT":
            return
        names = [param.envvar] if isinstance(param.envvar, str) else param.envvar
        name = next(n for n in names if os.environ.get(n))
        raise UsageError(f"{name}={os.environ[name]}: {plain_words(problem.message)}") from problem

    def _layers(self, args: Sequence[str]) -> list[config.Layer]:
        switches = {o for p in self.params if getattr(p, "is_flag", False) for o in p.opts} | {"-h"}
        typed = config_files(args, switches)
        if len(set(typed)) > 1:
            files = " and ".join(f"-c {file}" for file in dict.fromkeys(typed))
            raise UsageError(f"{files}: one file is read; put all into one, or into ./crystal.toml")
        given = typed[0] if typed else os.environ.get("CRYSTAL_CONFIG")
        return config.layers(Path(given) if given else None)

    def _choose(self, state: _State, args: Sequence[str], layers: Sequence[config.Layer], keys: Sequence[str]) -> None:
        chooser = type(self).chooser
        if chooser is None:
            return
        by_flag = {o: p for p in self.params for o in p.opts}
        tables = [t for layer in reversed(layers) if (t := _table_or_none(layer, keys)) is not None]

        def word(flag: str, default: str | None) -> str | None:
            typed = word_in(args, (flag,)) if flag.startswith("-") else first_argument(args, *self._kinds())
            if typed is not None:
                return typed
            param = by_flag.get(flag)
            names = () if param is None else param.envvar or ()
            for name in [names] if isinstance(names, str) else names:
                if os.environ.get(name):
                    return os.environ[name]
            for table in tables:
                for key in (flag.lstrip("-"), flag.lstrip("-").replace("-", "_")):
                    if isinstance(table.get(key), str):
                        return str(table[key])
            return default

        choice = chooser(word)
        own = [o for p in self.params for o in (*p.opts, *p.secondary_opts)]
        state.flags = plugin_flags.collect(choice.sources, own)
        state.parts = [(s.part.family, s.part.name) for s in choice.sources]
        state.defaults = choice.defaults

    def _kinds(self) -> tuple[set[str], set[str]]:
        """Flags without a value, the command's own and, by their last word, those of all parts; then its others."""
        switches, others = set[str](), set[str]()
        for p in self.params:
            if p.param_type_name != "argument":
                (switches if getattr(p, "is_flag", False) else others).update((*p.opts, *p.secondary_opts))
        of_parts = {
            s.flag
            for o in registry().offered()
            for m in plugin_flags.models(o.part)
            for s in opt.specs(m)
            if s.type is bool
        }
        switches |= {"-h", "--help"} | of_parts | {f"no-{flag}" for flag in of_parts}
        return switches, others | {f"--{self.name}.{o[2:]}" for o in others if o.startswith("--")}

    def invoke(self, ctx: Any) -> Any:
        """Hand the parts' values over in ``ctx.obj``; Typer's own wrapper must not see them."""
        state: _State = ctx.meta[STATE]
        for name in state.settings:
            if (found := unasked(ctx, name)) is not None:
                refuse_unasked(found, name, [f.spec for f in state.flags if f.dest == name])
        ctx.obj = {chosen: Given() for chosen in state.parts}  # one without options has its place too
        for flag in state.flags:
            part = flag.source.part
            given = ctx.obj[part.family, part.name]
            value = ctx.params.pop(flag.dest)
            given.values[flag.spec.name] = value
            source = ctx.get_parameter_source(flag.dest).name
            if source != "DEFAULT":
                given.explicit[flag.spec.name] = value
            if source == "COMMANDLINE":
                given.typed.append(flag.spec.name)
        for param in self.common:
            ctx.params.pop(param.name, None)
        self.warn_of_broken()
        for line in variables.unknown(ctx.find_root().command):
            print(f"warning: {one_line(line)}", file=sys.stderr)
        return super().invoke(ctx)

    def warn_of_broken(self) -> None:
        """A line naming the plugins that could not be loaded, one for each part called like a built-in one."""
        broken = registry().broken
        for line in registry().clashes:
            print(f"warning: {one_line(line)}", file=sys.stderr)
        if broken:
            said = "; ".join(f"{name}: {reason}" for name, reason in sorted(broken.items()))
            print(f"warning: {one_line('broken plugin ' + said)}", file=sys.stderr)


def unasked(ctx: Any, name: str) -> Setting | None:
    """The setting that a parameter has from a ``crystal.toml`` that nobody asked for; none if somebody said it."""
    state: _State = ctx.meta[STATE]
    found = state.settings.get(name)
    given = ctx.get_parameter_source(name).name != "DEFAULT_MAP"
    return None if found is None or found.layer.asked or given else found


def plugin_command(chooser: Chooser) -> type[CrystalCommand]:
    """Command class whose flags include those of the parts that ``chooser`` picks."""
    return type("PluginCommand", (CrystalCommand,), {"chooser": staticmethod(chooser)})


def _escaped(text: str | None) -> str | None:
    """Help in which square brackets are brackets, not Rich's markup."""
    return None if text is None else re.sub(r"(?<!\\)\[", r"\\[", text)


def _table_or_none(layer: config.Layer, keys: Sequence[str]) -> Mapping[str, Any] | None:
    """The command's table; one that is wrong is reported later, with everything else that is."""
    try:
        return config.table_at(layer, keys)
    except UsageError:
        return None


def _with_default(param: Any, defaults: Mapping[str, Any]) -> Any:
    value = defaults.get(param.name)
    if value is None and isinstance(param.default, DefaultPart):
        value = param.default()
    if value is None:
        return param
    param = copy.copy(param)
    param.default = value
    return param
