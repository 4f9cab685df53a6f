"""Options of the samplers. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import option


@dataclass(frozen=True)
class ChainOptions:
    """Of a chain of thermostats."""

    damping: float = option(100.0, "time in which the temperature is brought back", unit="fs", min=1.0, max=1e6)
    # as LAMMPS has it: at 100 fs and steps of 2 fs more of either changes the conserved energy by less than Verlet does
    chain: int = option(3, "thermostats in a chain", min=1, max=10)
    substeps: int = option(1, "parts of half a step in which the chain is integrated", min=1, max=100)
    suzuki_yoshida: Literal["1", "3", "5", "7"] = option("1", "points of each part: of order 2, 4, 4, 6")


@dataclass(frozen=True)
class NoseHooverOptions(ChainOptions):
    """Of ``nvt``."""


@dataclass(frozen=True)
class LangevinOptions:
    """Of ``langevin``."""

    friction: float = option(0.01, "friction; velocities are forgotten in 1/friction", unit="1/fs", min=0.0, max=10.0)


@dataclass(frozen=True)
class PressureOptions(ChainOptions):
    """Of ``npt``."""

    pressure: float = option(0.0, "external pressure", unit="GPa", min=-100.0, max=10000.0)
    mode: Literal["isotropic", "axes", "full"] = option(
        "isotropic", "what the cell may change: its size, its three axes apart, or all lengths and angles"
    )
    cell_damping: float = option(1000.0, "time in which the pressure is brought back", unit="fs", min=10.0, max=1e7)
