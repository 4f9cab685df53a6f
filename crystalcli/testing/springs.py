"""A potential for tests: bonds between nearest neighbors are springs. Batched, exact, fast, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.neighbors import neighbor_list, pairs_within
from crystalcli.nouns.systems import Systems, volume


class Springs:
    """E = Σ ½ k (d − d₀)² over the bonds that the structures have when this is made.

    Args:
        structures: at rest; the batch evaluated must hold the same atoms in the same order.
        stiffness: k, eV/Å².
        factor: bonds are pairs nearer than this times the shortest distance of the structure.
    """

    name = "springs"
    provides = frozenset({"energy", "forces", "stress"})
    device = torch.device("cpu")

    def __init__(self, structures: Sequence[ase.Atoms], stiffness: float = 4.0, factor: float = 1.2) -> None:
        self.stiffness = stiffness
        centres, neighbors, shifts, lengths, owners, first = [], [], [], [], [], 0
        for k, atoms in enumerate(structures):
            shortest = pairs_within(atoms, 6.0)[2].min()
            (i, j), shift, d = neighbor_list(atoms, factor * shortest)
            centres.append(i + first)
            neighbors.append(j + first)
            shifts.append(shift)
            lengths.append(d)
            owners.append(np.full(len(i), k))
            first += len(atoms)
        self.centre, self.neighbor = (
            torch.as_tensor(np.concatenate(centres)),
            torch.as_tensor(np.concatenate(neighbors)),
        )
        self.shift = torch.as_tensor(np.concatenate(shifts), dtype=torch.float64)
        self.length = torch.as_tensor(np.concatenate(lengths))
        self.owner = torch.as_tensor(np.concatenate(owners))
        self.calls = 0

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        """Energy, forces and, if asked, stress."""
        self.calls += 1
        x, owner = systems.positions, self.owner
        d = x.index_select(0, self.neighbor) - x.index_select(0, self.centre)
        d = d + (self.shift.unsqueeze(1) @ systems.cell.index_select(0, owner)).squeeze(1)
        r = d.norm(dim=1)
        stretch = r - self.length
        energy = self._summed(systems, 0.25 * self.stiffness * stretch.square())  # every bond is there twice
        pull = (self.stiffness * stretch / r).unsqueeze(1) * d
        forces = torch.zeros_like(x).index_add(0, self.centre, pull)
        if not stress:
            return Evaluated(energy, forces)
        virial = self._summed(systems, 0.5 * pull.unsqueeze(2) * d.unsqueeze(1))
        return Evaluated(energy, forces, virial / volume(systems)[:, None, None])

    def _summed(self, systems: Systems, values: Tensor) -> Tensor:
        return values.new_zeros(systems.n_structures, *values.shape[1:]).index_add(0, self.owner, values)
