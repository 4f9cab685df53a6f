"""Graphs of structures that move: neighbors found once with a skin, edges within the cutoff chosen at every call.

The graph is a function of the positions alone. The list is sorted by centre, neighbor and shift, none of which depends
on when it was made, so the same positions give the same edges in the same order, and sums the same bits: a run that
was interrupted goes on as if it had not been. Shifts belong to unwrapped positions, so atoms may drift through cells.

L. Verlet, Phys. Rev. 159, 98 (1967), doi:10.1103/PhysRev.159.98.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import ase
import numpy as np
import torch

from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, collate, edge_vectors, with_edges
from crystalcli.nouns.systems import Systems

Build = Callable[[ase.Atoms], GraphArrays]


@dataclass(frozen=True)
class _List:
    """All pairs within cutoff + skin of the structures as they were, and the part of the bookkeeping that stays."""

    systems: Systems
    graph: CrystalGraph


class MovingGraph:
    """Makes graphs of moving structures.

    Args:
        build: structure → edges; with a skin all of those within ``cutoff + skin``.
        dtype: of the floating tensors of the graphs.
        cutoff: Å; 0 where edges are not a matter of distance alone (nearest neighbors): built anew every time.
        skin: Å.
    """

    def __init__(self, build: Build, dtype: torch.dtype, cutoff: float = 0.0, skin: float = 0.0) -> None:
        self.build, self.dtype, self.cutoff, self.skin = build, dtype, cutoff, skin
        self.builds = 0
        self._list: _List | None = None

    def of(self, systems: Systems) -> CrystalGraph:
        """The graph of ``systems``.

        Raises:
            InputError: as the neighbor search (a flat cell, a position that is not finite).
        """
        known = self._list
        if known is None or not self._covers(known.systems, systems):
            known = self._list = _List(systems, self._built(systems))
            self.builds += 1
        fields = {**known.graph.fields, **{k: v.to(self.dtype) for k, v in systems.fields.items()}}
        positions, cell = systems.positions.to(self.dtype), systems.cell.to(self.dtype)
        graph = replace(known.graph, positions=positions, cell=cell, fields=fields)
        if not self.cutoff:
            return graph
        # chosen in float64, so that the choice does not depend on the precision of the model
        exact = replace(graph, positions=systems.positions, cell=systems.cell, cell_shifts=graph.cell_shifts.double())
        near = edge_vectors(exact).square().sum(1) < self.cutoff**2
        return with_edges(graph, near.nonzero().squeeze(1))

    def _covers(self, then: Systems, now: Systems) -> bool:
        """Whether no pair can have come within the cutoff that was beyond cutoff + skin.

        With r' = r F for a change of cell F: ``2 max|r_i − r_i' | + ‖F − 1‖ (cutoff + skin) < skin``.
        """
        if not self.cutoff or then.positions.shape != now.positions.shape or then.cell.shape != now.cell.shape:
            return False
        same = then.structure_index is now.structure_index or torch.equal(then.structure_index, now.structure_index)
        if not (same and torch.equal(then.atomic_numbers, now.atomic_numbers) and torch.equal(then.pbc, now.pbc)):
            return False
        before, stretch = then.positions, 0.0
        if not torch.equal(then.cell, now.cell):
            if bool((torch.linalg.det(then.cell).abs() < 1e-9).any()):
                return False
            change = torch.linalg.solve(then.cell, now.cell)
            stretch = float(torch.linalg.matrix_norm(change - torch.eye(3).to(change), ord=2).max())
            before = (before.unsqueeze(1) @ change.index_select(0, then.structure_index)).squeeze(1)
        moved = float((now.positions - before).square().sum(1).max().sqrt()) if len(before) else 0.0
        return 2.0 * moved + stretch * (self.cutoff + self.skin) < self.skin

    def _built(self, systems: Systems) -> CrystalGraph:
        arrays = [_canonical(self.build(atoms)) for atoms in systems.to_atoms()]
        return collate(arrays, self.dtype).to(systems.positions.device)


def _canonical(graph: GraphArrays) -> GraphArrays:
    """Edges by centre, neighbor and shift."""
    (centre, neighbor), shift = graph.edge_index, graph.cell_shifts
    order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], neighbor, centre))
    return replace(graph, edge_index=graph.edge_index[:, order], cell_shifts=shift[order])
