"""Batches out of one or several caches: one gather per batch, no per-structure Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts.modules import Labels
from crystalcli.mechanisms.cache import Column, GraphCache
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import UsageError


@dataclass(frozen=True)
class Batch:
    """A graph, its labels by quantity name, and the positions of its structures in the data set."""

    graph: CrystalGraph
    labels: dict[str, Labels]
    index: NDArray[np.int64]


class GraphDataset:
    """Several caches with one recipe, read as one."""

    def __init__(self, caches: Sequence[GraphCache]) -> None:
        first = caches[0]
        for other in caches[1:]:
            if other.recipe != first.recipe:
                raise UsageError(f"was built with {other.recipe}, {first.path} with {first.recipe}", path=other.path)
        self.caches = list(caches)
        self.recipe = first.recipe
        self.ids = [i for c in caches for i in c.ids]
        self.offsets = np.concatenate([[0], np.cumsum([len(c) for c in caches])])
        self.columns = {name: _joined(name, caches) for name in first.columns}

    def __len__(self) -> int:
        return len(self.ids)

    def atom_counts(self) -> NDArray[np.int64]:
        """Number of atoms of every structure, (S,)."""
        return np.concatenate([np.diff(c.atom_pointers) for c in self.caches])

    def edge_counts(self) -> NDArray[np.int64]:
        """Number of edges of every structure, (S,)."""
        return np.concatenate([np.diff(c.edge_pointers) for c in self.caches])

    def batch(self, index: NDArray[np.int64], targets: Sequence[str] = (), dtype: torch.dtype = torch.float32) -> Batch:
        """Gather structures ``index`` in the order given."""
        part = np.searchsorted(self.offsets, index, side="right") - 1
        pieces = [
            _gather(self.caches[p], index[part == p] - self.offsets[p]) for p in np.unique(part)
        ]
        order = np.argsort(np.concatenate([np.flatnonzero(part == p) for p in np.unique(part)]), kind="stable")
        graph = _assemble(pieces, dtype) if len(pieces) == 1 else _reordered(pieces, order, dtype)
        return Batch(graph, {t: self._labels(t, index) for t in targets}, index)

    def _labels(self, name: str, index: NDArray[np.int64]) -> Labels:
        column = self.columns[name]
        if column.quantity.level == "site":
            pointers = np.concatenate([[0], np.cumsum(self.atom_counts())])
            index = flat_ranges(pointers[:-1][index], pointers[1:][index])
        return Labels(torch.as_tensor(column.values[index]), torch.as_tensor(column.mask[index]))


def flat_ranges(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate ``arange(start, stop)`` of all pairs."""
    lengths = stops - starts
    skips = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.arange(int(lengths.sum())) + skips


@dataclass(frozen=True)
class _Piece:
    """Arrays of some structures of one cache."""

    atom_counts: NDArray[np.int64]
    edge_counts: NDArray[np.int64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    positions: NDArray[np.float64]
    numbers: NDArray[np.int64]
    degree: NDArray[np.int64]
    neighbor: NDArray[np.int64]
    shift: NDArray[np.int64]


def _gather(cache: GraphCache, local: NDArray[np.int64]) -> _Piece:
    a0, a1 = cache.atom_pointers[:-1][local], cache.atom_pointers[1:][local]
    e0, e1 = cache.edge_pointers[:-1][local], cache.edge_pointers[1:][local]
    atoms, edges = flat_ranges(a0, a1), flat_ranges(e0, e1)
    return _Piece(
        a1 - a0,
        e1 - e0,
        cache.cell[local],
        cache.pbc[local],
        cache.array("atoms/positions")[atoms],
        cache.array("atoms/atomic_numbers")[atoms].astype(np.int64),
        cache.array("atoms/degree")[atoms].astype(np.int64),
        cache.array("edges/neighbor")[edges].astype(np.int64),
        cache.array("edges/shift")[edges].astype(np.int64),
    )


def _reordered(pieces: Sequence[_Piece], order: NDArray[np.int64], dtype: torch.dtype) -> CrystalGraph:
    whole = _Piece(*(np.concatenate([getattr(p, f) for p in pieces]) for f in _Piece.__dataclass_fields__))
    a = np.concatenate([[0], np.cumsum(whole.atom_counts)])
    e = np.concatenate([[0], np.cumsum(whole.edge_counts)])
    atoms, edges = flat_ranges(a[:-1][order], a[1:][order]), flat_ranges(e[:-1][order], e[1:][order])
    return _assemble(
        [
            _Piece(
                whole.atom_counts[order],
                whole.edge_counts[order],
                whole.cell[order],
                whole.pbc[order],
                whole.positions[atoms],
                whole.numbers[atoms],
                whole.degree[atoms],
                whole.neighbor[edges],
                whole.shift[edges],
            )
        ],
        dtype,
    )


def _assemble(pieces: Sequence[_Piece], dtype: torch.dtype) -> CrystalGraph:
    (p,) = pieces
    starts = np.cumsum(p.atom_counts) - p.atom_counts
    centre = np.repeat(np.arange(len(p.degree)), p.degree)
    neighbor = p.neighbor + np.repeat(starts, p.edge_counts)
    return CrystalGraph(
        positions=torch.as_tensor(p.positions, dtype=dtype),
        cell=torch.as_tensor(p.cell, dtype=dtype),
        pbc=torch.as_tensor(p.pbc),
        atomic_numbers=torch.as_tensor(p.numbers),
        edge_index=torch.as_tensor(np.stack([centre, neighbor])),
        row_pointers=torch.as_tensor(np.concatenate([[0], np.cumsum(p.degree)])),
        cell_shifts=torch.as_tensor(p.shift, dtype=dtype),
        structure_index=torch.as_tensor(np.repeat(np.arange(len(p.atom_counts)), p.atom_counts)),
        atom_counts=torch.as_tensor(p.atom_counts),
    )


def _joined(name: str, caches: Sequence[GraphCache]) -> Column:
    columns = [c.columns[name] for c in caches if name in c.columns]
    if len(columns) < len(caches):
        missing = next(c for c in caches if name not in c.columns)
        raise UsageError(f"has no label '{name}', which {caches[0].path} has", path=missing.path)
    return Column(
        columns[0].quantity, np.concatenate([c.values for c in columns]), np.concatenate([c.mask for c in columns])
    )
