"""Variables named ``CRYSTAL_…`` that nothing reads: a typing error there is as silent as one in a file is loud."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from crystalcli.cli.plugin_flags import models
from crystalcli.contracts import options as opt
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import did_you_mean

PREFIX = "CRYSTAL_"
OTHERS = frozenset(
    {
        "CRYSTAL_PLUGINS", "CRYSTAL_NO_PLUGINS", "CRYSTAL_PLUGIN_TIMEOUT",
        "CRYSTAL_DATA", "CRYSTAL_KILLS",  # of the tests and examples
        # the programming language of this name
        "CRYSTAL_PATH", "CRYSTAL_CACHE_DIR", "CRYSTAL_LIBRARY_PATH", "CRYSTAL_LIBRARY_RPATH", "CRYSTAL_OPTS",
        "CRYSTAL_WORKERS", "CRYSTAL_EXEC_PATH", "CRYSTAL_LOAD_DEBUG_INFO",
    }
)  # fmt: skip
"""Those that are no option's."""


def unknown(program: Any) -> list[str]:
    """A line for every variable that is set and that no command of ``program`` and no part reads."""
    set_here = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in OTHERS)
    own = set(_of_commands(program)) if set_here else set()
    if own.issuperset(set_here):
        return []
    known = own | set(_of_parts(program)) | OTHERS
    return [f"{name} is set, but nothing reads it; {_cure(name, known)}" for name in set_here if name not in known]


def _cure(name: str, known: set[str]) -> str:
    near = did_you_mean(name.removeprefix(PREFIX), sorted(k.removeprefix(PREFIX) for k in known))
    return (
        re.sub("'(?=[A-Z])", f"'{PREFIX}", near)
        if near.startswith("did")
        else "variables are called CRYSTAL_OPTION or CRYSTAL_COMMAND_OPTION"
    )


def _commands(command: Any) -> Iterator[Any]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield command
    for child in (inner or {}).values():
        yield from _commands(child)


def _of_commands(program: Any) -> Iterator[str]:
    for command in _commands(program):
        for param in command.params:
            given = param.envvar or ()
            yield from [given] if isinstance(given, str) else given


def _of_parts(program: Any) -> Iterator[str]:
    """Every spelling that an option of a part has in some command, with and without the part's name."""
    starts = ["", *(f"{_upper(c.name)}_" for c in _commands(program))]
    for offered in registry().offered():
        part = offered.part
        keys = ("", f"{_upper(part.name)}_", f"{_upper(part.family)}_{_upper(part.name)}_")
        names = {s.name.upper() for model in models(part) for s in opt.specs(model)}
        yield from (f"{PREFIX}{start}{key}{name}" for start in starts for key in keys for name in names)


def _upper(word: str) -> str:
    return word.upper().replace("-", "_")
