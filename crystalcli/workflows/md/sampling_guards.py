"""When a structure has left the physical world: it is stopped, the others go on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from ase.data import chemical_symbols
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.structures.check import closest
from crystalcli.nouns.systems import Systems, degrees_of_freedom, per_structure, temperature, volume
from crystalcli.vocabulary.units import ACCELERATION, KB

GUARD_EVERY = 10
"""Steps between two looks at every structure."""
NEAREST = 0.5
"""Å. No two atoms of anything solid or liquid come this near."""
HOTTER = 10.0
"""Times the target. Small structures fluctuate: five standard deviations of the temperature are added."""
COLD = 100.0
"""K. Below, the limit is that of this target: what a structure far from rest sets free is no explosion."""
FASTEST = 1.0
"""Å. An atom that moves further in one step has exploded."""
SWELLS = 3.0
"""A cell that grows or shrinks by more than this factor of its first volume has left the barostat's hands."""
FLATTEST = 0.2
"""A cell whose volume is less than this part of the product of its lengths, relative to the first cell, has flipped."""


@dataclass(frozen=True)
class StopReason:
    """Why a structure is stopped: a short word, and a line for people."""

    code: str
    reason: str


class Guards:
    """Looks at all structures every few steps, cheaply.

    The exact nearest pair is only searched again when atoms could have come near enough since: while none has moved
    further than u from where a homogeneous strain F of the reference takes it, no pair is nearer than
    s(F) d − 2 u, with the smallest stretch s(F) and the nearest distance d of the reference.
    """

    def __init__(self, systems: Systems) -> None:
        self.first = systems
        degrees = degrees_of_freedom(systems)
        self.margin = HOTTER * (1.0 + 5.0 * (2.0 / degrees).sqrt())
        self.thermal = 0.5 * KB * degrees * self.margin
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
            self._hottest = target, self.thermal * max(target, COLD)
        kinetic = per_structure(systems, systems.velocities.square().sum(1) * self.weights)
        if not bool((kinetic + evaluated.energy * 0.0 <= self._hottest[1]).all()):
            return False
        moved = float((systems.positions - self.reference.positions).abs().max())
        return self.least - 2.0 * math.sqrt(3.0) * moved > NEAREST

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
        hot = kelvin > self.margin * max(target, COLD)
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
                said = f"temperature {float(kelvin[k]):.0f} K at a target of {target:.0f} K; the fastest is {name}"
            found[k] = StopReason("explosion", said)
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
            least = least * torch.linalg.svdvals(strain).amin(1)
        moved = (systems.positions - taken).square().sum(1)
        furthest = torch.zeros_like(least).scatter_reduce(0, systems.structure_index, moved, "amax").sqrt()
        for k in torch.nonzero((least - 2.0 * furthest < NEAREST) & alive).flatten().tolist():
            if k in found:
                continue
            i, j, distance = self._measure(systems, k)
            if distance < NEAREST:
                mine = torch.nonzero(systems.structure_index == k).flatten()
                pair = f"{self._name(systems, mine, i)} and {self._name(systems, mine, j)}"
                found[k] = StopReason("overlap", f"{pair} are {distance:.2f} Å apart")

    def _measure(self, systems: Systems, k: int) -> tuple[int, int, float]:
        """Search the nearest pair of structure ``k`` up to 2.5 Å and make ``systems`` its reference."""
        mine = systems.structure_index == k
        cell, pbc = systems.cell[k].cpu().numpy(), systems.pbc[k].cpu().numpy()
        i, j, distance = closest(systems.positions[mine].cpu().numpy(), cell, pbc, 2.5)
        self.nearest = self.nearest.clone()
        self.nearest[k] = min(distance, 2.5)
        self.least = float(self.nearest.min())
        rows = mine.unsqueeze(1)
        cells = self.reference.cell.clone()
        cells[k] = systems.cell[k]
        self.reference = self.reference.moved(
            positions=torch.where(rows, systems.positions, self.reference.positions),
            cell=systems.cell if torch.equal(cells, systems.cell) else cells,
        )
        return i, j, distance

    def _name(self, systems: Systems, mine: Tensor, atom: int) -> str:
        return f"{chemical_symbols[int(systems.atomic_numbers[mine[atom]])]} {atom}"


def _shape(systems: Systems) -> Tensor:
    """|det cell| over the product of its lengths, (S,); 1 for a box with right angles."""
    lengths = systems.cell.square().sum(2).sqrt().prod(1)
    return volume(systems) / lengths.clamp_min(1e-300)
