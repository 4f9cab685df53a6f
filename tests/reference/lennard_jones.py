"""The Lennard-Jones fluid, truncated, of many boxes of one size side by side; every pair once, its nearest image."""

from __future__ import annotations

from typing import Any

import ase
import ase.build
import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.systems import Systems

EPSILON, SIGMA, MASS = 0.0103, 3.4, 39.948
"""eV, Å, amu: argon."""
REACH = 2.5
"""In σ: pairs that are farther do nothing; half a box at least."""


class LennardJones:
    """4ε((σ/r)¹² − (σ/r)⁶) up to the reach, in cubic boxes that may breathe."""

    name = "fluid"
    provides = frozenset({"energy", "forces", "stress"})
    device = torch.device("cpu")

    def __init__(self, atoms: int) -> None:
        self.first, self.second = torch.triu_indices(atoms, atoms, 1)
        self.atoms = atoms

    def evaluate(self, systems: Systems, **_more: Any) -> Evaluated:
        """Energy, forces and stress by minimum images."""
        n = self.atoms
        x = systems.positions.reshape(-1, n, 3)
        length = systems.cell.diagonal(dim1=1, dim2=2)[:, None, :]
        assert float(length.min()) > 2 * REACH * SIGMA
        d = x[:, self.second] - x[:, self.first]
        d = d - length * torch.round(d / length)
        square = d.square().sum(2)
        near = square < (REACH * SIGMA) ** 2
        sixth = torch.where(near, SIGMA**6 / square**3, torch.zeros_like(square))
        energy = 4 * EPSILON * (sixth * sixth - sixth)
        push = (24 * EPSILON * (2 * sixth * sixth - sixth) / square)[:, :, None] * d  # on the second
        forces = torch.zeros_like(x)
        forces.index_add_(1, self.second, push)
        forces.index_add_(1, self.first, -push)
        virial = torch.einsum("spa,spb->sab", push, d)
        volume = length[:, 0].prod(1)
        return Evaluated(energy.sum(1), forces.reshape(-1, 3), -virial / volume[:, None, None])


def tail(density: float) -> float:
    """Reduced pressure of the pairs beyond the reach, where g(r) = 1: 16π/3 ρ² (2/3 r⁻⁹ − r⁻³)."""
    return 16 * np.pi / 3 * density**2 * (2 / 3 * REACH**-9 - REACH**-3)


def tail_energy(density: float) -> float:
    """Reduced energy of an atom with the pairs beyond the reach: 8π/3 ρ (r⁻⁹/3 − r⁻³)."""
    return 8 * np.pi / 3 * density * (REACH**-9 / 3 - REACH**-3)


def boxes(copies: int, cells: int, density: float) -> list[ase.Atoms]:
    """Argon on a simple cubic lattice, which melts at once."""
    edge = SIGMA / density ** (1 / 3)
    one = ase.build.bulk("Ar", "sc", a=edge).repeat(cells)
    made = []
    for k in range(copies):
        atoms = one.copy()
        atoms.rattle(0.1, seed=k)
        made.append(atoms)
    return made


def reduced_pressure(evaluated: Evaluated, kinetic: Tensor, volume: Tensor) -> Tensor:
    """Of the truncated fluid, in ε/σ³."""
    assert evaluated.stress is not None
    own = (2 * kinetic / volume - evaluated.stress.diagonal(dim1=1, dim2=2).sum(1)) / 3
    return own * SIGMA**3 / EPSILON
