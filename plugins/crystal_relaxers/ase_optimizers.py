"""ASE's optimisers on rows of numbers: one optimiser a structure, led by a puppet that says the forces it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ase
import numpy as np
import torch
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray
from torch import Tensor

from crystal_relaxers.options import BfgsOptions, LbfgsOptions

Make = Callable[[ase.Atoms], Any]


class _Puppet(Calculator):  # type: ignore[misc]
    """Says the energy and forces it was told, whatever the atoms."""

    implemented_properties = ("energy", "forces")

    def tell(self, energy: float, forces: NDArray[np.float64]) -> None:
        self.told = {"energy": energy, "free_energy": energy, "forces": forces}

    def get_property(self, name: str, atoms: ase.Atoms | None = None, allow_calculation: bool = True) -> Any:  # noqa: ARG002
        told = self.told[name]
        return told.copy() if isinstance(told, np.ndarray) else told


@dataclass
class AseState:
    """One optimiser a structure; which rows ever felt a force, and where the structures begin and end."""

    optimizers: list[Any]
    felt: Tensor
    bounds: list[int]


class AseRelaxer:
    """Leads ASE's optimisers step by step. Rows that never feel a force never move.

    Args:
        make: an optimiser of some atoms.
    """

    def __init__(self, make: Make) -> None:
        self.make = make

    def init(self, x: Tensor, index: Tensor, n_structures: int) -> AseState:
        """Make the optimisers."""
        counts = torch.bincount(index, minlength=n_structures)
        bounds = [0, *counts.cumsum(0).tolist()]
        optimizers = []
        for start, stop in pairwise(bounds):
            rows = ase.Atoms("X" * (stop - start), x[start:stop].cpu().numpy())
            rows.calc = _Puppet()
            rows.calc.tell(0.0, np.zeros((stop - start, 3)))
            optimizers.append(self.make(rows))
        return AseState(optimizers, torch.zeros(len(x), dtype=torch.bool, device=x.device), bounds)

    def step(
        self, state: AseState, x: Tensor, energy: Tensor, forces: Tensor, active: Tensor
    ) -> tuple[Tensor, AseState]:
        """Take one step of every active structure."""
        state.felt |= forces.any(1)
        host, pulls, new = x.detach().cpu().numpy(), forces.detach().cpu().numpy(), x.detach().cpu().numpy().copy()
        for k in active.nonzero().flatten().tolist():
            span, optimizer = slice(state.bounds[k], state.bounds[k + 1]), state.optimizers[k]
            rows = optimizer.atoms
            rows.positions[:] = host[span]
            rows.calc.tell(float(energy[k]), pulls[span])
            optimizer.step()
            new[span] = rows.positions
        moved = torch.as_tensor(new, dtype=x.dtype, device=x.device)
        return torch.where(state.felt.unsqueeze(1), moved, x), state


def bfgs(options: BfgsOptions) -> AseRelaxer:
    """ASE's BFGS: dense Hessian, a step along each of its eigenvectors."""
    from ase.optimize import BFGS

    return AseRelaxer(lambda rows: BFGS(rows, logfile=None, maxstep=options.max_step, alpha=options.alpha))


def lbfgs(options: LbfgsOptions) -> AseRelaxer:
    """ASE's L-BFGS without line search."""
    from ase.optimize import LBFGS

    return AseRelaxer(
        lambda rows: LBFGS(rows, logfile=None, maxstep=options.max_step, alpha=options.alpha, memory=options.memory)
    )
