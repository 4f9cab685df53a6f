"""``npt``: the barostat of Martyna, Tobias and Klein with Nosé–Hoover chains on atoms and cell."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from crystal_samplers.chain import Chain
from crystal_samplers.motion import COLDEST, inverse_mass, of_atoms, thermal
from crystal_samplers.options import PressureOptions
from crystalcli.contracts.dynamics import Evaluated, Force, State
from crystalcli.contracts.noise import StructureNoise
from crystalcli.nouns.systems import Systems, degrees_of_freedom, kinetic_energy, per_structure, volume
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.units import ACCELERATION, GPA

FREEDOMS = {"isotropic": 1, "axes": 3, "full": 6}


class ConstantPressure:
    """Martyna, Tobias, Klein, JCP 101, 4177 (1994), integrated as Tuckerman et al., J. Phys. A 39, 5629 (2006).

    The cell's rate of strain g is a symmetric matrix, so that the cell does not turn; ``isotropic`` keeps its trace
    only, ``axes`` its diagonal. W = (f + 3) k_B T τ² is the mass of each of its elements, with the first T: with a mass
    that does not change the period of the cell depends on its stiffness, and not on the temperature.
    """

    needs_stress = True
    noisy = False

    def __init__(self, options: PressureOptions) -> None:
        self.options = options
        self.pressure = options.pressure * GPA
        self.chain = Chain("chain", options.damping, options)
        self.cell_chain = Chain("cell_chain", options.cell_damping, options)

    def init(self, systems: Systems, temperature: Tensor, generator: StructureNoise) -> State:  # noqa: ARG002
        """Cell and chains at rest.

        Raises:
            UsageError: fixed atoms, or a structure that is not periodic in all directions.
        """
        if bool(systems.fixed.any()):
            raise UsageError("npt moves all atoms with the cell and cannot keep some fixed; use nvt, or free them")
        if not bool(systems.pbc.all()):
            raise UsageError("npt needs structures that are periodic in all three directions")
        degrees = degrees_of_freedom(systems)
        freedoms = torch.full_like(degrees, FREEDOMS[self.options.mode])
        return {
            "inverse_mass": inverse_mass(systems),
            "degrees": degrees,
            "cell_degrees": freedoms,
            "cell_mass": (degrees + 3.0) * thermal(temperature.clamp_min(COLDEST)) * self.options.cell_damping**2,
            "strain_rate": torch.zeros_like(systems.cell),
            **self.chain.start(degrees, temperature),
            **self.cell_chain.start(freedoms, temperature),
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
        generator: StructureNoise,  # noqa: ARG002
    ) -> tuple[Systems, Evaluated, State]:
        """Chains, strain rate, velocities, positions and cell, and back: reversible."""
        systems, state = self._chains(systems, state, temperature, dt)
        state = self._push(systems, evaluated, state, dt)
        systems = self._kick(systems, evaluated, state, dt)
        systems = self._drift(systems, state, dt)
        evaluated = force(systems)
        systems = self._kick(systems, evaluated, state, dt)
        state = self._push(systems, evaluated, state, dt)
        systems, state = self._chains(systems, state, temperature, dt)
        return systems, evaluated, state

    def _chains(self, systems: Systems, state: State, temperature: Tensor, dt: float) -> tuple[Systems, State]:
        twice = 2.0 * kinetic_energy(systems)
        factor, state = self.chain.half_step(state, twice, state["degrees"], temperature, dt)
        rate = state["strain_rate"]
        twice = state["cell_mass"] * rate.square().sum((1, 2))
        slow, state = self.cell_chain.half_step(state, twice, state["cell_degrees"], temperature, dt)
        systems = systems.moved(velocities=systems.velocities * of_atoms(systems, factor).unsqueeze(1))
        return systems, {**state, "strain_rate": rate * slow[:, None, None]}

    def _push(self, systems: Systems, evaluated: Evaluated, state: State, dt: float) -> State:
        """Half a step of W dg/dt = V (P_int − P) + (2 E_kin / f) 1, with P_int = Σ m v v / V − stress."""
        assert evaluated.stress is not None  # the host gives it: needs_stress
        v, one = systems.velocities, torch.eye(3, dtype=torch.float64, device=systems.cell.device)
        moved = systems.masses[:, None, None] / ACCELERATION * (v.unsqueeze(2) * v.unsqueeze(1))
        kinetic = per_structure(systems, moved)
        trace = kinetic.diagonal(dim1=1, dim2=2).sum(1)
        size = volume(systems)[:, None, None]
        drive = kinetic - size * (evaluated.stress + self.pressure * one)
        drive = self._allowed(drive + (trace / state["degrees"])[:, None, None] * one)
        rate = state["strain_rate"] + drive / state["cell_mass"][:, None, None] * (0.5 * dt)
        return {**state, "strain_rate": rate}

    def _allowed(self, matrix: Tensor) -> Tensor:
        if self.options.mode == "full":
            return 0.5 * (matrix + matrix.transpose(1, 2))
        diagonal = matrix.diagonal(dim1=1, dim2=2)
        if self.options.mode == "isotropic":
            diagonal = diagonal.mean(1, keepdim=True).expand(-1, 3)
        return torch.diag_embed(diagonal)

    def _kick(self, systems: Systems, evaluated: Evaluated, state: State, dt: float) -> Systems:
        """Half a step of dv/dt = F/m − (g + (tr g / f) 1) v, exactly, in the axes of g."""
        values, axes = _principal(state["strain_rate"])
        drag = values + (values.sum(1) / state["degrees"]).unsqueeze(1)
        half = 0.5 * dt
        grow, pull = torch.exp(-half * drag), half * torch.exp(-0.5 * half * drag) * _sinhc(0.5 * half * drag)
        push = evaluated.forces * state["inverse_mass"]
        v = _applied(systems, axes, grow, systems.velocities) + _applied(systems, axes, pull, push)
        return systems.moved(velocities=v)

    def _drift(self, systems: Systems, state: State, dt: float) -> Systems:
        """A step of dr/dt = v + g r and of the cell, dh/dt = h g."""
        values, axes = _principal(state["strain_rate"])
        grow, pull = torch.exp(dt * values), dt * torch.exp(0.5 * dt * values) * _sinhc(0.5 * dt * values)
        r = _applied(systems, axes, grow, systems.positions) + _applied(systems, axes, pull, systems.velocities)
        stretch = (axes * grow.unsqueeze(1)) @ axes.transpose(1, 2)
        return systems.moved(positions=r, cell=systems.cell @ stretch)

    def conserved(self, systems: Systems, evaluated: Evaluated, state: Mapping[str, Tensor]) -> Tensor:
        """E_pot + E_kin + P V + ½ W tr g² + energy of both chains."""
        cell = 0.5 * state["cell_mass"] * state["strain_rate"].square().sum((1, 2)) + self.pressure * volume(systems)
        chains = self.chain.energy(state) + self.cell_chain.energy(state)
        return evaluated.energy + kinetic_energy(systems) + cell + chains


def _principal(rate: Tensor) -> tuple[Tensor, Tensor]:
    """Principal values (S, 3) and axes (S, 3, 3); a rate that is not finite gives NaN to its own structure only."""
    lost = ~torch.isfinite(rate).flatten(1).all(1)
    # only V f(S) Vᵀ is made of it: the same whatever axes equal values have
    values, axes = torch.linalg.eigh(rate.masked_fill(lost[:, None, None], 0.0))
    return values.masked_fill(lost.unsqueeze(1), torch.nan), axes


def _applied(systems: Systems, axes: Tensor, values: Tensor, vectors: Tensor) -> Tensor:
    """The matrix with ``axes`` and ``values`` of each structure times the (N, 3) ``vectors`` of its atoms."""
    matrix = (axes * values.unsqueeze(1)) @ axes.transpose(1, 2)
    return (of_atoms(systems, matrix) @ vectors.unsqueeze(2)).squeeze(2)


def _sinhc(x: Tensor) -> Tensor:
    """The series of sinh x / x: |x| is dt times a strain rate, far below 0.1."""
    y = x.square()
    return 1.0 + y / 6.0 * (1.0 + y / 20.0 * (1.0 + y / 42.0))
