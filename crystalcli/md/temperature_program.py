"""Temperature against time: holds and ramps, from one word, a line of stages or a TOML file.

``300`` holds, ``300:600`` ramps over the whole run, ``300@1ps,300:600@2ps,600`` are stages: temperature or FROM:TO,
then ``@`` and how long, in fs, ps, ns or (without unit) steps. At most one stage may leave its length open; it takes
what the others leave. A TOML file holds the same as a list::

    [[stage]]
    kind = "ramp"      # or "hold", with `to` only
    from = 300
    to = 600
    duration = "2ps"
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from crystalcli.contracts.stage_files import stage_tables
from crystalcli.vocabulary.errors import UsageError

FEMTOSECONDS = {"fs": 1.0, "ps": 1e3, "ns": 1e6}
_STAGE = re.compile(r"\s*([^:@]+?)\s*(?::\s*([^:@]+?)\s*)?(?:@\s*([^:@]+?)\s*)?")
_KEYS = ("kind", "from", "to", "duration")


@dataclass(frozen=True)
class TemperatureStage:
    """Linear from ``start`` to ``end``, K, over ``steps``; -1: what is left."""

    start: float
    end: float
    steps: int


@dataclass(frozen=True)
class TemperatureProgram:
    """Piecewise linear T(step)."""

    stages: tuple[TemperatureStage, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends", tuple(accumulate(s.steps for s in self.stages)))

    @property
    def steps(self) -> int:
        """Length of all stages."""
        return sum(s.steps for s in self.stages)

    def at(self, step: int) -> float:
        """Target at ``step``, K; the last temperature holds on after the end."""
        ends: tuple[int, ...] = self._ends  # type: ignore[attr-defined]
        k = bisect_right(ends, step)
        if k == len(self.stages):
            return self.stages[-1].end
        stage = self.stages[k]
        return stage.start + (stage.end - stage.start) * ((step - (ends[k] - stage.steps)) / stage.steps)

    def text(self) -> str:
        """The program as one line that :func:`parse` reads, lengths in steps."""
        return ",".join(f"{_span(s)}@{s.steps}" for s in self.stages)

    def shortest(self) -> str:
        """The same without the length of a hold at the end, so that it does not say how long the run is.

        :func:`parse` gives it back with the number of steps, and a longer program, at the last temperature, with more.
        """
        stages: list[TemperatureStage] = []
        for stage in self.stages:
            if stages and stage.start == stage.end == stages[-1].start == stages[-1].end:
                stages[-1] = TemperatureStage(stage.start, stage.end, stages[-1].steps + stage.steps)
            else:
                stages.append(stage)
        last = stages.pop()
        words = [f"{_span(s)}@{s.steps}" for s in stages]
        if last.steps and last.start != last.end:
            words.append(f"{_span(last)}@{last.steps}")
        elif not stages or stages[-1].end != last.end:
            words.append(_number(last.end))
        return ",".join(words)


def _span(stage: TemperatureStage) -> str:
    start = _number(stage.start)
    return start if stage.start == stage.end else f"{start}:{_number(stage.end)}"


def _number(kelvin: float) -> str:
    """As few digits as give it back."""
    return f"{kelvin:g}" if float(f"{kelvin:g}") == kelvin else repr(kelvin)


def parse(text: str, *, dt: float, steps: int | None, default: int | None = None) -> TemperatureProgram:
    """Read what was typed, or the ``.toml`` file it names.

    Args:
        text: as above.
        dt: fs.
        steps: of the whole run; none: the sum of the stages.
        default: steps of a stage of open length where ``steps`` says nothing.

    Raises:
        UsageError: it makes no sense, a temperature is negative, or the stages do not fit into the run.
    """
    stages = _of_file(Path(text), dt) if text.endswith(".toml") else [_of_word(word, dt) for word in text.split(",")]
    if sum(s.steps < 0 for s in stages) > 1:
        raise UsageError("only one stage of --temperature may leave its length open; write 300:600@2ps")
    known = sum(s.steps for s in stages if s.steps >= 0)
    if any(s.steps < 0 for s in stages) and steps is None and default is not None:
        steps = known + default
    if any(s.steps < 0 for s in stages) and steps is None:
        raise UsageError("how long? give --steps, --time, or a length for every stage of --temperature (300:600@2ps)")
    total = known if steps is None else steps
    if known > total:
        raise UsageError(f"the stages of --temperature last {known} steps, the run only {total}")
    filled = [TemperatureStage(s.start, s.end, total - known) if s.steps < 0 else s for s in stages]
    rest = total - sum(s.steps for s in filled)
    if rest:
        filled.append(TemperatureStage(filled[-1].end, filled[-1].end, rest))
    begin = filled[0].start  # all that there is of a program in a run of no steps
    return TemperatureProgram(tuple(s for s in filled if s.steps) or (TemperatureStage(begin, begin, 0),))


def duration(text: str, dt: float) -> int:
    """Steps in ``2ps``, ``500fs``, ``1ns`` or ``1000`` (steps).

    Raises:
        UsageError: not a time, or no whole step.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(fs|ps|ns|)\s*", text)
    if found is None:
        raise UsageError(f"length '{text}' is not like 2ps, 500fs or 1000 (steps)")
    number, unit = float(found[1]), found[2]
    steps = number * FEMTOSECONDS[unit] / dt if unit else number
    if steps < 1 or (not unit and steps != round(steps)):
        raise UsageError(f"length '{text}' is not a whole number of steps, of {dt:g} fs each")
    return round(steps)


def _of_word(word: str, dt: float) -> TemperatureStage:
    found = _STAGE.fullmatch(word)
    if found is None:
        raise UsageError(f"temperature '{word}' is not like 300, 300:600 or 300:600@2ps")
    start = _kelvin(found[1])
    return TemperatureStage(start, _kelvin(found[2]) if found[2] else start, duration(found[3], dt) if found[3] else -1)


def _of_file(path: Path, dt: float) -> list[TemperatureStage]:
    try:
        return _of_tables(stage_tables(path, "temperature program", _KEYS), dt)
    except UsageError as problem:
        raise UsageError(problem.reason, path=path) from problem


def _of_tables(stages: Sequence[Mapping[str, Any]], dt: float) -> list[TemperatureStage]:
    found: list[TemperatureStage] = []
    for k, stage in enumerate(stages, 1):
        kind = stage.get("kind", "ramp" if "from" in stage else "hold")
        if kind not in ("ramp", "hold"):
            raise UsageError(f"stage {k}: kind is ramp or hold, not {kind!r}")
        before = found[-1].end if found else None
        end = stage.get("to", stage.get("from", before) if kind == "hold" else None)
        start = end if kind == "hold" else stage.get("from", before)
        if end is None or start is None:
            raise UsageError(f"stage {k}: a {kind} needs {'from and to' if kind == 'ramp' else 'a temperature: to'}")
        length = duration(str(stage["duration"]), dt) if "duration" in stage else -1
        found.append(TemperatureStage(_kelvin(start), _kelvin(end), length))
    return found


def _kelvin(value: Any) -> float:
    try:
        kelvin = float(value.strip().removesuffix("K")) if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        kelvin = math.nan
    if isinstance(value, bool) or not math.isfinite(kelvin):
        raise UsageError(f"temperature {value!r} is no number of kelvins")
    if kelvin < 0:
        raise UsageError(f"temperature {kelvin:g} K is negative")
    return kelvin
