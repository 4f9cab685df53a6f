"""Pairs of atoms that are nearer than they may be, of a list of those that could, made anew where atoms move far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import ase
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.nouns.neighbors import neighbor_list
from crystalcli.nouns.systems import Systems

NEAREST = 0.5
"""Å. No two atoms of anything solid or liquid come this near; the shortest bond, H2's, has 0.74 Å."""
REACH = 2.0
"""Å beyond the largest limit up to which pairs are in the list."""

Near = tuple[int, int, float]
"""Two atoms of a structure, the lower first, and their distance in Å."""


class NearPairs:
    """All structures of a batch at once; only the search of a structure whose list is stale is by itself.

    A pair that is not in the list of a reference was further apart than L + :data:`REACH`, with the largest limit L.
    While no atom has moved further than u from where a homogeneous strain F of the reference takes it, that pair is not
    nearer than s(F) (L + REACH) − 2 u, with the smallest stretch s(F): the list is good while that is more than L.

    Args:
        systems: as they start.
        radii: (N,) Å; the limit of a pair is the sum of two, and :data:`NEAREST` at least.
    """

    def __init__(self, systems: Systems, radii: Tensor) -> None:
        self.radii = radii
        self.widest = max(NEAREST, 2.0 * float(radii.max()))
        self.solid = torch.linalg.det(systems.cell).abs() > 0
        stops = np.cumsum(systems.atom_counts.cpu().numpy())
        self.spans = [slice(int(b - n), int(b)) for b, n in zip(stops, systems.atom_counts.tolist(), strict=True)]
        self.reset(systems)

    def reset(self, systems: Systems) -> None:
        """Search all pairs of ``systems``, from which later motion is counted."""
        self.reference = systems
        self.found: list[NDArray[np.int64]] = [np.zeros((0, 5), dtype=np.int64)] * systems.n_structures
        self._search(systems, range(systems.n_structures))
        self._seen(systems, self._gaps(systems)[0])

    def far(self, systems: Systems) -> bool:
        """Whether a glance tells that no pair can be nearer than its limit; false for what is no number."""
        if systems.cell is not self.seen.cell:
            return False
        moved = float((systems.positions - self.seen.positions).square().sum(1).max())
        return self.least - 2.0 * math.sqrt(moved) > 0.0

    def nearer(self, systems: Systems, alive: Tensor) -> dict[int, Near]:
        """The nearest pair beyond its limit of every structure among ``alive`` that has one, by number."""
        stale = (self._room(systems, alive) < 0.0) & alive
        if bool(stale.any()):
            self._search(systems, stale.nonzero().flatten().tolist())
        gaps, distances = self._gaps(systems)
        least = gaps.new_full((systems.n_structures,), REACH).scatter_reduce(0, self.owner, gaps, "amin")
        self._seen(systems, gaps)
        found = {}
        for k in ((least < 0.0) & alive).nonzero().flatten().tolist():
            mine = (self.owner == k).nonzero().flatten()
            pair = int(mine[gaps[mine].argmin()])
            i, j = sorted(int(ends[pair]) - self.spans[k].start for ends in self.ends)
            found[k] = i, j, float(distances[pair])
        return found

    def _seen(self, systems: Systems, gaps: Tensor) -> None:
        """The next glance counts motion from here."""
        self.seen, self.least = systems, min(REACH, float(gaps.min())) if len(gaps) else REACH

    def _room(self, systems: Systems, alive: Tensor) -> Tensor:
        """How far atoms may go on before a pair that is not in the list could be nearer than its limit, (S,) Å."""
        taken, stretch = self.reference.positions, torch.ones_like(self.solid, dtype=torch.float64)
        if systems.cell is not self.reference.cell and bool(self.solid.any()):
            known = alive & self.solid & torch.isfinite(systems.cell).flatten(1).all(1)
            eye = torch.eye(3, dtype=taken.dtype, device=taken.device)
            before = torch.where(known[:, None, None], self.reference.cell, eye)
            now = torch.where(known[:, None, None], systems.cell, eye)
            strain = torch.linalg.solve(before, now)
            taken = (taken.unsqueeze(1) @ strain.index_select(0, systems.structure_index)).squeeze(1)
            stretch = torch.linalg.svdvals(strain).amin(1)
        moved = (systems.positions - taken).square().sum(1)
        furthest = torch.zeros_like(stretch).scatter_reduce(0, systems.structure_index, moved, "amax").sqrt()
        return stretch * (self.widest + REACH) - self.widest - 2.0 * furthest

    def _gaps(self, systems: Systems) -> tuple[Tensor, Tensor]:
        """Distance beyond the limit, and distance, of every pair of the list, (P,) Å."""
        i, j = self.ends
        cell = systems.cell.index_select(0, self.owner)
        apart = systems.positions.index_select(0, j) - systems.positions.index_select(0, i)
        distances = (apart + (self.shifts.unsqueeze(1) @ cell).squeeze(1)).square().sum(1).sqrt()
        return distances - self.limits, distances

    def _search(self, systems: Systems, structures: Sequence[int]) -> None:
        """Make the lists of ``structures`` anew, with ``systems`` as their reference."""
        rows, cells = torch.zeros_like(systems.fixed), self.reference.cell.clone()
        for k in structures:
            span = self.spans[k]
            atoms = ase.Atoms(
                positions=systems.positions[span].cpu().numpy(),
                cell=systems.cell[k].cpu().numpy(),
                pbc=systems.pbc[k].cpu().numpy(),
            )
            ends, shifts, _ = neighbor_list(atoms, self.widest + REACH)
            once = ends[0] <= ends[1]
            own = np.full(int(once.sum()), k)
            self.found[k] = np.column_stack([own, *(ends[:, once] + span.start), shifts[once]]).astype(np.int64)
            rows[span], cells[k] = True, systems.cell[k]
        self.reference = self.reference.moved(
            positions=torch.where(rows.unsqueeze(1), systems.positions, self.reference.positions),
            cell=systems.cell if torch.equal(cells, systems.cell) else cells,
        )
        table = torch.as_tensor(np.concatenate(self.found), device=systems.cell.device)
        self.owner, self.ends = table[:, 0].contiguous(), (table[:, 1].contiguous(), table[:, 2].contiguous())
        self.shifts = table[:, 3:].double()
        i, j = self.ends
        self.limits = (self.radii.index_select(0, i) + self.radii.index_select(0, j)).clamp_min(NEAREST)
