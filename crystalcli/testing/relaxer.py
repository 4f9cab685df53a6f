"""What every relaxer must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Relaxer
from crystalcli.testing.compare import same

Field = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Rows (M, 3) → energies (S,), forces (M, 3)."""

LJ_13 = -44.326801
"""Energy of the icosahedron of 13 Lennard-Jones atoms, in units of the well (J. A. Northby, J. Chem. Phys. 87, 6166
(1987))."""


class RelaxerContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    Args:
        steps: within so many steps the small problems here must be solved.
    """

    part: ClassVar[Relaxer]
    options: ClassVar[Mapping[str, Any]] = {}
    steps: ClassVar[int] = 500

    def build(self) -> Any:
        """A fresh module."""
        options: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        return self.part.build(options)

    def run(self, x: Tensor, index: Tensor, field: Field, steps: int, fmax: float = 0.0) -> Tensor:
        """Rows after ``steps`` steps, or as soon as no force is above ``fmax``; a structure that is done rests."""
        n = int(index[-1]) + 1
        module = self.build()
        state = module.init(x, index, n)
        for _ in range(steps):
            energy, forces = field(x)
            active = largest(forces, index, n) > fmax
            if not active.any():
                break
            x, state = module.step(state, x, energy, forces, active)
        return x

    def test_quadratic(self) -> None:
        """Quadratic wells of unlike stiffness are walked down to the bottom."""
        x, index = rows((4, 7, 1), seed=1)
        bottom = x + 0.3 * noise(x, 2)
        found = self.run(x, index, quadratic(bottom, index), self.steps, fmax=1e-3)
        _, forces = quadratic(bottom, index)(found)
        worst = float(forces.norm(dim=1).max())
        assert worst <= 1e-3, f"after {self.steps} steps a force is still {worst:.2g} eV/Å"
        same(found, bottom, "bottom of a quadratic well", 1e-3)

    def test_lennard_jones_cluster(self) -> None:
        """A shaken icosahedron of 13 atoms finds back, and a pair its distance."""
        x, index = icosahedron_and_pair()
        found = self.run(x, index, lennard_jones(index), self.steps, fmax=1e-3)
        energy, forces = lennard_jones(index)(found)
        worst = float(forces.norm(dim=1).max())
        assert worst <= 1e-3, f"after {self.steps} steps a force is still {worst:.2g} eV/Å"
        same(energy, torch.tensor([LJ_13, -1.0]), "energies of Lennard-Jones clusters", 1e-5)

    def test_batch(self) -> None:
        """A batch of k is k batches of one."""
        x, index = rows((4, 7, 1), seed=3)
        bottom = x + 0.3 * noise(x, 4)
        together = self.run(x, index, quadratic(bottom, index), 30)
        for k in range(3):
            mine = index == k
            field = quadratic(bottom[mine], torch.zeros_like(index[mine]), first=k)
            alone = self.run(x[mine], torch.zeros_like(index[mine]), field, 30)
            same(together[mine], alone, f"structure {k} in a batch and alone")

    def test_inactive_structures_rest(self) -> None:
        """Rows of structures that are done come back bit by bit, and do not change the others."""
        x, index = rows((3, 4), seed=5)
        field = quadratic(x + 0.3 * noise(x, 6), index)
        one, both = self.build(), self.build()
        states = [one.init(x, index, 2), both.init(x, index, 2)]
        here, there = x.clone(), x.clone()
        for _ in range(25):
            here, states[0] = one.step(states[0], here, *field(here), torch.tensor([True, False]))
            there, states[1] = both.step(states[1], there, *field(there), torch.tensor([True, True]))
        assert torch.equal(here[index == 1], x[index == 1]), "rows of a structure that is not active have moved"
        same(here[index == 0], there[index == 0], "the others of a structure that rests")

    def test_fixed_rows_rest(self) -> None:
        """Rows that feel no force come back bit by bit."""
        x, index = rows((5, 6), seed=7)
        fixed = torch.zeros(len(x), dtype=torch.bool)
        fixed[[1, 6, 7]] = True
        inner = quadratic(x + 0.3 * noise(x, 8), index)

        def field(at: Tensor) -> tuple[Tensor, Tensor]:
            energy, forces = inner(at)
            return energy, torch.where(fixed.unsqueeze(1), 0.0, forces)

        found = self.run(x, index, field, 40)
        assert torch.equal(found[fixed], x[fixed]), "rows without a force have moved"
        assert (found != x)[~fixed].any(), "nothing has moved"

    def test_repeats(self) -> None:
        """Twice the same is the same bit by bit, and what was handed over is not changed."""
        x, index = rows((4, 3), seed=9)
        before, field = x.clone(), quadratic(x + 0.3 * noise(x, 10), index)
        first, second = self.run(x, index, field, 30), self.run(x, index, field, 30)
        assert torch.equal(first, second), "two runs from one start differ"
        assert torch.equal(x, before), "the rows that were handed over have been changed in place"


def rows(sizes: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Random rows of structures of ``sizes`` and the structure of each."""
    x = 3.0 * torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x, torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


