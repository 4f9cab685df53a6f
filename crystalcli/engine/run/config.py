"""Configuration files: ``crystal.toml`` of the working folder, then the file given with ``-c``.

One table per command, ``[train]`` or ``[graphs.merge]``; one table in it per part, ``[train.lcgcn]``. This module
reads and layers the files; which keys are right is known by the command that reads its table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crystalcli.vocabulary.errors import UsageError

DEFAULT_FILE = "crystal.toml"
MAX_BYTES = 1_000_000
"""A configuration is written by hand; a larger file is something else."""


class ConfigError(UsageError):
    """Everything that is wrong with the configuration, at once; one line each."""

    def __init__(self, problems: Sequence[UsageError]) -> None:
        super().__init__("; ".join(str(p) for p in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Layer:
    """One configuration file.

    Args:
        path: where it was read.
        data: its tables.
        text: its text, for the line numbers of messages.
        asked: somebody has named it; else it was found in the working folder, where anybody may have put it.
    """

    path: Path
    data: Mapping[str, Any]
    text: str
    asked: bool = True

    def problem(self, keys: Sequence[str], reason: str) -> UsageError:
        """An error about the value at ``keys``, with its line."""
        return UsageError(reason, path=self.path, line=line_of(self.text, keys))


def read(path: Path) -> Layer:
    """Read one file.

    Raises:
        UsageError: not there, not a regular file, not UTF-8, not TOML; names the line.
    """
    import tomli

    try:
        if not path.is_file():
            raise UsageError("no such configuration file" if not path.exists() else "is not a regular file", path=path)
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"is larger than {MAX_BYTES} bytes; this is no configuration", path=path)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UsageError(problem.strerror or str(problem), path=path) from problem
    except UnicodeDecodeError as problem:
        raise UsageError("is not UTF-8 text", path=path) from problem
    try:
        return Layer(path, tomli.loads(text), text)
    except tomli.TOMLDecodeError as problem:
        reason, line = _toml_problem(str(problem))
        raise UsageError(reason, path=path, line=line) from problem
    except RecursionError as problem:
        raise UsageError("is nested too deeply", path=path) from problem


def _toml_problem(message: str) -> tuple[str, int | None]:
    found = re.search(r"^(.*?) \(at line (\d+), column (\d+)\)$", message)
    if not found:
        return f"not TOML: {message}", None
    reason = found[1][:1].lower() + found[1][1:]
    return f"not TOML: {reason}; write key = value, texts in quotes", int(found[2])


def layers(given: Path | None) -> list[Layer]:
    """Return ``crystal.toml`` of the working folder (if there) and the ``given`` file; the later one counts more."""
    default = Path(DEFAULT_FILE)
    found = [read(given)] if given is not None else []
    if default.exists() and not (given is not None and default.samefile(given)):
        found.insert(0, replace(read(default), asked=False))
    return found


def line_of(text: str, keys: Sequence[str]) -> int | None:
    """Line of the key or table ``keys`` in TOML ``text``, as well as a person would find it."""
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line):
            table = _words(header[1])
            if table == list(keys):
                return number
        elif (pair := re.match(r"\s*([^=#]+?)\s*=", line)) and table + _words(pair[1]) == list(keys):
            return number
    return None


def _words(dotted: str) -> list[str]:
    return [w.strip().strip("\"'") for w in dotted.split(".")]


def table_at(layer: Layer, keys: Sequence[str]) -> Mapping[str, Any]:
    """The table of a command, empty if the file has none.

    Raises:
        UsageError: there is a value where the table should be.
    """
    table: Any = layer.data
    for depth, key in enumerate(keys):
        table = table.get(key, {})
        if not isinstance(table, Mapping):
            raise layer.problem(keys[: depth + 1], f"'{key}' must be a table, [{'.'.join(keys)}]")
    return dict(table)
