"""When a structure has left the physical world: it is stopped, the others go on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ase
import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.md.options import HOTTER
from crystalcli.nouns.neighbors import pairs_within
from crystalcli.nouns.radii import COVALENT
from crystalcli.nouns.structures.check import closest
from crystalcli.nouns.systems import Systems, degrees_of_freedom, per_structure, temperature, volume
from crystalcli.vocabulary.units import ACCELERATION, KB

GUARD_EVERY = 10
"""Steps between two looks at every structure."""
NEAREST = 0.5
"""Å. No two atoms of anything solid or liquid come this near."""
SEARCHED = 2.0
"""Å beyond their limits up to which the nearest pair is looked for."""
COLD = 100.0
"""K. Below, the limit is that of this target: what a structure far from rest sets free is no explosion."""
FASTEST = 1.0
"""Å. An atom that moves further in one step has exploded."""
SWELLS = 3.0
"""A cell that grows or shrinks by more than this factor of its first volume has left the barostat's hands."""
FLATTEST = 0.2
"""A cell whose volume is less than this part of the product of its lengths, relative to the first cell, has flipped."""


@dataclass(frozen=True)
class GuardLimits:
    """What a structure may not go beyond, as :class:`~crystalcli.md.options.MdOptions` has it.

    Args:
        hotter: times the target, or the temperature of the beginning where that is higher. Small structures fluctuate:
            five standard deviations of the temperature are added.
        closest: times the sum of two covalent radii. force: eV/Å.
    """

    hotter: float = HOTTER
    closest: float = 0.0
    force: float = 0.0


@dataclass(frozen=True)
class StopReason:
    """Why a structure is stopped: a short word, and a line for people."""

    code: str
    reason: str


