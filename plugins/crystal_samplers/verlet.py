"""``nve``: velocity Verlet."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from crystal_samplers.motion import drifted, inverse_mass, kicked
from crystalcli.contracts.dynamics import Evaluated, Force, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.nouns.systems import Systems, kinetic_energy


class VelocityVerlet:
    """Swope et al., J. Chem. Phys. 76, 637 (1982): symplectic, reversible, energy kept to O(dt²)."""

    needs_stress = False
    noisy = False

    def init(self, systems: Systems, temperature: Tensor, generator: StructureNoise) -> State:  # noqa: ARG002
        """Nothing to remember but the masses."""
        return {"inverse_mass": inverse_mass(systems)}

    def step(
        self,
        systems: Systems,
        evaluated: Evaluated,
        state: State,
        force: Force,
        *,
        dt: float,
        temperature: Tensor,  # noqa: ARG002
        generator: StructureNoise,  # noqa: ARG002
    ) -> tuple[Systems, Evaluated, State]:
        """Half a kick, a drift, half a kick."""
        systems, evaluated = verlet(systems, evaluated, state, force, dt, systems.velocities)
        return systems, evaluated, state

    def conserved(self, systems: Systems, evaluated: Evaluated, state: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        """E_pot + E_kin."""
        return evaluated.energy + kinetic_energy(systems)


def verlet(
    systems: Systems, evaluated: Evaluated, state: State, force: Force, dt: float, velocities: Tensor
) -> tuple[Systems, Evaluated]:
    """One step of velocity Verlet that starts with ``velocities``."""
    half = kicked(velocities, evaluated.forces, state, 0.5 * dt)
    moved = systems.moved(positions=drifted(systems.positions, half, dt), velocities=half)
    found = force(moved)
    return moved.moved(velocities=kicked(half, found.forces, state, 0.5 * dt)), found
