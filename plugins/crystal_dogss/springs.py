"""Springs between the atoms of a batch: energy, gradient, second derivatives along vectors, in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crystalcli.nouns.graph import CrystalGraph

SMALLEST = 1e-4
"""Å; a shorter edge counts as so long, so that nothing is divided by zero."""
DEPTH = 1.0
"""D of the Morse form, in the unit of the energy, which no label knows."""


@dataclass(frozen=True)
class Springs:
    """``Ê(x) = Σ_e E_e(r_e)`` over E directed edges of a batch (eq. 5); energies have no unit that labels know.

    Args:
        centre, neighbor: (E,) int64. offsets: (E, 3) Å, ``S·cell``. structure: (N,) int64.
        stiffness: (E,) k. rest: (E,) Å, r_e.
        form: ``harmonic`` k (r − r_e)²; ``morse`` D (1 − exp(−α(r − r_e)))², α = √(k/D), of the same curvature 2k;
            ``lennard-jones`` k [(r_e/r)¹² − 2 (r_e/r)⁶].
        n_structures: S.
    """

    centre: Tensor
    neighbor: Tensor
    offsets: Tensor
    structure: Tensor
    stiffness: Tensor
    rest: Tensor
    form: str
    n_structures: int

    @classmethod
    def of(cls, graph: CrystalGraph, stiffness: Tensor, rest: Tensor, form: str) -> Springs:
        """Springs on the edges of ``graph``, in float64."""
        centre, neighbor = graph.edge_index[0], graph.edge_index[1]
        cell = graph.cell.double().index_select(0, graph.structure_index.index_select(0, centre))
        offsets = (graph.cell_shifts.double()[:, :, None] * cell).sum(1)
        return cls(centre, neighbor, offsets, graph.structure_index, stiffness, rest, form, graph.n_structures)

    def detached(self) -> Springs:
        """The same, without a way back to what made it."""
        return replace(self, stiffness=self.stiffness.detach(), rest=self.rest.detach())

    def lengths(self, x: Tensor) -> Tensor:
        """R of every edge at positions ``x`` (N, 3), (E,) Å."""
        return self._reach(x)[1]

    def _reach(self, x: Tensor) -> tuple[Tensor, Tensor]:
        away = x.index_select(0, self.neighbor) - x.index_select(0, self.centre) + self.offsets
        return away, self._long(away)

    @staticmethod
    def _long(away: Tensor) -> Tensor:
        return away.square().sum(1).clamp_min(SMALLEST**2).sqrt()

    def energy(self, x: Tensor) -> Tensor:
        """Energy of every structure, (S,)."""
        r, k, r_e = self.lengths(x), self.stiffness, self.rest
        if self.form == "harmonic":
            each = k * (r - r_e).square()
        elif self.form == "morse":
            each = DEPTH * (1.0 - torch.exp(-(k / DEPTH).sqrt() * (r - r_e))).square()
        else:
            sixth = (r_e / r) ** 6
            each = k * (sixth.square() - 2.0 * sixth)
        zero = each.new_zeros(self.n_structures)
        return zero.index_add(0, self.structure.index_select(0, self.centre), each)

    def slope(self, r: Tensor) -> Tensor:
        """dE_e/dr of every edge, (E,)."""
        k, r_e = self.stiffness, self.rest
        if self.form == "harmonic":
            return 2.0 * k * (r - r_e)
        if self.form == "morse":
            alpha = (k / DEPTH).sqrt()
            fall = torch.exp(-alpha * (r - r_e))
            return 2.0 * DEPTH * alpha * (1.0 - fall) * fall
        sixth = (r_e / r) ** 6
        return 12.0 * k * (sixth - sixth.square()) / r

    def curvature(self, r: Tensor) -> Tensor:
        """d²E_e/dr² of every edge, (E,)."""
        k, r_e = self.stiffness, self.rest
        if self.form == "harmonic":
            return 2.0 * k
        if self.form == "morse":
            alpha = (k / DEPTH).sqrt()
            fall = torch.exp(-alpha * (r - r_e))
            return 2.0 * DEPTH * alpha.square() * (2.0 * fall.square() - fall)
        sixth = (r_e / r) ** 6
        return 12.0 * k * (13.0 * sixth.square() - 7.0 * sixth) / r.square()

    def gradient(self, x: Tensor) -> Tensor:
        """∂Ê/∂x, (N, 3): every edge pulls at both of its ends."""
        away, r = self._reach(x)
        return self._at_ends((self.slope(r) / r)[:, None] * away)

    def second(self, x: Tensor, w: Tensor) -> Tensor:
        """∂²Ê/∂x² · w, (N, 3), for ``w`` (N, 3)."""
        away, r = self._reach(x)
        unit = away / r[:, None]
        change = w.index_select(0, self.neighbor) - w.index_select(0, self.centre)
        along = (unit * change).sum(1, keepdim=True) * unit
        bend = (self.slope(r) / r)[:, None]
        return self._at_ends(self.curvature(r)[:, None] * along + bend * (change - along))

    def stiffest(self) -> Tensor:
        """An upper bound of Ê's curvature where all edges rest, (S,): ``2 max_i Σ_j (c_ij + c_ji)``, c = E_e''(r_e).

        Of harmonic springs and Morse's c = 2k; of Lennard-Jones' 72 k/r_e².
        """
        k = 0.5 * self.curvature(self.rest).detach()
        per_atom = k.new_zeros(len(self.structure)).index_add(0, self.centre, k).index_add(0, self.neighbor, k)
        most = k.new_zeros(self.n_structures)
        return 4.0 * most.scatter_reduce(0, self.structure, per_atom, "amax")

    def _at_ends(self, pull: Tensor) -> Tensor:
        zero = pull.new_zeros(len(self.structure), 3)
        return zero.index_add(0, self.neighbor, pull).index_add(0, self.centre, -pull)
