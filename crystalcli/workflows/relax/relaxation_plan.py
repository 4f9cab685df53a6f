"""What fixes a relaxation, as plain values that survive a JSON file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from crystalcli.mechanisms.relaxation.cell_coordinates import CellMode
from crystalcli.mechanisms.relaxation.relaxing import Goal
from crystalcli.mechanisms.running.places import Place
from crystalcli.vocabulary.errors import UsageError
from crystalcli.workflows.hearing import Voice


@dataclass(frozen=True)
class RelaxationPlan:
    """Everything that fixes a relaxation.

    Args:
        inputs: structure files, in order.
        potential, potential_options: by name or path.
        relaxer, relaxer_options: by name.
        output: run folder.
        latest: let the link ``latest`` beside the run folder lead to it when the run is finished.
        cell, pressure, fmax, smax, steps, max_seconds: see :class:`crystalcli.mechanisms.relaxation.relaxing.Goal`;
            0 seconds is no limit.
        fix_elements, fix_below, fix_indices: see :class:`crystalcli.mechanisms.relaxation.fixing.Fixing`.
        symprec: Å, for space groups.
        batch_size: structures that are relaxed, and kept, together.
        cif: write a CIF of every structure too.
        keep_every: steps between two frames of the trajectory of every structure; 0: no trajectories.
        device, dtype, threads: where and how the potential works.
        jobs, scheduler: who works: so many processes, or the workers of a Dask scheduler.
        config: table for the folder's config.toml.
    """

    inputs: tuple[str, ...]
    potential: str
    relaxer: str
    output: str
    potential_options: Mapping[str, Any] = field(default_factory=dict)
    relaxer_options: Mapping[str, Any] = field(default_factory=dict)
    latest: bool = False
    cell: str = "none"
    pressure: float = 0.0
    fmax: float = 0.02
    smax: float = 0.05
    steps: int = 500
    max_seconds: float = 0.0
    fix_elements: str = ""
    fix_below: float | None = None
    fix_indices: str = ""
    symprec: float = 0.01
    batch_size: int = 16
    cif: bool = False
    keep_every: int = 0
    device: str = "auto"
    dtype: str = "float64"
    threads: int = 0
    jobs: int = 1
    scheduler: str = ""
    overwrite: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where structures are relaxed; one job is this process."""
        return Place(self.jobs if self.jobs > 1 else 0, self.scheduler)

    def goal(self) -> Goal:
        """When a structure is done.

        Raises:
            UsageError: numbers that make no sense, or a pressure on a cell that is not free.
        """
        for name, value in (("fmax", self.fmax), ("smax", self.smax), ("max-seconds-per-structure", self.max_seconds)):
            if not value >= 0 or value == float("inf"):
                raise UsageError(f"--{name} {value:g} is no limit; give a positive number")
        if self.steps < 0:
            raise UsageError(f"--steps {self.steps} is negative; 0 evaluates without moving")
        if self.cell != "none" and self.smax == 0:
            raise UsageError("--smax 0 is never reached; give a positive number")
        if self.pressure and self.cell == "none":
            raise UsageError("--pressure acts on free cells only; add --cell full or --cell isotropic")
        seconds = self.max_seconds or float("inf")
        return Goal(self.fmax, self.smax, self.steps, seconds, cast(CellMode, self.cell), self.pressure)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RelaxationPlan:
        """Build from the dictionary of :meth:`to_json`."""
        return cls(**{**data, "inputs": tuple(data["inputs"])})


FREE = frozenset({"output", "latest", "jobs", "scheduler", "threads", "overwrite", "config"})
"""What may differ between a run and its continuation."""


def same_work(one: RelaxationPlan, other: RelaxationPlan) -> list[str]:
    """What differs between two plans, empty if one may go on with the other."""
    a, b = one.to_json(), other.to_json()
    return sorted(k for k in a if k not in FREE and a[k] != b[k])


@dataclass(frozen=True)
class Listener(Voice):
    """Who hears of a relaxation while it goes on.

    Args:
        done: structures finished since the last call. step: (step, structures of the batch that still go).
    """

    done: Callable[[int], None] = lambda _n: None
    step: Callable[[int, int], None] = lambda _step, _left: None
