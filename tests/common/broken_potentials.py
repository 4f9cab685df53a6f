"""A sound potential of pairs, and potentials each of which is broken in one way."""

# ruff: noqa: ARG002

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.graph import collate, edge_vectors, sum_per_structure
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.systems import Systems

CUTOFF, DEEP, STIFF, BOND = 5.2, 0.35, 1.4, 2.6


def envelope(r: Tensor) -> Tensor:
    """1 below 3.5 Å, 0 from the cutoff on, two derivatives without jumps."""
    x = ((r - 3.5) / (CUTOFF - 3.5)).clamp(0, 1)
    return 1 - x**3 * (10 - 15 * x + 6 * x * x)


def morse(r: Tensor) -> Tensor:
    """Morse and the repulsion of cores, eV."""
    e = torch.exp(-STIFF * (r - BOND))
    return DEEP * (e * e - 2 * e) + 400.0 * torch.exp(-r / 0.3)


class Pairs:
    """Sum over pairs, differentiated by torch; every method may be broken by another class."""

    name, elements = "pairs", frozenset({29, 79})
    provides = frozenset({"energy", "forces", "stress"})
    device, dtype = torch.device("cpu"), torch.float64

    def __init__(self) -> None:
        self.calls = 0

    def pair(self, r: Tensor, d: Tensor) -> Tensor:
        return morse(r) * envelope(r)

    def more(self, positions: Tensor, index: Tensor, i: Tensor, d: Tensor, r: Tensor) -> Tensor:
        return positions.new_zeros(len(positions))

    def told(self, energy: Tensor, forces: Tensor, stress: Tensor, systems: Systems) -> tuple[Tensor, Tensor, Tensor]:
        return energy, forces, stress

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        self.calls += 1
        graph = collate([build_graph(a, cutoff=CUTOFF) for a in systems.to_atoms()], self.dtype)
        strain = torch.zeros(graph.n_structures, 3, 3, dtype=self.dtype, requires_grad=True)
        (i, j), s = graph.edge_index, graph.structure_index
        positions = graph.positions.clone().requires_grad_()
        own = torch.bmm(positions[:, None], strain[s])[:, 0] + positions
        fixed = edge_vectors(graph) - (graph.positions[j] - graph.positions[i])
        cells = torch.bmm(fixed[:, None], strain[s[i]])[:, 0] + fixed
        d = own[j] - own[i] + cells
        r = d.norm(dim=1)
        energies = torch.zeros(len(positions), dtype=self.dtype).index_add(0, i, 0.5 * self.pair(r, d))
        energies = energies + self.more(own, s, i, d, r)
        energy = sum_per_structure(graph, energies[:, None])[:, 0]
        slope, by_strain = torch.autograd.grad(energy.sum(), [positions, strain])
        volume = torch.linalg.det(graph.cell).abs().clamp_min(1e-9)[:, None, None]
        sigma = 0.5 * (by_strain + by_strain.transpose(1, 2)) / volume
        e, f, sigma = self.told(energy.detach().double(), -slope.double(), sigma.double(), systems)
        return Evaluated(e, f, sigma if stress else None)


class Single(Pairs):
    """Sound, but in single precision."""

    dtype = torch.float32


class NoStress(Pairs):
    provides = frozenset({"energy", "forces"})


class WrongStress(Pairs):
    def told(self, energy, forces, stress, systems):
        return energy, forces, 1.02 * stress


class NotTheDerivative(Pairs):
    """Forces as of a network of their own: turned with the crystal, but with a curl."""

    def told(self, energy, forces, stress, systems):
        return energy, forces * (1 + 0.05 * torch.tanh(forces.norm(dim=1, keepdim=True))), stress


class Swirling(Pairs):
    """Forces that drive atoms round an axis."""

    def told(self, energy, forces, stress, systems):
        x, y, z = forces.unbind(1)
        return energy, torch.stack([x - 0.1 * y, y + 0.1 * x, z], dim=1), stress


class Jump(Pairs):
    """Ends at the cutoff with 1e-4 eV left."""

    def pair(self, r, d):
        return super().pair(r, d) - 1e-4


class Kink(Pairs):
    """Energy without, forces with a jump of 1e-3 eV/Å at 4.6 Å."""

    def pair(self, r, d):
        return super().pair(r, d) + 5e-4 * (4.6 - r).clamp_min(0)


