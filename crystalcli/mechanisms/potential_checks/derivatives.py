"""Forces and stress against differences of the energy.

Differences of sixth order over seven points: with steps of 0.01 Å their own error is 1e-9 of a force where the energy
changes over 0.3 Å, and rounding is divided by a step that is large enough for single precision, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np

from crystalcli.mechanisms.potential_checks.asking import Array, Asking, Noise, moved, strained
from crystalcli.mechanisms.potential_checks.findings import Finding, judged, not_run

STENCIL = {-3: -1.0 / 60.0, -2: 9.0 / 60.0, -1: -45.0 / 60.0, 1: 45.0 / 60.0, 2: -9.0 / 60.0, 3: 1.0 / 60.0}
"""Weights of the points for the first derivative, times the step."""
SPREAD = float(np.sqrt(sum(w * w for w in STENCIL.values())))
STEP, STRAIN = 0.01, 0.002
"""Å that an atom moves from point to point in the root mean square, and strain."""
NOISY = 1e-6
"""eV; with more noise than that the steps are three times as long."""
SHARE = 1e-3
"""A derivative and the difference may differ by this share of the largest one."""
DIRECTIONS = 4
LEAST_FORCE, LEAST_STRESS = 0.1, 1e-2
"""eV/Å and eV/Å³: the share is of this at least, so that a crystal at rest is not judged by nothing."""
UNCERTAIN = 0.1
"""Where noise alone could make this share of the largest force, nothing can be said."""


def forces(asking: Asking, name: str, atoms: ase.Atoms, noise: Noise, rng: np.random.Generator) -> Finding:
    """−∂E/∂r along random directions of all atoms at once, per length of the direction, eV/Å."""
    told = asking([atoms])[0].forces
    step = STEP * (3.0 if noise.energy > NOISY else 1.0)
    along = rng.normal(size=(DIRECTIONS, len(atoms), 3))
    along /= np.sqrt((along**2).mean(axis=(1, 2), keepdims=True) * 3.0)  # an atom moves by 1 in the root mean square
    points = [moved(atoms, k * step * d) for d in along for k in STENCIL]
    slopes = _slopes(asking, points, step)
    length = np.sqrt((along**2).sum(axis=(1, 2)))
    off = float((np.abs((told * along).sum(axis=(1, 2)) + slopes) / length).max())
    size = max(float(np.abs(told).max()), LEAST_FORCE)
    blur = 5.0 * SPREAD * noise.energy / (step * float(length.min()))
    if blur > UNCERTAIN * size:
        return not_run("forces", name, f"the energy is too noisy to differentiate ({noise.energy:.1g} eV)")
    said = "forces are not the derivative of the energy"
    return judged("forces", name, {"force (eV/Å)": off}, {"force (eV/Å)": SHARE * size + blur}, said=said)


def stress(asking: Asking, name: str, atoms: ase.Atoms, noise: Noise) -> Finding:
    """(1/V) ∂E/∂ε of the six components of a symmetric strain, eV/Å³, positive in tension."""
    if not asking.gives_stress:
        return not_run("stress", name, f"{asking.potential.name} gives no stress")
    if not atoms.pbc.all():
        return not_run("stress", name, "is not periodic along three vectors")
    told = asking([atoms], stress=True)[0].stress
    assert told is not None
    step = STRAIN * (3.0 if noise.energy > NOISY else 1.0)
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    points = [strained(atoms, k * step * _unit(i, j)) for i, j in pairs for k in STENCIL]
    slopes = _slopes(asking, points, step) / atoms.get_volume()
    off = float(max(abs(told[i, j] - s) for (i, j), s in zip(pairs, slopes, strict=True)))
    off = max(off, float(np.abs(told - told.T).max()))
    size = max(float(np.abs(told).max()), LEAST_STRESS)
    blur = 5.0 * SPREAD * noise.energy / (step * atoms.get_volume())
    if blur > UNCERTAIN * size:
        return not_run("stress", name, f"the energy is too noisy to differentiate ({noise.energy:.1g} eV)")
    said = "stress is not the derivative of the energy by the strain (eV/Å³, tension positive)"
    return judged("stress", name, {"stress (eV/Å³)": off}, {"stress (eV/Å³)": SHARE * size + blur}, said=said)


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