class Guards:
    """Looks at all structures every few steps, cheaply.

    The exact nearest pair is only searched again when atoms could have come near enough since: while none has moved
    further than u from where a homogeneous strain F of the reference takes it, a pair that was d apart is not nearer
    than s(F) d − 2 u, with the smallest stretch s(F). With limits t of pairs, and the smallest gap d − t of the
    reference, all of them are kept while s gap − |s − 1| t_max > 2 u.
    """

    def __init__(self, systems: Systems, limits: GuardLimits | None = None, began: Tensor | None = None) -> None:
        self.first, self.limits = systems, limits or GuardLimits()
        radii = torch.as_tensor(COVALENT, device=systems.cell.device).index_select(0, systems.atomic_numbers)
        self.radii = radii * self.limits.closest
        self.widest = max(NEAREST, 2.0 * float(self.radii.max()))
        degrees = degrees_of_freedom(systems)
        self.margin = self.limits.hotter * (1.0 + 5.0 * (2.0 / degrees).sqrt())
        self.thermal = 0.5 * KB * degrees * self.margin
        self.began = temperature(systems).clamp_min(COLD) if began is None else began
        self.weights = systems.masses / (2.0 * ACCELERATION)
        self._hottest: tuple[float, Tensor] = (-1.0, self.thermal)
        self.shape = _shape(systems)
        self.size = volume(systems)
        self.solid = self.size > 0
        self.reset(systems)

    def reset(self, systems: Systems) -> None:
        """Search the nearest pairs of ``systems``, from which later motion is counted."""
        self.reference = systems
        self.nearest = torch.full((systems.n_structures,), math.inf, dtype=torch.float64, device=systems.cell.device)
        for k in range(systems.n_structures):
            self._measure(systems, k)
        self.least = float(self.nearest.min())

    def calm(self, before: Systems, systems: Systems, dt: float) -> bool:
        """Whether no atom moves nonsensically far in a step; false for what is no number.

        Both what it moved and its velocity count: a thermostat may take in one step what an explosion gave.
        """
        if not float((systems.positions - before.positions).abs().max()) < FASTEST:
            return False
        return float(systems.velocities.abs().max()) * dt < FASTEST

    def fine(self, systems: Systems, evaluated: Evaluated, target: float) -> bool:
        """Whether a glance tells that nothing is wrong anywhere; if not, :meth:`look` finds out."""
        if systems.cell is not self.reference.cell:
            return False
        if target != self._hottest[0]:
            self._hottest = target, self.thermal * self.began.clamp_min(target)
        kinetic = per_structure(systems, systems.velocities.square().sum(1) * self.weights)
        if not bool((kinetic + evaluated.energy * 0.0 <= self._hottest[1]).all()):
            return False
        if self.limits.force and not float(evaluated.forces.abs().max()) * math.sqrt(3.0) < self.limits.force:
            return False
        moved = float((systems.positions - self.reference.positions).abs().max())
        return self.least - 2.0 * math.sqrt(3.0) * moved > 0.0

    def look(
        self,
        systems: Systems,
        evaluated: Evaluated,
        target: float,
        dt: float,
        alive: Tensor,
        before: Systems | None = None,
    ) -> dict[int, StopReason]:
        """StopReasons on the structures that must stop, by number; ``before`` is the batch one step earlier."""
        found: dict[int, StopReason] = {}
        index = systems.structure_index
        size = torch.cat([systems.positions, systems.velocities, evaluated.forces], 1).square().sum(1)
        lost = ~torch.isfinite(per_structure(systems, size) + evaluated.energy + systems.cell.sum((1, 2)))
        speed = systems.velocities.abs().amax(1)
        if before is not None:
            speed = torch.maximum(speed, (systems.positions - before.positions).abs().amax(1) / dt)
        quick = per_structure(systems, (speed * dt > FASTEST).double()) > 0
        kelvin = temperature(systems)
        hot = kelvin > self.margin * self.began.clamp_min(target)
        for k in torch.nonzero((lost | quick | hot) & alive).flatten().tolist():
            mine = torch.nonzero(index == k).flatten()
            if bool(lost[k]):
                found[k] = StopReason("not-finite", self._lost(systems, evaluated, mine))
                continue
            atom = int(speed[mine].argmax())
            name = self._name(systems, mine, atom)
            if bool(quick[k]):
                said = f"{name} moves {float(speed[mine[atom]]):.3g} Å/fs"
            else:
                aim = f"a target of {target:.0f} K"
                if float(self.began[k]) > max(target, COLD):
                    aim = f"a beginning with {float(self.began[k]):.0f} K"
                said = f"temperature {float(kelvin[k]):.0f} K at {aim}; the fastest is {name}"
            found[k] = StopReason("explosion", said)
        self._forces(systems, evaluated, alive, found)
        self._cells(systems, alive, found)
        self._pairs(systems, alive, found)
        return found

    def _lost(self, systems: Systems, evaluated: Evaluated, mine: Tensor) -> str:
        for what, values in (
            ("force", evaluated.forces[mine]),
            ("position", systems.positions[mine]),
            ("velocity", systems.velocities[mine]),
        ):
            bad = ~torch.isfinite(values).all(1)
            if bool(bad.any()):
                return f"the {what} of {self._name(systems, mine, int(bad.double().argmax()))} is not finite"
        return "energy or cell is not finite"

    def _forces(self, systems: Systems, evaluated: Evaluated, alive: Tensor, found: dict[int, StopReason]) -> None:
        if not self.limits.force:
            return
        size = evaluated.forces.square().sum(1).sqrt()
        over = per_structure(systems, (size > self.limits.force).double()) > 0
        for k in torch.nonzero(over & alive).flatten().tolist():
            mine = torch.nonzero(systems.structure_index == k).flatten()
            atom = int(size[mine].argmax())
            said = f"a force of {float(size[mine[atom]]):.3g} eV/Å on {self._name(systems, mine, atom)}"
            found.setdefault(k, StopReason("force", f"{said}, more than {self.limits.force:g}"))

    def _cells(self, systems: Systems, alive: Tensor, found: dict[int, StopReason]) -> None:
        if systems.cell is self.first.cell:
            return
        ratio = volume(systems) / self.size
        shape = _shape(systems) / self.shape
        bad = self.solid & ((ratio > SWELLS) | (ratio * SWELLS < 1.0) | (shape < FLATTEST)) & alive
        for k in torch.nonzero(bad).flatten().tolist():
            what = "flattens" if float(shape[k]) < FLATTEST else "swells" if float(ratio[k]) > 1 else "collapses"
            found.setdefault(
                k, StopReason("cell", f"the cell {what}: its volume is {float(ratio[k]):.3g} of the first")
            )

    def _pairs(self, systems: Systems, alive: Tensor, found: dict[int, StopReason]) -> None:
        taken, least = self.reference.positions, self.nearest
        if systems.cell is not self.reference.cell and bool(self.solid.any()):
            known = alive & self.solid & torch.isfinite(systems.cell).flatten(1).all(1)
            eye = torch.eye(3, dtype=taken.dtype, device=taken.device)
            before = torch.where(known[:, None, None], self.reference.cell, eye)
            now = torch.where(known[:, None, None], systems.cell, eye)
            strain = torch.linalg.solve(before, now)
            taken = (taken.unsqueeze(1) @ strain.index_select(0, systems.structure_index)).squeeze(1)
            least_stretch = torch.linalg.svdvals(strain).amin(1)
            least = least_stretch * least - (least_stretch - 1.0).abs() * self.widest
        moved = (systems.positions - taken).square().sum(1)
        furthest = torch.zeros_like(least).scatter_reduce(0, systems.structure_index, moved, "amax").sqrt()
        for k in torch.nonzero((least - 2.0 * furthest < 0.0) & alive).flatten().tolist():
            if k in found:
                continue
            i, j, distance, gap = self._measure(systems, k)
            if gap < 0.0:
                mine = torch.nonzero(systems.structure_index == k).flatten()
                pair = f"{self._name(systems, mine, i)} and {self._name(systems, mine, j)}"
                said = f"{pair} are {distance:.2f} Å apart"
                if distance >= NEAREST:
                    said += f", less than {self.limits.closest:g} of their covalent radii together"
                found[k] = StopReason("overlap", said)

    def _measure(self, systems: Systems, k: int) -> tuple[int, int, float, float]:
        """Search the pair of structure ``k`` that is nearest to its limit, and make ``systems`` its reference.

        Returns:
            Two atoms, their distance, and how far that is beyond their limit, Å; at most :data:`SEARCHED`.
        """
        mine = systems.structure_index == k
        cell, pbc = systems.cell[k].cpu().numpy(), systems.pbc[k].cpu().numpy()
        places, radii = systems.positions[mine].cpu().numpy(), self.radii[mine].cpu().numpy()
        if self.limits.closest:
            i, j, distance, gap = _nearest_to_limit(places, cell, pbc, radii, self.widest + SEARCHED)
        else:
            i, j, distance = closest(places, cell, pbc, NEAREST + SEARCHED)
            gap = distance - NEAREST
        gap = min(gap, SEARCHED)
        self.nearest = self.nearest.clone()
        self.nearest[k] = gap
        self.least = float(self.nearest.min())
        rows = mine.unsqueeze(1)
        cells = self.reference.cell.clone()
        cells[k] = systems.cell[k]
        self.reference = self.reference.moved(
            positions=torch.where(rows, systems.positions, self.reference.positions),
            cell=systems.cell if torch.equal(cells, systems.cell) else cells,
        )
        return i, j, distance, gap

    def _name(self, systems: Systems, mine: Tensor, atom: int) -> str:
        return f"{chemical_symbols[int(systems.atomic_numbers[mine[atom]])]} {atom}"


def _nearest_to_limit(
    places: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    radii: NDArray[np.float64],
    reach: float,
) -> tuple[int, int, float, float]:
    """The pair within ``reach`` with the smallest distance beyond max(r_i + r_j, NEAREST); -1, -1, inf, inf if none."""
    i, j, distance = pairs_within(ase.Atoms(positions=places, cell=cell, pbc=pbc), reach)
    if not len(distance):
        return -1, -1, math.inf, math.inf
    gap = distance - np.maximum(radii[i] + radii[j], NEAREST)
    k = int(gap.argmin())
    one, other = sorted((int(i[k]), int(j[k])))
    return one, other, float(distance[k]), float(gap[k])


def _shape(systems: Systems) -> Tensor:
    """|det cell| over the product of its lengths, (S,); 1 for a box with right angles."""
    lengths = systems.cell.square().sum(2).sqrt().prod(1)
    return volume(systems) / lengths.clamp_min(1e-300)
