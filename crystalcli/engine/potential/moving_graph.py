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
from torch import Tensor

from crystalcli.engine.registry.working_folder import staying
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, collate, edge_vectors, with_edges
from crystalcli.nouns.systems import Systems

Build = Callable[[ase.Atoms], GraphArrays]
SKIN = 0.6
"""Å: an atom may move by half of it before its structure's neighbors are looked for again."""


@dataclass(frozen=True)
class _List:
    """All pairs within cutoff + skin, of every structure as it was when its own were looked for."""

    systems: Systems
    pairs: tuple[GraphArrays, ...]
    graph: CrystalGraph

    def of(self, now: Systems, dtype: torch.dtype) -> _List | None:
        """The list of those structures that ``now`` still has; none if they are not among these."""
        then = self.systems
        if then.places is now.places or torch.equal(then.places, now.places):
            return self if _same_atoms(then, now) else None
        slots = torch.searchsorted(then.places, now.places).clamp_max(then.n_structures - 1)
        if not torch.equal(then.places.index_select(0, slots), now.places) or bool((slots.diff() <= 0).any()):
            return None
        then = then.take(slots)
        if not _same_atoms(then, now):
            return None
        return _listed(then, tuple(self.pairs[k] for k in slots.tolist()), dtype)


class MovingGraph:
    """Makes graphs of moving structures.

    Args:
        build: structure → edges; with a skin all of those within ``cutoff + skin``.
        dtype: of the floating tensors of the graphs.
        cutoff: Å; 0 where edges are not a matter of distance alone (nearest neighbors): built anew every time.
        skin: Å.

    Attributes:
        builds: how often neighbors were looked for, of whichever structures had moved too far.
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
        known = self._list = self._covering(systems)
        fields = {**known.graph.fields, **{k: v.to(self.dtype) for k, v in systems.fields.items()}}
        positions, cell = systems.positions.to(self.dtype), systems.cell.to(self.dtype)
        graph = replace(known.graph, positions=positions, cell=cell, fields=fields)
        if not self.cutoff:
            return graph
        # chosen in float64, so that the choice does not depend on the precision of the model
        exact = replace(graph, positions=systems.positions, cell=systems.cell, cell_shifts=graph.cell_shifts.double())
        x, y, z = edge_vectors(exact).unbind(1)
        near = x * x + y * y + z * z < self.cutoff**2
        return with_edges(graph, near.nonzero().squeeze(1))

    def _covering(self, now: Systems) -> _List:
        """A list that has all pairs of ``now``: neighbors are looked for anew only where atoms have moved too far."""
        known = self._list.of(now, self.dtype) if self._list is not None and self.cutoff else None
        if known is None:
            self.builds += 1
            return _listed(now, self._built(now), self.dtype)
        far = self._far(known.systems, now)
        if not far.any():
            return known
        self.builds += 1
        anew = far.nonzero().flatten()
        pairs = list(known.pairs)
        for k, found in zip(anew.tolist(), self._built(now.take(anew)), strict=True):
            pairs[k] = found
        rows = far.index_select(0, now.structure_index)[:, None]
        then = known.systems.moved(
            positions=torch.where(rows, now.positions, known.systems.positions),
            cell=torch.where(far[:, None, None], now.cell, known.systems.cell),
        )
        return _listed(then, tuple(pairs), self.dtype)

    def _far(self, then: Systems, now: Systems) -> Tensor:
        """(S,) bool: whether a pair can have come within the cutoff that was beyond cutoff + skin.

        With r' = r F for a change of cell F: ``2 max|r_i − r_i' | + ‖F − 1‖ (cutoff + skin) ≥ skin``.
        """
        before, reach = then.positions, self.cutoff + self.skin
        stretch = before.new_zeros(now.n_structures)
        if not torch.equal(then.cell, now.cell):
            flat = torch.linalg.det(then.cell).abs() < 1e-9
            one = torch.eye(3).to(now.cell)
            change = torch.linalg.solve(torch.where(flat[:, None, None], one, then.cell), now.cell)
            stretch = torch.linalg.matrix_norm(change - one, ord=2)
            stretch = torch.where(flat & (then.cell != now.cell).any(2).any(1), torch.inf, stretch)
            change = torch.where(flat[:, None, None], one, change)
            before = (before.unsqueeze(1) @ change.index_select(0, then.structure_index)).squeeze(1)
        moved = (now.positions - before).square().sum(1)
        most = moved.new_zeros(now.n_structures).scatter_reduce(0, now.structure_index, moved, "amax").sqrt()
        return ~(2.0 * most + stretch * reach < self.skin)  # a position that is no number, too

    @staying()
    def _built(self, systems: Systems) -> tuple[GraphArrays, ...]:
        return tuple(_canonical(self.build(atoms)) for atoms in systems.to_atoms())


def _same_atoms(then: Systems, now: Systems) -> bool:
    """Whether two batches have the same structures, however they have moved."""
    pairs = ((getattr(then, k), getattr(now, k)) for k in ("atom_counts", "atomic_numbers", "pbc"))
    return all(a is b or torch.equal(a, b) for a, b in pairs)


def _listed(systems: Systems, pairs: tuple[GraphArrays, ...], dtype: torch.dtype) -> _List:
    return _List(systems, pairs, collate(pairs, dtype).to(systems.positions.device))


def _canonical(graph: GraphArrays) -> GraphArrays:
    """Edges by centre, neighbor and shift."""
    (centre, neighbor), shift = graph.edge_index, graph.cell_shifts
    order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], neighbor, centre))
    return replace(graph, edge_index=graph.edge_index[:, order], cell_shifts=shift[order])
