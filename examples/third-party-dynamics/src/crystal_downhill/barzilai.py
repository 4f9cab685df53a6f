"""Steepest descent with the steps of Barzilai and Borwein, on many structures at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crystal_downhill import BarzilaiOptions


@dataclass(frozen=True)
class Before:
    """The step before.

    Args:
        index: (M,) int64, structure of each row.
        x, forces: (M, 3) where it began and what was felt there.
        known: (S,) bool, whether there was one.
    """

    index: Tensor
    x: Tensor
    forces: Tensor
    known: Tensor


class Barzilai:
    """``x ← x + s F`` with ``s = Δx·Δx / (−Δx·ΔF)`` of each structure (Barzilai & Borwein, eq. 5).

    Deviation: a step is shortened where an atom would move too far, and ``s`` is the first one where the energy curves
    down along the last step.
    """

    def __init__(self, options: BarzilaiOptions) -> None:
        self.options = options

    def init(self, x: Tensor, index: Tensor, n_structures: int) -> Before:
        """No step yet."""
        known = torch.zeros(n_structures, dtype=torch.bool, device=x.device)
        return Before(index, x, torch.zeros_like(x), known)

    def step(self, state: Before, x: Tensor, energy: Tensor, forces: Tensor, active: Tensor) -> tuple[Tensor, Before]:
        """Take one step; rows of structures that are not active stay."""
        index = state.index

        def dot(a: Tensor, b: Tensor) -> Tensor:
            return torch.zeros_like(energy).index_add(0, index, (a * b).sum(1))

        moved, stiffer = x - state.x, state.forces - forces
        curvature = dot(moved, stiffer)
        usable = state.known & (curvature > 0.0)
        length = torch.where(usable, dot(moved, moved) / torch.where(usable, curvature, 1.0), self.options.first)
        step = length.index_select(0, index).unsqueeze(1) * forces
        far = torch.zeros_like(energy).scatter_reduce(0, index, step.norm(dim=1), "amax")
        step = step * (self.options.longest / far.clamp_min(1e-300)).clamp_max(1.0).index_select(0, index).unsqueeze(1)
        rows = active.index_select(0, index).unsqueeze(1)
        kept = replace(
            state,
            x=torch.where(rows, x, state.x),
            forces=torch.where(rows, forces, state.forces),
            known=state.known | active,
        )
        return torch.where(rows, x + step, x), kept
