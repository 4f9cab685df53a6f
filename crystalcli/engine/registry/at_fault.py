"""Whose fault it is: the plugin that a traceback leads to, or whose part does not do what was agreed."""

from __future__ import annotations

from dataclasses import dataclass
from types import FrameType

from crystalcli.engine.registry.plugin_manager import find, registry
from crystalcli.vocabulary.errors import PluginFault

CODE = "plugin"
"""Of what a part of a plugin does wrong."""


@dataclass(frozen=True)
class AtFault:
    """A plugin in whose code something was raised, or in what that code called.

    Args:
        name: as people say it: the distribution and its module, or the path of a file.
        builtin: it comes with crystal.
    """

    name: str
    builtin: bool


def at_fault(problem: BaseException) -> AtFault | None:
    """The plugin of the innermost frame that is of one; none if no frame is. The core, which offers parts, is none."""
    owners = {o.target.partition(":")[0].partition(".")[0]: o for o in find() if not o.target.endswith(".py")}
    owners.pop("crystalcli", None)
    found, trace = None, problem.__traceback__
    while trace is not None:
        module = _module(trace.tb_frame)
        if module.startswith("crystal_plugin_"):
            found = AtFault(trace.tb_frame.f_code.co_filename, builtin=False)
        elif (owner := owners.get(module)) is not None:
            also = "" if owner.distribution == module else f" ({module})"
            found = AtFault(owner.distribution + also, owner.builtin)
        trace = trace.tb_next
    return found


def fault_of(family: str, name: str, does: str) -> PluginFault:
    """What a part does that was not agreed, with the name of its plugin."""
    return PluginFault(f"{family} '{name}' of plugin {registry().origin(family, name)} {does}", code=CODE)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
