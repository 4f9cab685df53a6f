"""What ``crystal md`` asks: every option once, for flags, TOML, run.json and help; the files that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.md import temperature_program
from crystalcli.md.temperature_program import TemperatureProgram
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import FORMATS, formats

TRAJECTORY, THERMO, STRUCTURES = "trajectory.extxyz", "thermo.csv", "structures"
LAST, LAST_GOOD, STOPPED_AT = "last.extxyz", "last-good.extxyz", "stopped-at.extxyz"
ANALYSIS = ("rdf.csv", "coordination.csv", "bonds.csv", "msd.csv", "energies.csv")
PICTURES = tuple(f"{name}.{ending}" for name in ("rdf", "bonds", "msd", "energies", "thermo") for ending in FORMATS)
RESTARTS = ("state-*.json", "state-*.safetensors")
CHUNKS = "chunks"

OUT, GUARDS = "Output", "Guards"
DEFAULT_STEPS = 1000
HOTTER = 10.0
"""Times the target: a temperature that is no fluctuation of anything that is still together."""


@dataclass(frozen=True, kw_only=True)
class MdOptions:
    """Everything that ``crystal md`` asks, resolved as it is made: ``steps`` is a number, ``time`` is none.

    ``temperature`` becomes the program with all lengths in steps, less that of a hold at its end: with more steps it is
    the program of a run that is made longer.

    Raises:
        UsageError: a temperature or a length that makes no sense, a format of pictures that is not there, or a limit
            that is none.
    """

    structures: tuple[str, ...] = common.structures(ends=True)
    cif_column: str = common.cif_column()
    id_column: str = common.id_column()
    potential: str = common.potential()
    sampler: str = option("", "what moves the atoms", names="sampler")
    temperature: str = option(
        "300", "K; ramps and stages as 300:600 or 300@1ps,300:600@2ps,600, or FILE.toml with [[stage]]"
    )
    steps: int | None = option(
        None, f"steps in all, of a resumed run too; default {DEFAULT_STEPS}, or what --temperature says", min=0
    )
    time: float | None = option(None, "the same as a time", unit="ps", min=0.0, instead="steps")
    dt: float = option(1.0, "length of a step", unit="fs", min=1e-4, max=1000.0)
    velocities: Literal["auto", "random", "file"] = option(
        "auto", "of the beginning; auto: those in the file, else random at exactly the first temperature"
    )
    dtype: Literal["float64", "float32"] = option("float64", "in which a model evaluates; motion is float64")
    log_every: int = option(10, "steps between two rows of thermo.csv", min=1, panel=OUT)
    frame_every: int = option(100, "steps between two frames of trajectory.extxyz", min=1, panel=OUT)
    analysis: bool = option(True, "g(r), bonds, … at the end", panel=OUT)
    analysis_from: float = option(
        -1.0, "time from which on they are taken; -1: the second half", unit="ps", min=-1.0, panel=OUT
    )
    pictures: str = common.pictures()
    checkpoint_every: float = option(20.0, "time between two restart records", unit="s", min=0.0, panel=OUT)
    drift_every: float = option(
        1.0, "time over which the drift of the conserved energy is taken", unit="ps", min=0.0, panel=GUARDS
    )
    max_drift: float = option(0.0, "stop beyond this drift; 0: only warn", unit="meV/atom/ps", min=0.0, panel=GUARDS)
    max_sigma: float = option(0.0, "sigma of an ensemble to warn of; 0: none", unit="meV/atom", min=0.0, panel=GUARDS)
    stop_on_sigma: int = option(0, "rows in a row beyond --max-sigma to stop at; 0: never", min=0, panel=GUARDS)
    hotter: float = option(HOTTER, "stop beyond so many times the target temperature", min=1.0, panel=GUARDS)
    closest: float = option(
        0.0, "stop where two atoms are nearer than this part of their covalent radii; 0: 0.5 Å", min=0.0, panel=GUARDS
    )
    max_force: float = option(0.0, "stop beyond this force on an atom; 0: any", unit="eV/Å", min=0.0, panel=GUARDS)
    log: tuple[str, ...] = common.log()
    seed: int = common.seed()
    device: str = common.device()
    threads: int = common.threads()

    def __post_init__(self) -> None:
        steps = self.steps
        if self.time is not None:
            if steps is not None:
                raise UsageError("--steps and --time say the same; give one of them")
            steps = round(self.time * 1e3 / self.dt)
        if self.stop_on_sigma and not self.max_sigma:
            raise UsageError("--stop-on-sigma counts rows beyond --max-sigma; give that, too")
        program = temperature_program.parse(self.temperature, dt=self.dt, steps=steps, default=DEFAULT_STEPS)
        resolved = {"temperature": program.shortest(), "steps": program.steps if steps is None else steps, "time": None}
        resolved["pictures"] = ",".join(formats(self.pictures))
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    @property
    def length(self) -> int:
        """Steps of the whole run."""
        assert self.steps is not None
        return self.steps

    @property
    def drift_steps(self) -> int:
        """``drift_every`` in steps."""
        return max(1, round(self.drift_every * 1e3 / self.dt))

    def program(self) -> TemperatureProgram:
        """Temperature against step, for all of them."""
        return temperature_program.parse(self.temperature, dt=self.dt, steps=self.length)
