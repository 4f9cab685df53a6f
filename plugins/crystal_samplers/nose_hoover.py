"""``nvt``: Nosé–Hoover chain around velocity Verlet."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from crystal_samplers.chain import Chain
from crystal_samplers.motion import inverse_mass, of_atoms
from crystal_samplers.options import NoseHooverOptions
from crystal_samplers.verlet import verlet
from crystalcli.contracts.dynamics import Evaluated, Force, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.nouns.systems import Systems, degrees_of_freedom, kinetic_energy


class NoseHoover:
    """Martyna, Tuckerman, Tobias, Klein, Mol. Phys. 87, 1117 (1996): reversible, canonical where ergodic."""

    needs_stress = False
    noisy = False

    def __init__(self, options: NoseHooverOptions) -> None:
        self.chain = Chain("chain", options.damping, options)

    def init(self, systems: Systems, temperature: Tensor, generator: StructureNoise) -> State:  # noqa: ARG002
        """A chain at rest for every structure."""
        degrees = degrees_of_freedom(systems)
        return {"inverse_mass": inverse_mass(systems), "degrees": degrees, **self.chain.start(degrees, temperature)}

    def step(
        self,
        systems: Systems,
        evaluated: Evaluated,
        state: State,
        force: Force,
        *,
        dt: float,
        temperature: Tensor,
        generator: StructureNoise,  # noqa: ARG002
    ) -> tuple[Systems, Evaluated, State]:
        """Half a step of the chain, a step of Verlet, half a step of the chain."""
        velocities, state = self._chain(systems, state, temperature, dt)
        systems, evaluated = verlet(systems, evaluated, state, force, dt, velocities)
        velocities, state = self._chain(systems, state, temperature, dt)
        return systems.moved(velocities=velocities), evaluated, state

    def _chain(self, systems: Systems, state: State, temperature: Tensor, dt: float) -> tuple[Tensor, State]:
        twice = 2.0 * kinetic_energy(systems)
        factor, state = self.chain.half_step(state, twice, state["degrees"], temperature, dt)
        return systems.velocities * of_atoms(systems, factor).unsqueeze(1), state

    def conserved(self, systems: Systems, evaluated: Evaluated, state: Mapping[str, Tensor]) -> Tensor:
        """E_pot + E_kin + energy of the chain."""
        return evaluated.energy + kinetic_energy(systems) + self.chain.energy(state)
