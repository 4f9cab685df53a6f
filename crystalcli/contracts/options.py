"""One declaration per option of a part: its type, default, unit, bounds and help.

From it come the command-line flags, the help panel, the check of configuration files and the docs.
A part declares a frozen dataclass::

    @dataclass(frozen=True)
    class Options:
        cutoff: float = option(8.0, "neighbors within this distance", unit="Å", min=0.1, max=30)
        pool: Literal["average", "max"] = option("average", "pooling over the atoms")

Types: ``int``, ``float``, ``bool``, ``str`` and ``Literal`` of strings; of workflows also ``Path``, one of these
``| None``, and ``tuple`` of many. Loads nothing heavy.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, cast, get_args, get_origin

from crystalcli.vocabulary.errors import UnknownOption, UsageError, did_you_mean

T = typing.TypeVar("T")
_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True)
class NoOptions:
    """The options of a part that has none."""


@dataclass(frozen=True)
class OptionSpec:
    """One option as flags, documentation and checks see it."""

    name: str
    type: Any
    default: Any
    help: str
    unit: str
    min: float | None
    max: float | None
    runs: bool = False
    short: str = ""
    panel: str = ""
    metavar: str = ""
    names: str = ""
    argument: bool = False
    files: bool = False
    ends: bool = False
    instead: str = ""
    required: bool = False
    words: tuple[str, ...] = ()

    @property
    def inner(self) -> Any:
        """The type of one value: without ``| None``, of one of many."""
        kind = self.type
        if get_origin(kind) in (UnionType, typing.Union):
            (kind,) = (k for k in get_args(kind) if k is not type(None))
        return get_args(kind)[0] if get_origin(kind) is tuple else kind

    @property
    def many(self) -> bool:
        """Whether it takes several values."""
        return get_origin(self.type) is tuple

    @property
    def optional(self) -> bool:
        """Whether it may be none."""
        return type(None) in get_args(self.type)

    @property
    def flag(self) -> str:
        """Long flag without dashes: ``n_conv`` reads ``n-conv``; ``from_``, a word that Python keeps, ``from``."""
        return self.name.rstrip("_").replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """Allowed words of a ``Literal`` option, else empty."""
        return get_args(self.inner) if get_origin(self.inner) is Literal else ()


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    min: float | None = None,
    max: float | None = None,
    runs: bool = False,
    short: str = "",
    panel: str = "",
    metavar: str = "",
    names: str = "",
    argument: bool = False,
    files: bool = False,
    ends: bool = False,
    instead: str = "",
    required: bool = False,
    words: tuple[str, ...] = (),
) -> Any:
    """Declare one field of an options dataclass.

    Args:
        default: value.
        help: what it is.
        unit: of the value.
        min: smallest value.
        max: largest value.
        runs: the value is run: a command line, a module or library that is loaded. A ``crystal.toml`` that nobody asked
            for cannot set it.
        short: a second, short flag, such as ``-j``; of a workflow's options, as are the following.
        panel: heading of the help that it stands under.
        metavar: placeholder of its value.
        names: a family, the names of whose parts complete the value.
        argument: it is typed without a flag.
        files: its values are files, folders, globs and lists; the workflow is given the files that they mean.
        ends: of a run in a folder one structure is meant, that it ended with, not every step with what was computed.
        instead: the option that says the same in another way; a change of one resets the other.
        required: a command line, or a file, must say it; ``default`` is what a program gets that says nothing.
        words: that complete the value, or what stands between its commas.
    """
    said: dict[str, Any] = {"help": help, "unit": unit, "min": min, "max": max, "runs": runs}
    said |= {
        "short": short,
        "panel": panel,
        "metavar": metavar,
        "names": names,
        "argument": argument,
        "files": files,
        "ends": ends,
        "instead": instead,
        "required": required,
        "words": words,
    }
    return dataclasses.field(default=default, metadata=said)


@cache
def specs(model: type[Any]) -> tuple[OptionSpec, ...]:
    """The options that ``model`` declares, in order."""
    hints = typing.get_type_hints(model)
    found = []
    for f in dataclasses.fields(model):
        known = {"help": "", "unit": "", "min": None, "max": None, **f.metadata}
        found.append(OptionSpec(name=f.name, type=hints[f.name], default=f.default, **known))
    return tuple(found)


def make(model: type[T], values: Mapping[str, Any], *, owner: str) -> T:
    """Build the options of ``owner`` from ``values``, checking names, types and bounds.

    Raises:
        UsageError: an unknown name, a wrong type, or a value out of bounds.
    """
    known = {s.name: s for s in specs(cast(Any, model))}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        key = name.replace("-", "_")
        key = key if key in known else f"{key}_"
        if key not in known:
            key = key[:-1]
            raise UnknownOption(f"{owner} has no option '{name}'; {did_you_mean(key, list(known))}")
        checked[key] = _checked(known[key], value, owner)
    return model(**checked)


def from_text(spec: OptionSpec, text: str, *, owner: str) -> Any:
    """A value written as text, in words such as ``NAME:option=value,option=value``.

    Raises:
        UsageError: no value of its type; whether it is within bounds, :func:`make` says.
    """
    said, kind = f"option {spec.flag} of {owner}", spec.inner
    if spec.choices or kind is str:
        return text
    if kind is bool:
        if text.lower() not in _TRUTHS:
            raise UsageError(f"{said} is true or false, not '{text}'")
        return _TRUTHS[text.lower()]
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{said} must be {what}, not '{text}'") from None


def _checked(spec: OptionSpec, value: Any, owner: str) -> Any:
    if value is None and spec.optional:
        return None
    if spec.many:
        if not isinstance(value, list | tuple):
            raise UsageError(f"option {spec.flag} of {owner} must be several values, not {value!r}")
        return tuple(_one_checked(spec, v, owner) for v in value)
    return _one_checked(spec, value, owner)


def _one_checked(spec: OptionSpec, value: Any, owner: str) -> Any:
    said = f"option {spec.flag} of {owner}"
    if spec.choices:
        if value not in spec.choices:
            raise UsageError(f"{said} cannot be '{value}'; {did_you_mean(str(value), spec.choices)}")
        return value
    kind = spec.inner
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is Path and isinstance(value, str):
        value = Path(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UsageError(f"{said} must be {kind.__name__}, not {value!r}")
    if kind is float and not math.isfinite(value):
        raise UsageError(f"{said} is {value!r}; it must be a finite number")
    if kind in (int, float) and not _within(spec, value):
        low = "-∞" if spec.min is None else f"{spec.min:g}"
        high = "∞" if spec.max is None else f"{spec.max:g}"
        raise UsageError(f"{said} is {value!r}, outside {low} … {high} {spec.unit}".rstrip())
    return value


def _within(spec: OptionSpec, value: float) -> bool:
    low = -math.inf if spec.min is None else spec.min
    high = math.inf if spec.max is None else spec.max
    return low <= value <= high


def changed(options: T, values: Mapping[str, Any]) -> T:
    """``options`` with other ``values``; an option that says the same as one of them, or the reverse, is reset."""
    pairs = [(s, other) for s in specs(cast(Any, type(options))) if (other := s.instead)]
    reset = {a for s, b in pairs for a, c in ((s.name, b), (b, s.name)) if c in values and a not in values}
    defaults = {s.name: s.default for s in specs(cast(Any, type(options))) if s.name in reset}
    return dataclasses.replace(options, **defaults, **values)  # type: ignore[type-var]


def to_dict(options: Any) -> dict[str, Any]:
    """Plain values of an options object, for JSON and TOML; the inverse of :func:`make`."""
    return {k: _plain(v) for k, v in dataclasses.asdict(options).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
