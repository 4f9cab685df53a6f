"""When a structure has left the physical world: it is stopped, the others go on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from ase.data import chemical_symbols
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.md.options import HOTTER
from crystalcli.nouns.near_pairs import NEAREST, NearPairs
from crystalcli.nouns.radii import COVALENT
from crystalcli.nouns.systems import Systems, degrees_of_freedom, per_structure, temperature, volume
from crystalcli.vocabulary.units import ACCELERATION, KB

GUARD_EVERY = 10
"""Steps between two looks at every structure."""
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
    """Looks at all structures every few steps, cheaply."""

    def __init__(self, systems: Systems, limits: GuardLimits | None = None, began: Tensor | None = None) -> None:
        self.first, self.limits = systems, limits or GuardLimits()
        radii = torch.as_tensor(COVALENT, device=systems.cell.device).index_select(0, systems.atomic_numbers)
        self.near = NearPairs(systems, radii * self.limits.closest)
        degrees = degrees_of_freedom(systems)
        self.margin = self.limits.hotter * (1.0 + 5.0 * (2.0 / degrees).sqrt())
        self.thermal = 0.5 * KB * degrees * self.margin
        self.began = temperature(systems).clamp_min(COLD) if began is None else began
        self.weights = systems.masses / (2.0 * ACCELERATION)
        self._hottest: tuple[float, Tensor] = (-1.0, self.thermal)
        self.shape = _shape(systems)
        self.size = volume(systems)
        self.solid = self.size > 0

    def reset(self, systems: Systems) -> None:
        """Search the nearest pairs of ``systems``, from which later motion is counted."""
        self.near.reset(systems)

    def calm(self, before: Systems, systems: Systems, dt: float) -> bool:
        """Whether no atom moves nonsensically far in a step; false for what is no number.

        Both what it moved and its velocity count: a thermostat may take in one step what an explosion gave.
        """
        if not float((systems.positions - before.positions).abs().max()) < FASTEST:
            return False
        return float(systems.velocities.abs().max()) * dt < FASTEST

    def fine(self, systems: Systems, evaluated: Evaluated, target: float) -> bool:
        """Whether a glance tells that nothing is wrong anywhere; if not, :meth:`look` finds out."""
        if target != self._hottest[0]:
            self._hottest = target, self.thermal * self.began.clamp_min(target)
        kinetic = per_structure(systems, systems.velocities.square().sum(1) * self.weights)
        if not bool((kinetic + evaluated.energy * 0.0 <= self._hottest[1]).all()):
            return False
        if self.limits.force and not float(evaluated.forces.abs().max()) * math.sqrt(3.0) < self.limits.force:
            return False
        return self.near.far(systems)

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
        asked = alive.clone()
        asked[list(found)] = False  # no pairs can be searched in what has lost its numbers or its cell
        for k, (i, j, distance) in self.near.nearer(systems, asked).items():
            mine = torch.nonzero(systems.structure_index == k).flatten()
            pair = f"{self._name(systems, mine, i)} and {self._name(systems, mine, j)}"
            said = f"{pair} are {distance:.2f} Å apart"
            if distance >= NEAREST:
                said += f", less than {self.limits.closest:g} of their covalent radii together"
            found[k] = StopReason("overlap", said)

    def _name(self, systems: Systems, mine: Tensor, atom: int) -> str:
        return f"{chemical_symbols[int(systems.atomic_numbers[mine[atom]])]} {atom}"


def _shape(systems: Systems) -> Tensor:
    """|det cell| over the product of its lengths, (S,); 1 for a box with right angles."""
    lengths = systems.cell.square().sum(2).sqrt().prod(1)
    return volume(systems) / lengths.clamp_min(1e-300)
