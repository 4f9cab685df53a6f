"""What ``crystal relax`` asks: every option once, for flags, TOML, run.json, help and plans of campaigns; its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.vocabulary.errors import UsageError

if TYPE_CHECKING:
    from crystalcli.relax.relaxing import Goal

STRUCTURES, TABLE, CIFS, TRAJECTORIES = "relaxed.extxyz", "relaxation.csv", "cif", "trajectories"
SHARDS, UNFINISHED = "shards", "unfinished"

GOAL, HELD = "When a structure is done", "Atoms that are held (beside those that the file holds)"


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How structures are relaxed, wherever that is done."""

    relaxer: str = option("", "what moves the atoms", names="relaxer")
    cell: Literal["none", "isotropic", "full"] = option("none", "what of the cell is free", panel=GOAL)
    pressure: float = option(0.0, "of the surroundings", unit="GPa", panel=GOAL)
    fmax: float = option(0.02, "every force is below; 0 is never reached", unit="eV/Å", panel=GOAL)
    smax: float = option(
        0.05,
        "every stress component (isotropic: the mean), less the pressure, is below (free cells)",
        unit="GPa",
        panel=GOAL,
    )
    steps: int = option(500, "moves at most; 0 evaluates only", panel=GOAL)
    max_seconds_per_structure: float = option(
        0.0, "time for one structure; a batch's time is shared by atoms; 0: any", unit="s", panel=GOAL
    )
    batch_size: int = option(16, "structures relaxed, and kept, together", min=1)
    dtype: Literal["float64", "float32"] = option("float64", "precision in which a model works")

    def goal(self) -> Goal:
        """When a structure is done.

        Raises:
            UsageError: numbers that make no sense, or a pressure on a cell that is not free.
        """
        from crystalcli.relax.relaxing import Goal

        seconds = self.max_seconds_per_structure
        for name, value in (("fmax", self.fmax), ("smax", self.smax), ("max-seconds-per-structure", seconds)):
            if not value >= 0 or value == float("inf"):
                raise UsageError(f"--{name} {value:g} is no limit; give a positive number")
        if self.steps < 0:
            raise UsageError(f"--steps {self.steps} is negative; 0 evaluates without moving")
        if self.cell != "none" and self.smax == 0:
            raise UsageError("--smax 0 is never reached; give a positive number")
        if self.pressure and self.cell == "none":
            raise UsageError("--pressure acts on free cells only; add --cell full or --cell isotropic")
        return Goal(self.fmax, self.smax, self.steps, seconds or float("inf"), self.cell, self.pressure)


@dataclass(frozen=True, kw_only=True)
class RelaxOptions(Descent):
    """Everything that ``crystal relax`` asks."""

    structures: tuple[str, ...] = common.structures(ends=True)
    cif_column: str = common.cif_column()
    id_column: str = common.id_column()
    potential: str = common.potential()
    start: str = option(
        "",
        "model of relaxed positions: begin where it says, unless the potential finds more energy there",
        names=common.MODEL,
    )
    compare_starts: bool = option(False, "with --start: relax from the file's places, too, and count the steps")
    cif: bool = option(False, "write a CIF of every relaxed crystal, too")
    trajectory_every: int = option(0, "write the way of every structure, a frame every so many moves; 0: none", min=0)
    symprec: float = option(0.01, "tolerance of the space groups before and after", unit="Å", min=1e-6, max=1.0)
    fix_elements: str = option("", "hold all atoms of these: Al,O", panel=HELD)
    fix_below: float | None = option(None, "hold atoms with a lower z (a slab's bottom)", unit="Å", panel=HELD)
    fix_indices: str = option("", "hold these atoms, counted from 0: 0,3-5", panel=HELD)
    device: str = common.device()
    threads: int = common.threads()
    jobs: int = common.jobs()
    scheduler: str = common.scheduler()
