"""Options of the samplers. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import option


@dataclass(frozen=True)
class NoseHooverOptions:
    """Of ``nvt``."""

    damping: float = option(100.0, "time in which the temperature is brought back", unit="fs", min=1.0, max=1e6)
    chain: int = option(3, "thermostats in the chain", min=1, max=10)


@dataclass(frozen=True)
class LangevinOptions:
    """Of ``langevin``."""

    friction: float = option(0.01, "friction; velocities are forgotten in 1/friction", unit="1/fs", min=0.0, max=10.0)


@dataclass(frozen=True)
class PressureOptions:
    """Of ``npt``."""

    pressure: float = option(0.0, "external pressure", unit="GPa", min=-100.0, max=10000.0)
    mode: Literal["isotropic", "axes", "full"] = option(
        "isotropic", "what the cell may change: its size, its three axes apart, or all lengths and angles"
    )
    damping: float = option(100.0, "time in which the temperature is brought back", unit="fs", min=1.0, max=1e6)
    cell_damping: float = option(1000.0, "time in which the pressure is brought back", unit="fs", min=10.0, max=1e7)
    chain: int = option(3, "thermostats in each chain", min=1, max=10)