def noise(like: Tensor, seed: int) -> Tensor:
    """Normal numbers in the shape of ``like``."""
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def largest(forces: Tensor, index: Tensor, n: int) -> Tensor:
    """The longest force of every structure, (S,)."""
    return forces.new_zeros(n).scatter_reduce(0, index, forces.norm(dim=1), "amax")


def quadratic(bottom: Tensor, index: Tensor, first: int = 0) -> Field:
    """Wells around ``bottom``, of 1 to 30 eV/Å² along the axes, twice as stiff with every structure."""
    stiffness = torch.tensor([1.0, 6.0, 30.0], dtype=torch.float64) * 2.0 ** (index + first).unsqueeze(1) / 4.0
    n = int(index[-1]) + 1

    def field(x: Tensor) -> tuple[Tensor, Tensor]:
        away = x - bottom
        energy = (0.5 * stiffness * away.square()).sum(1)
        return energy.new_zeros(n).index_add(0, index, energy), -stiffness * away

    return field


def icosahedron_and_pair() -> tuple[Tensor, Tensor]:
    """A shaken icosahedron with its centre, and a stretched pair; units of the distance of zero energy."""
    golden = (1.0 + 5.0**0.5) / 2.0
    corners = [(0.0, a, b * golden) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    turned = [c[k:] + c[:k] for c in corners for k in range(3)]
    shell = 1.08 * torch.tensor(turned, dtype=torch.float64) / (1.0 + golden**2) ** 0.5
    whole = torch.cat([torch.zeros(1, 3, dtype=torch.float64), shell])
    pair = torch.tensor([[0.0, 0.0, 0.0], [0.8, 0.7, 0.6]], dtype=torch.float64)
    x = torch.cat([whole + 0.05 * noise(whole, 11), pair])
    return x, torch.tensor([0] * 13 + [1] * 2)


def lennard_jones(index: Tensor) -> Field:
    """Pairs within each structure, 4(r⁻¹² − r⁻⁶)."""
    i, j = torch.triu_indices(len(index), len(index), offset=1)
    inside = index[i] == index[j]
    i, j, n = i[inside], j[inside], int(index[-1]) + 1

    def field(x: Tensor) -> tuple[Tensor, Tensor]:
        apart = x[j] - x[i]
        square = apart.square().sum(1, keepdim=True)
        sixth = square**-3
        energy = x.new_zeros(n).index_add(0, index[i], (4.0 * (sixth.square() - sixth)).squeeze(1))
        push = 24.0 * (2.0 * sixth.square() - sixth) / square * apart
        return energy, torch.zeros_like(x).index_add(0, j, push).index_add(0, i, -push)

    return field
