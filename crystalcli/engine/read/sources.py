"""Structures from nothing: an input ``source:NAME:option=value,…,seed=N`` is what a plugin's source generates.

It stands wherever a file may stand, and is a path like one: it is read by the same worker, resumed and recorded in the
same way, and equal words give equal structures. ``source:bulk:formula=Cu,Ag,count=4`` has the formula ``Cu,Ag``: a
comma ends a value only where another ``option=`` follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Source
from crystalcli.engine.read.given import sound
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import CrystalError, InputError, UsageError, what_happened

PREFIX, SEED = "source:", "seed"
CODE = "source-error"
"""Of what a source does wrong."""
_INPUT = re.compile(r"source:(?P<name>[^=]+?)(?::(?P<options>[\w-]+=.*))?")


class SourceRequest(NamedTuple):
    """A source with its options and the seed."""

    part: Source
    options: Any
    seed: int

    @property
    def path(self) -> Path:
        """The input with every option said, in the order in which they are declared."""
        values = {k.replace("_", "-"): _said(v) for k, v in opt.to_dict(self.options).items()}
        words = ",".join(f"{k}={v}" for k, v in (values | {SEED: str(self.seed)}).items())
        return Path(f"{PREFIX}{self.part.name}:{words}")


def is_source(path: Path | str) -> bool:
    """Whether an input is a source; a file that is called so is a file."""
    return str(path).startswith(PREFIX) and not Path(path).exists()


def request(text: str | Path) -> SourceRequest:
    """What an input means.

    Raises:
        UsageError: no such source or option, or a value that it cannot have.
    """
    match = _INPUT.fullmatch(str(text))
    if not match:
        raise UsageError(f"'{text}' is not source:NAME:option=value,option=value")
    part = cast(Source, registry().get("source", match["name"]))
    specs = {s.name: s for s in opt.specs(part.options)}
    values: dict[str, Any] = {}
    owner, seeds = f"source {part.name}", list[int]()
    for word in re.split(r",(?=[\w-]+=)", match["options"]) if match["options"] else ():
        name, _, value = word.partition("=")
        key = name.replace("-", "_")
        if key == SEED:
            seeds.append(_seed(value, owner))
        elif key in values:
            raise UsageError(f"option {name} of {owner} is given twice")
        else:
            known = specs.get(key)
            values[key] = value if known is None else opt.from_text(known, value, owner=owner)
    if len(seeds) > 1:
        raise UsageError(f"seed of {owner} is given twice")
    seed = seeds[0] if seeds else 0
    if seed < 0:
        raise UsageError(f"seed of {owner} is {seed}; it is 0 or more")
    return SourceRequest(part, opt.make(part.options, values, owner=owner), seed)


def name_of(path: Path) -> str:
    """What its structures are called after: the source."""
    return request(path).part.name.rpartition(":")[2]


def generated(path: Path) -> Iterator[Entry | InputError]:
    """What the source of an input gives, numbered from 0 in their ``source``.

    Raises:
        CrystalError: its own. InputError: it fails, or gives something else; names the plugin.
    """
    part, options, seed = request(path)
    who = f"source '{part.name}' of plugin {registry().origin('source', part.name)}"
    try:
        for k, item in enumerate(part.generate(options, seed)):
            where = f"{path}:{k}"
            placed = replace(item, source=where) if isinstance(item, Entry) else item
            yield sound(placed, who, where, CODE)
    except (CrystalError, OSError, RecursionError, MemoryError):
        raise
    except (Exception, SystemExit) as problem:
        raise InputError(f"{who} fails: {what_happened(problem)}", code=CODE) from problem


def _seed(text: str, owner: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"seed of {owner} must be a whole number, not '{text}'") from None


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
