"""Springs in a crystal whose cell relaxes, too: its strain is three more rows of coordinates for every structure.

Atoms stay in the frame of the start's cell A: a state is (u, Y) with u (N, 3) Å and Y (3 S, 3) Å; the strain of a
structure is ε = sym(Y)/ℓ, its atoms are at u (1 + ε), its cell is A (1 + ε). That the strain is symmetric takes off the
rotations, which no spring feels. ℓ makes a row of Y as stiff as the stiffest atom, so that one descent suits both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crystal_dogss.springs import Springs
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.systems import from_voigt


@dataclass(frozen=True)
class CellSprings(Springs):
    """Springs of atoms and cells; where :class:`Springs` has N rows, this has N + 3 S.

    Args:
        length: (S,) Å, ℓ.
        n_atoms: N.
    """

    length: Tensor
    n_atoms: int

    @classmethod
    def over(cls, springs: Springs, start: Tensor) -> CellSprings:
        """``springs`` with the cells of their structures; ``start`` (N, 3) is where the atoms begin.

        ``ℓ² = Σ_e c_e r_e² / λ`` with λ the bound of the atoms' curvature and c = E_e'': that of a row of Y is no more.
        """
        n, s = len(springs.structure), springs.n_structures
        with torch.no_grad():
            size = springs.curvature(springs.rest).clamp_min(0.0) * springs.lengths(start).square()
            total = size.new_zeros(s).index_add(0, springs.structure.index_select(0, springs.centre), size)
            length = (total / springs.stiffest().clamp_min(1e-12)).clamp_min(1e-6).sqrt()
        cells = torch.arange(s, device=springs.structure.device).repeat_interleave(3)
        held = {**vars(springs), "structure": torch.cat([springs.structure, cells])}
        return cls(**held, length=length, n_atoms=n)

    def strain(self, x: Tensor) -> Tensor:
        """ε of every structure at ``x`` (N + 3 S, 3), (S, 3, 3)."""
        return self._strain(x[self.n_atoms :])

    def places(self, x: Tensor) -> Tensor:
        """Where the atoms are in the strained cells, (N, 3) Å."""
        stretch = self._stretch(x).index_select(0, self.structure[: self.n_atoms])
        return (x[: self.n_atoms, :, None] * stretch).sum(1)

    def _strain(self, y: Tensor) -> Tensor:
        y = y.view(-1, 3, 3)
        return 0.5 * (y + y.transpose(1, 2)) / self.length[:, None, None]

    def _stretch(self, x: Tensor) -> Tensor:
        return torch.eye(3, dtype=x.dtype, device=x.device) + self.strain(x)

    def _of_edges(self, values: Tensor) -> Tensor:
        """(S, …) → (E, …)."""
        return values.index_select(0, self.structure.index_select(0, self.centre))

    def _flat(self, x: Tensor) -> Tensor:
        """Edges in the frame of the start's cell, (E, 3) Å."""
        return x.index_select(0, self.neighbor) - x.index_select(0, self.centre) + self.offsets

    def _reach(self, x: Tensor) -> tuple[Tensor, Tensor]:
        away = (self._flat(x)[:, :, None] * self._of_edges(self._stretch(x))).sum(1)
        return away, self._long(away)

    def gradient(self, x: Tensor) -> Tensor:
        """∂Ê/∂(u, Y), (N + 3 S, 3)."""
        flat, stretch = self._flat(x), self._of_edges(self._stretch(x))
        away = (flat[:, :, None] * stretch).sum(1)
        r = self._long(away)
        pull = (self.slope(r) / r)[:, None] * away
        return self._rows((pull[:, None] * stretch).sum(2), flat[:, :, None] * pull[:, None])

    def second(self, x: Tensor, w: Tensor) -> Tensor:
        """∂²Ê/∂(u, Y)² · w, (N + 3 S, 3), for ``w`` of that shape."""
        flat, stretch = self._flat(x), self._of_edges(self._stretch(x))
        turn = self._of_edges(self._strain(w[self.n_atoms :]))
        change = w.index_select(0, self.neighbor) - w.index_select(0, self.centre)
        away = (flat[:, :, None] * stretch).sum(1)
        r = self._long(away)
        moved = (change[:, :, None] * stretch + flat[:, :, None] * turn).sum(1)
        unit = away / r[:, None]
        along = (unit * moved).sum(1, keepdim=True) * unit
        bend = (self.slope(r) / r)[:, None]
        pull, further = bend * away, self.curvature(r)[:, None] * along + bend * (moved - along)
        of_atoms = (further[:, None] * stretch + pull[:, None] * turn).sum(2)
        return self._rows(of_atoms, change[:, :, None] * pull[:, None] + flat[:, :, None] * further[:, None])

    def stiffest(self) -> Tensor:
        """As :meth:`Springs.stiffest`: twice that of the atoms, for strain and atoms pull on each other."""
        return 2.0 * super().stiffest()

    def _rows(self, of_edges: Tensor, of_cells: Tensor) -> Tensor:
        """(E, 3) at the ends of the edges, and (E, 3, 3) of their structures' strain, as rows."""
        cells = of_cells.new_zeros(self.n_structures, 3, 3)
        cells = cells.index_add(0, self.structure.index_select(0, self.centre), of_cells)
        return torch.cat([self._at_ends(of_edges)[: self.n_atoms], self._strain(cells).view(-1, 3)])


def movable(graph: CrystalGraph, free: Tensor) -> Tensor:
    """(3 S, 1) float64: 1 where a cell may relax: periodic along all its vectors, and no atom is held."""
    held = (1.0 - free[:, 0]).new_zeros(graph.n_structures).index_add(0, graph.structure_index, 1.0 - free[:, 0])
    may = (graph.pbc.all(1) & (held == 0)).to(free)
    return may.repeat_interleave(3)[:, None]


def strained(springs: Springs, places: Tensor, strain: Tensor) -> Tensor:
    """Lengths of the edges, (E,) Å, of atoms at ``places`` in the start's frame and cells strained by (S, 6)."""
    away = places.index_select(0, springs.neighbor) - places.index_select(0, springs.centre) + springs.offsets
    stretch = torch.eye(3, dtype=away.dtype, device=away.device) + from_voigt(strain)
    of_edge = stretch.index_select(0, springs.structure.index_select(0, springs.centre))
    length: Tensor = torch.linalg.vector_norm((away[:, :, None] * of_edge).sum(1), dim=1)
    return length


def with_cells(
    springs: Springs, start: Tensor, free: Tensor, graph: CrystalGraph
) -> tuple[CellSprings, Tensor, Tensor]:
    """Springs, start and what may move, each with the rows of the cells."""
    rest = start.new_zeros(3 * graph.n_structures, 3)
    moving = torch.cat([free, movable(graph, free)])
    return CellSprings.over(springs, start), torch.cat([start, rest]), moving
