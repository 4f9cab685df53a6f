"""Newton's dynamics with sudden collisions with a heat bath."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from crystal_downhill import AndersenOptions
from crystalcli.contracts.dynamics import Evaluated, Force, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.nouns.systems import Systems, kinetic_energy, per_structure
from crystalcli.vocabulary.units import ACCELERATION, KB


class Andersen:
    """Velocity Verlet; after a step each atom gets a new velocity with probability ``1 − exp(−rate·dt)``.

    Where no atom is fixed, the centre of mass stays at rest, and the other 3N − 3 velocities are canonical: before the
    collisions the structure gets a random velocity as a whole, afterwards what it has is taken away.
    """

    needs_stress = False

    def __init__(self, options: AndersenOptions) -> None:
        self.options = options

    def init(self, systems: Systems, temperature: Tensor, generator: StructureNoise) -> State:  # noqa: ARG002
        """No heat taken yet."""
        return {"heat": torch.zeros_like(temperature)}

    def step(
        self,
        systems: Systems,
        evaluated: Evaluated,
        state: State,
        force: Force,
        *,
        dt: float,
        temperature: Tensor,
        generator: StructureNoise,
    ) -> tuple[Systems, Evaluated, State]:
        """One step of velocity Verlet, then the collisions."""
        pull = 0.5 * dt * ACCELERATION * (~systems.fixed).double() / systems.masses
        velocities = systems.velocities + pull.unsqueeze(1) * evaluated.forces
        moved = systems.moved(positions=systems.positions + dt * velocities)
        found = force(moved)
        moved = moved.moved(velocities=velocities + pull.unsqueeze(1) * found.forces)
        hit = self._collided(moved, temperature, dt, generator)
        heat = state["heat"] + kinetic_energy(moved) - kinetic_energy(hit)
        return hit, found, {"heat": heat}

    def conserved(self, systems: Systems, evaluated: Evaluated, state: Mapping[str, Tensor]) -> Tensor:
        """E_pot + E_kin + heat given to the bath, (S,) eV."""
        return evaluated.energy + kinetic_energy(systems) + state["heat"]

    def _collided(self, systems: Systems, temperature: Tensor, dt: float, generator: StructureNoise) -> Systems:
        v, index = systems.velocities, systems.structure_index

        def width(masses: Tensor, kelvin: Tensor) -> Tensor:
            return (KB * ACCELERATION * kelvin / masses).sqrt().unsqueeze(1)

        total = per_structure(systems, systems.masses)
        free = (per_structure(systems, systems.fixed.double()) == 0).unsqueeze(1)
        whole = width(total, temperature) * generator.normal_of_structures()
        whole = torch.where(free, whole, 0.0).index_select(0, index)
        new = width(systems.masses, temperature.index_select(0, index)) * generator.normal()
        chance = generator.uniform()
        hit = (chance < -torch.expm1(torch.tensor(-self.options.rate * dt))) & ~systems.fixed
        v = torch.where(hit.unsqueeze(1), new, v + whole)
        drift = per_structure(systems, systems.masses.unsqueeze(1) * v) / total.unsqueeze(1)
        return systems.moved(velocities=v - torch.where(free, drift, 0.0).index_select(0, index))
