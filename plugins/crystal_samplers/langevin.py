"""``langevin``: BAOAB."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from crystal_samplers.motion import drifted, inverse_mass, kicked, of_atoms, thermal
from crystal_samplers.options import LangevinOptions
from crystalcli.contracts.dynamics import Evaluated, Force, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.nouns.systems import Systems, kinetic_energy, per_structure


class Langevin:
    """Leimkuhler & Matthews, Appl. Math. Res. Express 2013, 34: kick, drift, friction and noise, drift, kick.

    The centre of mass of a structure without fixed atoms is kept at rest: noise and friction act on the 3N − 3 other
    directions only, which leaves their distribution canonical.
    """

    needs_stress = False

    def __init__(self, options: LangevinOptions) -> None:
        self.options = options

    def init(self, systems: Systems, temperature: Tensor, generator: StructureNoise) -> State:  # noqa: ARG002
        """No heat taken yet."""
        held = per_structure(systems, systems.fixed.double()) > 0
        total = per_structure(systems, systems.masses)
        share = torch.where(held, torch.zeros_like(total), 1.0 / total)
        return {
            "inverse_mass": inverse_mass(systems),
            "share": of_atoms(systems, share).unsqueeze(1),
            "heat": torch.zeros_like(total),
        }

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
        """One step of BAOAB."""
        half = kicked(systems.velocities, evaluated.forces, state, 0.5 * dt)
        middle = systems.moved(positions=drifted(systems.positions, half, 0.5 * dt), velocities=half)
        shaken = self._shaken(middle, state, temperature, dt, generator)
        heat = state["heat"] + kinetic_energy(middle) - kinetic_energy(shaken)
        moved = shaken.moved(positions=drifted(shaken.positions, shaken.velocities, 0.5 * dt))
        found = force(moved)
        done = moved.moved(velocities=kicked(moved.velocities, found.forces, state, 0.5 * dt))
        return done, found, {**state, "heat": heat}

    def _shaken(
        self, systems: Systems, state: State, temperature: Tensor, dt: float, generator: StructureNoise
    ) -> Systems:
        """The exact Ornstein–Uhlenbeck process of the velocities over ``dt``."""
        kept = math.exp(-self.options.friction * dt)
        width = thermal(of_atoms(systems, temperature)).unsqueeze(1) * state["inverse_mass"]
        v = systems.velocities
        v = v * kept + generator.normal() * (width * (1.0 - kept**2)).sqrt()
        momentum = per_structure(systems, v * systems.masses.unsqueeze(1))
        return systems.moved(velocities=v - of_atoms(systems, momentum) * state["share"])

    def conserved(self, systems: Systems, evaluated: Evaluated, state: Mapping[str, Tensor]) -> Tensor:
        """E_pot + E_kin + heat given to the bath (Bussi & Parrinello, Phys. Rev. E 75, 056707 (2007), eq. 19)."""
        return evaluated.energy + kinetic_energy(systems) + state["heat"]
