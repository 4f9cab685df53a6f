"""Energy in undisturbed dynamics: velocity Verlet with forces that are the derivative of a smooth energy keeps it.

W. C. Swope et al., J. Chem. Phys. 76, 637 (1982), doi:10.1063/1.442716. The energy swings with the square of the time
step about a mean that stays; forces that are no derivative, or jumps, let the mean drift.
"""

from __future__ import annotations

import ase
import numpy as np
import torch

from crystalcli.nouns.systems import Systems, kinetic_energy, temperature
from crystalcli.potential_checks.asking import Array, Asking
from crystalcli.potential_checks.findings import Finding, judged, not_run
from crystalcli.vocabulary.units import ACCELERATION, KB

DRIFT = 1.0
"""meV/atom/ps that the energy may drift by; of hundreds of steps no less can be told from its swing."""
LONGEST = 2.0
"""fs."""
BY_MASS = 0.35
"""Time step in fs over the root of the lightest mass in amu: 0.35 fs of hydrogen, 1.9 fs of silicon."""
FINER = 4
WILD = 20.0
"""Times the temperature of the beginning: what gets as hot was no crystal of this potential."""


def checked(
    asking: Asking, name: str, atoms: ase.Atoms, *, kelvin: float, steps: int, rng: np.random.Generator
) -> Finding:
    """Let ``atoms`` move; their mean energy must stay.

    A drift that is too large is looked at again with time steps of a quarter, over the same time: what comes of long
    steps is then sixteen times smaller.
    """
    if len(atoms) < 2:
        return not_run("drift", name, "has one atom only, which never moves")
    dt = min(LONGEST, BY_MASS * float(np.sqrt(atoms.get_masses().min())))
    start = _started(asking.systems([atoms]), kelvin, rng)
    energies, hottest = _moving(asking, start, dt, steps, WILD * kelvin)
    if len(energies) == steps and not abs(slope(energies, dt)) * 1e3 <= DRIFT * len(atoms):
        dt, steps = dt / FINER, steps * FINER
        energies, hottest = _moving(asking, start, dt, steps, WILD * kelvin)
    if len(energies) < steps:
        said = f"heats to {hottest:.0f} K within {len(energies)} steps: no crystal that this potential holds"
        return Finding("drift", name, "not run", said=said, more={"hottest": hottest})
    drift = 1e3 * slope(energies, dt) / len(atoms)
    found, allowed = {"drift (meV/atom/ps)": abs(drift)}, {"drift (meV/atom/ps)": DRIFT}
    said = f"energy is not conserved: {drift:+.3g} meV/atom/ps with steps of {dt:.3g} fs"
    return judged("drift", name, found, allowed, said=said, drift=drift, dt=dt, steps=steps, hottest=hottest)


def _moving(asking: Asking, systems: Systems, dt: float, steps: int, wild: float) -> tuple[Array, float]:
    """Total energies after every step, and the highest temperature; fewer than ``steps`` where it is above ``wild``."""
    energies, hottest = [], 0.0
    accelerate = (ACCELERATION / systems.masses)[:, None]
    told = asking.potential.evaluate(systems)
    for _ in range(steps):
        half = systems.velocities + 0.5 * dt * accelerate * told.forces
        systems = systems.moved(positions=systems.positions + dt * half)
        told = asking.potential.evaluate(systems)
        systems = systems.moved(velocities=half + 0.5 * dt * accelerate * told.forces)
        hottest = max(hottest, float(temperature(systems)))
        if not hottest <= wild:
            break
        energies.append(float(told.energy + kinetic_energy(systems)))
    return np.array(energies), hottest


def slope(energies: Array, dt: float) -> float:
    """eV/ps: the straight line of least squares through energies that are ``dt`` fs apart."""
    times = 1e-3 * dt * np.arange(len(energies))
    return float(np.polyfit(times - times.mean(), energies - energies.mean(), 1)[0])


def _started(systems: Systems, kelvin: float, rng: np.random.Generator) -> Systems:
    """Random velocities at exactly ``kelvin``, the centre of mass at rest."""
    mass = systems.masses[:, None]
    width = (KB * kelvin * ACCELERATION / mass).sqrt()
    v = torch.as_tensor(rng.normal(size=tuple(systems.positions.shape))).to(width) * width
    v = v - (mass * v).sum(0) / mass.sum()
    started = systems.moved(velocities=v)
    return started.moved(velocities=v * (kelvin / temperature(started)).sqrt())
