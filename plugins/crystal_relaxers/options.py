"""Options of the relaxers; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from crystalcli.contracts.options import option


@dataclass(frozen=True)
class FireOptions:
    """Options of ``fire``."""

    dt: float = option(0.1, "first time step, for unit mass; 0.1 is 1.02 fs at 1 amu", min=1e-4, max=10.0)
    dt_max: float = option(1.0, "longest time step", min=1e-4, max=100.0)
    max_step: float = option(0.2, "an atom moves no farther in one step", unit="Å", min=1e-4, max=1.0)


@dataclass(frozen=True)
class BfgsOptions:
    """Options of ``bfgs``."""

    alpha: float = option(70.0, "first guess of the curvature", unit="eV/Å²", min=0.1)
    max_step: float = option(0.2, "an atom moves no farther in one step", unit="Å", min=1e-4, max=1.0)


@dataclass(frozen=True)
class LbfgsOptions:
    """Options of ``lbfgs``."""

    memory: int = option(100, "steps remembered", min=1, max=10_000)
    alpha: float = option(70.0, "first guess of the curvature", unit="eV/Å²", min=0.1)
    max_step: float = option(0.2, "an atom moves no farther in one step", unit="Å", min=1e-4, max=1.0)
