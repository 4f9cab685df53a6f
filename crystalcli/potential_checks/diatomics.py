"""Two atoms alone: the curve of every pair of elements, and where it has a hole in its core.

Below 0.8 of the sum of the covalent radii two atoms repel each other, whatever they are, unless they have met no bond
before: those of N₂ (0.77 of it) and of transition metals with many bonds (Cr₂ 0.60, V₂ 0.58) are shorter. Nearer than
that, and than the first bond, the energy must rise all the way. Where it falls again is a hole: atoms that come to its
edge, as in melts, are lost in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import ase
import numpy as np
from ase.data import covalent_radii

from crystalcli.nouns.distributions import pair_of
from crystalcli.potential_checks.asking import Answer, Array, Asking, Noise
from crystalcli.potential_checks.findings import Finding, not_run
from crystalcli.potential_checks.smoothness import largest_jump, near, of_jump
from crystalcli.vocabulary.errors import InputError

CORE, SHORTEST, NEAREST, FARTHEST = 0.8, 0.55, 0.3, 12.0
"""Shares of the covalent sum: the core ends, no bond is shorter, the curve begins; Å that the curve ends at."""
CLOSEST = 0.3
"""Å; no two atoms of any matter come nearer."""
STEP, BESIDE = 0.02, 0.05
"""Å from point to point, and by which noise is measured beside a jump."""
BOX = 40.0
"""Å, the box that the pair is alone in; periodic, as many potentials want it."""
CHECKS = ("core", "pair-smooth")
"""Names of the checks of a pair."""
PLACE = np.array([0.35, 0.21, 0.48])
"""Where in the box the first atom is, in units of it."""
LEAST_HEIGHT = 1e-3
"""eV: the edge of a hole that is lower holds nothing back."""
LEAST_DEPTH = 1e-2
"""eV that a well is deep at least, to be a bond."""
LEVEL = 1e-6
"""eV by which a rising energy may fall from point to point: rounding."""

Pair = tuple[int, int]
"""Atomic numbers."""


@dataclass(frozen=True)
class Curve:
    """The energy of two atoms at each distance.

    Args:
        pair: atomic numbers. distances: (n,) Å, ascending. energies: (n,) eV, less that of the farthest.
    """

    pair: Pair
    distances: Array
    energies: Array

    @property
    def name(self) -> str:
        """``O-Si``."""
        return name_of(self.pair)

    @property
    def covalent(self) -> float:
        """Sum of the covalent radii, Å."""
        return float(covalent_radii[self.pair[0]] + covalent_radii[self.pair[1]])


def name_of(pair: Pair) -> str:
    """``O-Si``, by the alphabet."""
    return "-".join(pair_of(*pair))


def pairs(elements: Sequence[int]) -> list[Pair]:
    """All pairs of ``elements``, each with itself, too."""
    return list(combinations_with_replacement(sorted(elements), 2))


def checked(
    asking: Asking, pair: Pair, noise: Noise, checks: Sequence[str] = CHECKS
) -> tuple[Curve | None, list[Finding]]:
    """The curve of a pair, whether its core is whole, and whether it is smooth: those of ``checks``, in their order."""
    symbols = name_of(pair)
    low = max(NEAREST * float(covalent_radii[list(pair)].sum()), CLOSEST)
    distances = np.arange(low, FARTHEST + STEP / 2, STEP)
    try:
        answers = asking([dimer(pair, float(r)) for r in distances])
        energies = np.array([a.energy for a in answers])
        if not np.isfinite(energies).all():
            said = f"no finite energy at {distances[~np.isfinite(energies)][-1]:.2f} Å"
            return None, [Finding(c, symbols, "failed" if c == "core" else "not run", said=said) for c in checks]
        curve = Curve(pair, distances, energies - energies[-1])
        return curve, [core(curve, noise) if c == "core" else _smooth(asking, curve, answers, noise) for c in checks]
    except InputError as problem:
        return None, [not_run(c, symbols, f"two atoms alone: {problem.reason}") for c in checks]


def dimer(pair: Pair, distance: float) -> ase.Atoms:
    """Two atoms alone, along no axis."""
    direction = np.array([0.48, 0.6, 0.64])
    first = PLACE * BOX
    return ase.Atoms(list(pair), [first, first + distance * direction], cell=[BOX] * 3, pbc=True)


def core(curve: Curve, noise: Noise) -> Finding:
    """Whether the energy rises all the way into the core; where it does not, and how high that is."""
    well = _first_well(curve.energies, LEAST_DEPTH + 5.0 * noise.energy)
    inside = curve.distances <= min(CORE, max(SHORTEST, float(curve.distances[well]) / curve.covalent)) * curve.covalent
    r, e = curve.distances[inside], curve.energies[inside]
    more = {
        "bond": float(curve.distances[well]),
        "depth": float(-curve.energies[well]),
        "covalent": curve.covalent,
        "from": float(r[0]),
        "to": float(r[-1]),
    }
    falls = np.flatnonzero(e[:-1] - e[1:] < -(LEVEL + 5.0 * noise.energy))  # nearer, and lower
    if not len(falls):
        return Finding("core", curve.name, "passed", more=more)
    top = int(falls[-1]) + 1  # the outermost edge of a hole, which atoms come to first
    beyond = float(curve.energies[curve.distances >= r[top]].min())
    more |= {"edge": float(r[top]), "height": float(e[top]) - beyond}
    said = f"falls towards the core from {r[top]:.2f} Å on ({r[top] / curve.covalent:.2f} of the covalent sum)"
    high = f"{more['height']:.3g} eV above the lowest point outside"
    said += f", {high if more['height'] > LEAST_HEIGHT else 'and nothing holds atoms back'}"
    return Finding("core", curve.name, "failed", said=said, more=more)


def _first_well(energies: Array, deep: float) -> int:
    """Where two atoms that approach are lowest before their energy rises by ``deep``."""
    lowest = len(energies) - 1
    for k in range(len(energies) - 1, -1, -1):
        if energies[k] < energies[lowest]:
            lowest = k
        elif energies[k] > energies[lowest] + deep:
            break
    return lowest


def _smooth(asking: Asking, curve: Curve, answers: Sequence[Answer], noise: Noise) -> Finding:
    """No jumps beyond the core, where two atoms let go of each other."""
    outside = np.flatnonzero(curve.distances >= CORE * curve.covalent)
    told = [answers[int(k)] for k in outside]

    def way(r: float) -> ase.Atoms:
        return dimer(curve.pair, r)

    jump = largest_jump(asking, way, curve.distances[outside], told)
    return of_jump("pair-smooth", curve.name, jump, noise, near(asking, way, BESIDE), lambda r: f"{r:.4f} Å")
