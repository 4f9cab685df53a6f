"""Forces and stress against differences of the energy.

Differences of sixth order over seven points. How long the steps should be hangs on the potential: long ones miss what
is wavy (networks with radial waves of 0.1 Å), short ones drown in the noise of single precision. So several lengths are
tried, and the energy's slope is taken to be known where it agrees with the forces at one of them: forces that are no
derivative agree at none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ase
import numpy as np

from crystalcli.potential_checks.asking import Array, Asking, Noise, moved, strained
from crystalcli.potential_checks.findings import Finding, judged, not_run

STENCIL = {-3: -1.0 / 60.0, -2: 9.0 / 60.0, -1: -45.0 / 60.0, 1: 45.0 / 60.0, 2: -9.0 / 60.0, 3: 1.0 / 60.0}
"""Weights of the points for the first derivative, times the step."""
SPREAD = float(np.sqrt(sum(w * w for w in STENCIL.values())))
STEPS = (0.01, 0.003, 0.03)
"""Å that an atom moves from point to point in the root mean square, in the order in which they are tried."""
STRAINED = 0.2
"""Strain of a step for stress, 1/Å: what moves neighbors 5 Å away by as much."""
SHARE = 1e-3
"""A derivative and the difference may differ by this share of the largest one."""
DIRECTIONS = 4
LEAST_FORCE, LEAST_STRESS = 0.1, 1e-2
"""eV/Å and eV/Å³: the share is of this at least, so that a crystal at rest is not judged by nothing."""
SURE = 5.0
"""Standard deviations of noise that are allowed."""
UNCERTAIN = 0.1
"""Where noise alone could make this share of the largest force, nothing can be said."""


def forces(asking: Asking, name: str, atoms: ase.Atoms, noise: Noise, rng: np.random.Generator) -> Finding:
    """−∂E/∂r along random directions of all atoms at once, per length of the direction, eV/Å."""
    told = asking([atoms])[0].forces
    along = rng.normal(size=(DIRECTIONS, len(atoms), 3))
    along /= np.sqrt((along**2).mean(axis=(1, 2), keepdims=True) * 3.0)  # an atom moves by 1 in the root mean square
    length = np.sqrt((along**2).sum(axis=(1, 2)))

    def off(step: float) -> float:
        points = [moved(atoms, k * step * d) for d in along for k in STENCIL]
        slopes = _slopes(asking, points, step)
        return float((np.abs((told * along).sum(axis=(1, 2)) + slopes) / length).max())

    size = max(float(np.abs(told).max()), LEAST_FORCE)
    said = "forces are not the derivative of the energy"
    blurs = {step: noise.energy / (step * float(length.min())) for step in STEPS}
    return _best("forces", name, "force (eV/Å)", off, blurs, size, said)


def stress(asking: Asking, name: str, atoms: ase.Atoms, noise: Noise) -> Finding:
    """(1/V) ∂E/∂ε of the six components of a symmetric strain, eV/Å³, positive in tension."""
    if not asking.gives_stress:
        return not_run("stress", name, f"{asking.potential.name} gives no stress")
    if not atoms.pbc.all():
        return not_run("stress", name, "is not periodic along three vectors")
    told = asking([atoms], stress=True)[0].stress
    assert told is not None
    volume = float(atoms.get_volume())
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    skew = float(np.abs(told - told.T).max())

    def off(step: float) -> float:
        points = [strained(atoms, k * step * STRAINED * _unit(i, j)) for i, j in pairs for k in STENCIL]
        slopes = _slopes(asking, points, step * STRAINED) / volume
        return max(skew, float(max(abs(told[i, j] - s) for (i, j), s in zip(pairs, slopes, strict=True))))

    size = max(float(np.abs(told).max()), LEAST_STRESS)
    said = "stress is not the derivative of the energy by the strain (eV/Å³, tension positive)"
    blurs = {step: noise.energy / (step * STRAINED * volume) for step in STEPS}
    return _best("stress", name, "stress (eV/Å³)", off, blurs, size, said)


def _best(
    check: str,
    name: str,
    unit: str,
    off: Callable[[float], float],
    blurs: Mapping[float, float],
    size: float,
    said: str,
) -> Finding:
    """The step at which derivative and difference agree, or come nearest to it.

    Args:
        check: its name.
        name: of the structure.
        unit: of what is found.
        said: where it fails.
        off: how far they differ with a step.
        blurs: standard deviation of the noise over each step.
        size: of the largest component.
    """
    found: list[Finding] = []
    for step, deviation in blurs.items():
        blur = SURE * SPREAD * deviation
        if blur > UNCERTAIN * size:
            continue
        found.append(judged(check, name, {unit: off(step)}, {unit: SHARE * size + blur}, said=said, step=step))
        if found[-1].status == "passed":
            return found[-1]
    if not found:
        return not_run(check, name, "the energy is too noisy to differentiate")
    return min(found, key=lambda f: f.found[unit] / f.allowed[unit])


def _unit(i: int, j: int) -> Array:
    """A symmetric strain whose derivative is the component i, j of the stress."""
    made = np.zeros((3, 3))
    made[i, j] += 0.5
    made[j, i] += 0.5
    return made


def _slopes(asking: Asking, points: Sequence[ase.Atoms], step: float) -> Array:
    """Derivatives of the energy, one for every :data:`STENCIL` of points."""
    energies = np.array([a.energy for a in asking(points)]).reshape(-1, len(STENCIL))
    slopes: Array = energies @ np.array(list(STENCIL.values())) / step
    return slopes
