"""The plan of a melt and quench: its stages, and the runs of molecular dynamics that they are.

Neighboring stages with the same sampler, step and pressure are one run with one temperature program, so that the
thermostat goes on as it is. In a plan of one's own every stage is a table::

    [[stage]]
    from = 3000        # K
    to = 300           # of a ramp; a stage at one temperature has `from` alone
    steps = 2500
    dt = 2.0           # fs; that of --dt where nothing is said
    sampler = "npt"    # that of --sampler where nothing is said
    pressure = 0.0     # GPa, of a sampler that has one

The melt are the stages before the first in which the temperature falls, or that begins below the end of the one before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crystal_glass.options import GlassOptions
from crystalcli.contracts.options import specs
from crystalcli.contracts.stage_files import stage_tables
from crystalcli.vocabulary.errors import UsageError

PLANNED = ("melt", "cold", "melt_steps", "quench_steps", "rate", "hold_steps")
"""Options that a plan takes the place of."""
KEYS = {"from": (int, float), "to": (int, float), "steps": int, "dt": (int, float), "sampler": str,
        "pressure": (int, float)}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Linear from ``start`` to ``end``, K, in ``steps`` of ``dt`` fs; pressure in GPa or none."""

    start: float
    end: float
    steps: int
    dt: float
    sampler: str = ""
    pressure: float | None = None
    melt: bool = False

    @property
    def picoseconds(self) -> float:
        """How long it is."""
        return self.steps * self.dt * 1e-3


@dataclass(frozen=True)
class Leg:
    """Stages that are one run."""

    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        """Of all its stages."""
        return sum(s.steps for s in self.stages)

    @property
    def program(self) -> str:
        """As ``crystal md --temperature`` reads it."""
        return ",".join(f"{_span(s)}@{s.steps}" for s in self.stages)


def stages_of(o: GlassOptions) -> list[Stage]:
    """The plan that is asked for.

    Raises:
        UsageError: a plan that makes no sense, or a rate that does not cool.
    """
    _refuse_two_ways(o)
    if o.plan:
        return _marked(_of_file(Path(o.plan), o))
    if not o.cold < o.melt:
        raise UsageError(f"--cold {o.cold:g} K is not below --melt {o.melt:g} K")
    steps = o.quench_steps if not o.rate else max(1, round((o.melt - o.cold) / o.rate * 1e3 / o.dt))
    made = [Stage(o.melt, o.melt, o.melt_steps, o.dt), Stage(o.melt, o.cold, steps, o.dt)]
    return _marked([*made, Stage(o.cold, o.cold, o.hold_steps, o.dt)])


def _refuse_two_ways(o: GlassOptions) -> None:
    """A plan says all stages, and a rate how long the quench is: what says it otherwise would not be listened to."""
    said = [s.flag for s in specs(GlassOptions) if s.name in PLANNED and getattr(o, s.name) != s.default]
    if o.plan and said:
        raise UsageError(f"--plan says the stages; leave out --{said[0]}")
    if o.rate and "quench-steps" in said:
        raise UsageError("--rate and --quench-steps say the same; give one of them")


def quench_rate(stages: Sequence[Stage]) -> float | None:
    """K/ps of the steepest stage in which the temperature falls; none where it does in none, or only between them."""
    falls = [(s.start - s.end) / s.picoseconds for s in stages if s.end < s.start]
    return max(falls) if falls else None


def careful(stages: Sequence[Stage]) -> list[Stage]:
    """The same plan with half the step, and twice as many, in the melt."""
    return [replace(s, dt=0.5 * s.dt, steps=2 * s.steps) if s.melt else s for s in stages]


def legs(stages: Sequence[Stage]) -> list[Leg]:
    """The runs that the stages are."""
    made: list[Leg] = []
    for stage in stages:
        if made and _alike(made[-1].stages[-1], stage):
            made[-1] = Leg((*made[-1].stages, stage))
        else:
            made.append(Leg((stage,)))
    return made


def _alike(one: Stage, other: Stage) -> bool:
    return (one.dt, one.sampler, one.pressure) == (other.dt, other.sampler, other.pressure)


def _marked(stages: list[Stage]) -> list[Stage]:
    before = [stages[0].start, *(s.end for s in stages)]
    falls = (k for k, s in enumerate(stages) if s.end < s.start or s.start < before[k])
    first = next(falls, len(stages))
    return [replace(s, melt=k < first) for k, s in enumerate(stages)]


def _of_file(path: Path, o: GlassOptions) -> list[Stage]:
    try:
        return [_of_table(k, table, o) for k, table in enumerate(stage_tables(path, "plan", KEYS), 1)]
    except UsageError as problem:
        raise UsageError(problem.reason, path=path) from problem


def _of_table(k: int, table: Mapping[str, Any], o: GlassOptions) -> Stage:
    for key, value in table.items():
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):  # type: ignore[arg-type]
            raise UsageError(f"stage {k}: {key} = {value!r} is not what it should be; see docs/glass.md")
    if missing := [key for key in ("from", "steps") if key not in table]:
        raise UsageError(f"stage {k} lacks {missing[0]}")
    start, end = float(table["from"]), float(table.get("to", table["from"]))
    dt = float(table.get("dt", o.dt))
    if not (0 < start <= 2e4 and 0 < end <= 2e4 and table["steps"] >= 1 and 0.01 <= dt <= 10.0):
        raise UsageError(f"stage {k}: temperatures are up to 20000 K, steps at least 1, dt 0.01 to 10 fs")
    pressure = None if "pressure" not in table else float(table["pressure"])
    if pressure is not None and not math.isfinite(pressure):
        raise UsageError(f"stage {k}: a pressure of {pressure} GPa")
    return Stage(start, end, int(table["steps"]), dt, str(table.get("sampler", "")), pressure)


def _span(stage: Stage) -> str:
    return repr(stage.start) if stage.start == stage.end else f"{stage.start!r}:{stage.end!r}"