class Hole(Pairs):
    def pair(self, r, d):
        return super().pair(r, d) - 400.0 * torch.exp(-((r / 0.6) ** 2))


class ShallowHole(Pairs):
    """Rises until 1.4 Å, falls by half an eV, and rises again."""

    def pair(self, r, d):
        return super().pair(r, d) - 8.0 * torch.exp(-(((r - 1.25) / 0.08) ** 2))


class NoNumber(Pairs):
    def told(self, energy, forces, stress, systems):
        close = torch.tensor([len(a) == 2 and a.get_distance(0, 1, mic=True) < 1.5 for a in systems.to_atoms()])
        return torch.where(close, torch.nan, energy), forces, stress


class Anisotropic(Pairs):
    def pair(self, r, d):
        return super().pair(r, d) * (1 + 1e-4 * d[:, 2] ** 2 / r**2)


class Handed(Pairs):
    """Knows left from right, and nothing else that it should not."""

    def more(self, positions, index, i, d, r):
        def vector(power: int) -> Tensor:
            w = envelope(r) / r**power
            return torch.zeros_like(positions).index_add(0, i, w[:, None] * d)

        one, two, three = vector(1), vector(3), vector(6)
        return 1e-2 * (one * torch.linalg.cross(two, three)).sum(1)


class Ordered(Pairs):
    def more(self, positions, index, i, d, r):
        first = torch.searchsorted(index, index)
        place = (torch.arange(len(positions)) - first).to(r)
        return 1e-5 * place * torch.zeros_like(place).index_add(0, i, envelope(r))


class Placed(Pairs):
    def more(self, positions, index, i, d, r):
        return 1e-5 * torch.sin(positions[:, 0])


class Imaged(Pairs):
    """Depends on which images of its atoms a crystal is given by."""

    def told(self, energy, forces, stress, systems):
        inverse = torch.linalg.pinv(systems.cell)[systems.structure_index]
        images = torch.floor(torch.bmm(systems.positions[:, None], inverse)[:, 0]).abs().sum(1)
        return energy + 1e-5 * torch.zeros_like(energy).index_add(0, systems.structure_index, images), forces, stress


class SkewStress(Pairs):
    """Off below its diagonal only."""

    def told(self, energy, forces, stress, systems):
        off = torch.zeros_like(stress)
        off[:, 2, 1] = 1e-3
        return energy, forces, stress + off


class FarKink(Pairs):
    """Forces with a jump of 4e-5 eV/Å at 4.9 Å, small beside what is smooth in the core."""

    def pair(self, r, d):
        return super().pair(r, d) + 2e-5 * (4.9 - r).clamp_min(0)


class NotExtensive(Pairs):
    def told(self, energy, forces, stress, systems):
        return energy + 1e-5 * systems.atom_counts**2, forces, stress


class Boxed(Pairs):
    """Depends on the lattice vectors, not on the lattice."""

    def told(self, energy, forces, stress, systems):
        return energy + 1e-6 * systems.cell.norm(dim=2).sum(1), forces, stress


class Forgetful(Pairs):
    """Another answer every time, slowly enough for no noise."""

    def told(self, energy, forces, stress, systems):
        return energy + 1e-4 * self.calls, forces, stress


class Noisy(Pairs):
    def told(self, energy, forces, stress, systems):
        chance = np.random.default_rng(self.calls)
        return energy + torch.as_tensor(chance.normal(0, 1e-3, len(energy))), forces, stress


BROKEN: dict[Callable[[], Pairs], set[str]] = {
    WrongStress: {"stress"},
    NotTheDerivative: {"forces"},
    Swirling: {"forces", "drift"},
    Jump: {"smooth", "pair-smooth"},
    Kink: {"smooth", "pair-smooth"},
    Hole: {"core"},
    ShallowHole: {"core"},
    NoNumber: {"core"},
    Anisotropic: {"rotation"},
    Handed: {"mirror"},
    Ordered: {"permutation"},
    Placed: {"translation"},
    Imaged: {"translation"},
    SkewStress: {"stress"},
    FarKink: {"pair-smooth"},
    NotExtensive: {"supercell"},
    Boxed: {"cell"},
    Forgetful: {"repeat"},
    Noisy: {"noise"},
}
"""Checks that must fail."""
