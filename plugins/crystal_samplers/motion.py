"""What the samplers share: Newton's second law with fixed atoms, targets in energy units."""

from __future__ import annotations

import torch
from torch import Tensor

from crystalcli.contracts.dynamics import State
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.units import ACCELERATION, KB

COLDEST = 10.0
"""K. A thermostat's mass is that for this temperature if the run starts colder: none may be zero."""


def inverse_mass(systems: Systems) -> Tensor:
    """Acceleration per force, (N, 1) Å/fs² per eV/Å; zero for fixed atoms."""
    return (ACCELERATION / systems.masses * (~systems.fixed)).unsqueeze(1)


def kicked(velocities: Tensor, forces: Tensor, state: State, time: float) -> Tensor:
    """Velocities after ``forces`` have acted for ``time`` fs."""
    return torch.addcmul(velocities, forces, state["inverse_mass"], value=time)


def drifted(positions: Tensor, velocities: Tensor, time: float) -> Tensor:
    """Positions after ``time`` fs at constant velocity."""
    return torch.add(positions, velocities, alpha=time)


def thermal(temperature: Tensor) -> Tensor:
    """k_B T, (S,) eV."""
    return KB * temperature


def of_atoms(systems: Systems, values: Tensor) -> Tensor:
    """(S, …) values of structures → (N, …) of their atoms."""
    return values.index_select(0, systems.structure_index)
