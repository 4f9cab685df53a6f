"""Loggers that follow a run: refused before it begins where they cannot, never in its way once it works."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from crystalcli.contracts.options import make
from crystalcli.contracts.records import Logger
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Log
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.registry.working_folder import staying
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError


def loggers(request: Request) -> list[Logger]:
    """Those that the option ``log`` of a workflow names.

    Raises:
        UsageError: no such logger, or one twice. EnvironmentProblem: it needs a package that is not there.
    """
    names: Sequence[str] = getattr(request.options, "log", ())
    found = [cast(Logger, registry().get("logger", name)) for name in names]
    if len({one.name for one in found}) < len(found):
        raise UsageError(f"--log {' --log '.join(names)}: a logger is named twice")
    for one in found:
        if one.package and not _is_there(one.package):
            raise EnvironmentProblem(f"--log {one.name} needs the package {one.package}; {one.install}")
    return found


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


@dataclass
class Followers:
    """The loggers of one run.

    Args:
        named: their records. folder: of the run. warn: told what one of them raises, after which it is left out.
    """

    named: Sequence[Logger]
    folder: Path
    warn: Callable[[str], None]
    logs: dict[str, Log] = field(default_factory=dict)

    def values(self, step: int, values: Mapping[str, float]) -> None:
        """Tell all of them."""
        if values:
            self._each(lambda log: log.values(step, values))

    def row(self, row: Mapping[str, Any]) -> None:
        """Tell them a line of metrics.jsonl, if it says of which step it is."""
        if isinstance(step := row.get("step"), int):
            self.values(step, dict(_numbers({k: v for k, v in row.items() if k != "step"})))

    def close(self) -> None:
        """End it."""
        self._each(lambda log: log.close(), begin=False)
        self.logs.clear()

    def _each(self, tell: Callable[[Log], None], *, begin: bool = True) -> None:
        for one in list(self.named):
            try:
                if one.name not in self.logs:
                    if not begin:
                        continue
                    options: Any = make(one.options, {}, owner=f"logger {one.name}")
                    with staying():
                        self.logs[one.name] = one.build(options, self.folder)
                with staying():
                    tell(self.logs[one.name])
            except (Exception, SystemExit) as problem:  # whatever a service or its package does
                origin = registry().origin("logger", one.name)
                self.warn(f"logger {one.name} of {origin} is left out: {type(problem).__name__}: {problem}")
                self.named = [other for other in self.named if other is not one]


def _numbers(row: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, float]]:
    """Numbers with the names of the tables around them, ``val/energy/mae``; others are left out."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{under}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{under}{name}", float(value)
