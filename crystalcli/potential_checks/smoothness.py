"""Jumps of energy and forces where neighbors come and go, found by closing in on them.

Differences of fifth order over six points vanish with the fifth power of their distance where a function is smooth; a
jump between the two in the middle leaves six times itself, however near they are. Along a way, those stretches are cut
in two again and again where they are largest beside what is usual about them, and the half is kept where they are
larger: a sixth of what they are at the end is the jump. Nothing need be known of the potential's cutoffs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import ase
import numpy as np

from crystalcli.potential_checks.asking import Answer, Array, Asking, Noise
from crystalcli.potential_checks.findings import Finding, judged

ENERGY, FORCE = 1e-7, 1e-5
"""eV and eV/Å that energy and forces of the structure may jump by: ten times what a kink leaves at the end."""
STRETCHES, SUSPECTS, HALVINGS, PRUNED = 96, 4, 18, 3
"""Of a way; those looked into for energy and for forces, in either order; how often they are cut in two; after
so many cuts half of them is given up."""
NEARBY = 8
"""Differences before and after one that tell what is usual there; a jump spoils six."""
STAYS = 6.0
"""Times a jump that differences of fifth order leave of it: 10 − 5 + 1."""
SHRUNK, GROWN, BESIDE = 0.92, 1.12, 0.01
"""Scale of the crystal at the beginning and at the end of its way; by which noise is measured beside a jump."""
STANDARD = 15.0
"""Deviations of noise that are no jump: √252/6 of one in the largest of many differences."""

Way = Callable[[float], ase.Atoms]


@dataclass(frozen=True)
class Jump:
    """The largest of a way: eV and where, eV/Å and where (in the way's own numbers)."""

    energy: float
    energy_at: float
    force: float
    force_at: float


def smooth(asking: Asking, name: str, atoms: ase.Atoms, noise: Noise) -> Finding:
    """Grow the whole structure by a fifth: every shell of neighbors comes to where the next one was, or nearly."""

    def way(scale: float) -> ase.Atoms:
        made = atoms.copy()
        made.set_cell(atoms.cell.array * scale)
        made.set_positions(atoms.positions * scale, apply_constraint=False)
        return made

    jump = largest_jump(asking, way, np.linspace(SHRUNK, GROWN, STRETCHES + 1))
    return of_jump(
        "smooth", name, jump, noise, near(asking, way, BESIDE), lambda x: f"{100 * (x - 1):+.2f} % of its size"
    )


def of_jump(
    check: str, name: str, jump: Jump, noise: Noise, beside: Callable[[float], Noise], where: Callable[[float], str]
) -> Finding:
    """Whether a jump is one: larger than noise explains, that of the structure or else that ``beside`` the jump."""
    found = {"energy jump (eV)": jump.energy, "force jump (eV/Å)": jump.force}
    energy, force = noise.energy, noise.force
    if not jump.energy <= ENERGY + STANDARD * energy:
        energy = max(energy, beside(jump.energy_at).energy)
    if not jump.force <= FORCE + STANDARD * force:
        force = max(force, beside(jump.force_at).force)
    allowed = {"energy jump (eV)": ENERGY + STANDARD * energy, "force jump (eV/Å)": FORCE + STANDARD * force}
    first = not jump.energy <= allowed["energy jump (eV)"]
    by = f"energy jumps by {jump.energy:.1e} eV" if first else f"forces jump by {jump.force:.1e} eV/Å"
    at = jump.energy_at if first else jump.force_at
    places = {"energy_at": jump.energy_at, "force_at": jump.force_at}
    return judged(check, name, found, allowed, said=f"{by} at {where(at)}", **places)


def near(asking: Asking, way: Way, apart: float) -> Callable[[float], Noise]:
    """Noise on either side of a place, ``apart`` from it, the lower of the two: one may have a jump of its own.

    In the core, where energies are a thousand times those of a crystal, single precision is as much coarser.
    """

    def beside(x: float) -> Noise:
        two = [asking.noise(way(x + side), np.random.default_rng(0)) for side in (-apart, apart)]
        return Noise(min(n.energy for n in two), min(n.force for n in two))

    return beside


def largest_jump(asking: Asking, way: Way, places: Array, answers: Sequence[Answer] | None = None) -> Jump:
    """Close in on the largest jumps along ``way``.

    Args:
        asking: the potential.
        way: number → structure, the same atoms everywhere.
        places: ascending numbers, equally far apart, between which it is looked for, but for two at each end.
        answers: there, if they are known.
    """
    told = list(answers) if answers is not None else asking([way(float(x)) for x in places])
    left: list[_Suspect] = []
    for kind, floor in ((0, 0.1 * ENERGY), (1, 0.1 * FORCE)):
        values = np.stack([_values(kind, a) for a in told])
        left += [_Suspect(kind, places[k : k + 6], values[k : k + 6]) for k in _worst(values, floor)]
    for step in range(HALVINGS):
        if step % PRUNED == PRUNED - 1:  # what is smooth is left behind by what is not
            left = [s for kind in (0, 1) for s in _largest([s for s in left if s.kind == kind])]
        between = asking([way(x) for s in left for x in s.middles])
        left = [
            s.halved(np.stack([_values(s.kind, a) for a in between[3 * k : 3 * k + 3]])) for k, s in enumerate(left)
        ]
    energy, force = (_largest([s for s in left if s.kind == kind])[0] for kind in (0, 1))
    return Jump(energy.jump, energy.place, force.jump, force.place)


@dataclass(frozen=True)
class _Suspect:
    """Six points about a stretch, its ends in the middle.

    Args:
        kind: 0 energy, 1 forces. places: (6,). values: (6, k).
    """

    kind: int
    places: Array
    values: Array

    @property
    def middles(self) -> list[float]:
        """Of the three stretches in the middle."""
        return [float(0.5 * (a + b)) for a, b in pairwise(self.places[1:5])]

    @property
    def place(self) -> float:
        """The middle of all."""
        return float(self.places[2] + self.places[3]) / 2

    @property
    def jump(self) -> float:
        """What lies between the two points in the middle, if they are near."""
        return float(np.abs(np.diff(self.values, n=5, axis=0)).max()) / STAYS

    def halved(self, middles: Array) -> _Suspect:
        """Points half as far apart about the half of the stretch where they tell more, (3, k) values given."""
        places = np.sort([*self.places[1:5], *self.middles])
        values = np.empty((7, self.values.shape[1]))
        values[0::2], values[1::2] = self.values[1:5], middles
        first, second = (_Suspect(self.kind, places[k : k + 6], values[k : k + 6]) for k in (0, 1))
        return first if first.jump >= second.jump else second


def _largest(suspects: Sequence[_Suspect]) -> list[_Suspect]:
    """The half of them with the largest jumps, those first."""
    return sorted(suspects, key=lambda s: -s.jump)[: (len(suspects) + 1) // 2]


def _values(kind: int, answer: Answer) -> Array:
    return answer.forces.ravel() if kind else np.array([answer.energy])


def _worst(values: Array, floor: float) -> list[int]:
    """Stretches to look into, of (points, k) values: the largest differences, and the largest beside those nearby.

    In a crystal of many neighbors every stretch may have a jump; one far out is small beside what is smooth in a core.
    """
    fifth = np.abs(np.diff(values, n=5, axis=0)).max(axis=1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(fifth, NEARBY, mode="reflect"), 2 * NEARBY + 1)
    beside = fifth / (np.median(around, axis=1) + floor)
    return sorted({int(k) for how in (fifth, beside) for k in np.argsort(-how, kind="stable")[:SUSPECTS]})
