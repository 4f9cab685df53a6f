"""Batches out of one or several caches: one gather per batch, no per-structure Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols
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

    @classmethod
    def open(cls, paths: Sequence[Path]) -> GraphDataset:
        """Open ``paths`` as one data set."""
        return cls([GraphCache(p) for p in paths])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sources(self) -> list[str]:
        """``PATH`` or ``PATH:FRAME`` of every structure."""
        return [s for c in self.caches for s in c.sources]

    @property
    def tags(self) -> dict[str, list[str]]:
        """Text columns by name, one text a structure; ``""`` where a structure has none."""
        names = sorted({n for c in self.caches for n in c.tags})
        return {n: [t for c in self.caches for t in c.tags.get(n, [""] * len(c))] for n in names}

    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic number of every atom of every structure, (N,); structure k owns ``atom_counts()[k]`` of them."""
        return np.concatenate([np.asarray(c.array("atoms/atomic_numbers")) for c in self.caches]).astype(np.int64)

    def formulas(self) -> list[str]:
        """Reduced formula of every structure, elements in alphabetical order (``Al2O3``)."""
        return reduced_formulas(self.atomic_numbers(), self.atom_counts())

    def elements(self, index: NDArray[np.int64] | None = None) -> list[int]:
        """Atomic numbers that occur, sorted; of structures ``index`` only if given."""
        numbers = self.atomic_numbers()
        if index is not None:
            stops = np.cumsum(self.atom_counts())
            numbers = numbers[flat_ranges((stops - self.atom_counts())[index], stops[index])]
        return [int(z) for z in np.unique(numbers)]

    def runs(self) -> tuple[list[str], NDArray[np.int64]]:
        """Source file of every structure, and its place (0, 1, …) among the structures of that file, (S,)."""
        files = [_source_file(s) for s in self.sources]
        seen: dict[str, int] = {}
        order = np.empty(len(files), dtype=np.int64)
        for k, name in enumerate(files):
            order[k] = seen[name] = seen.get(name, -1) + 1
        return files, order

    def structure_hashes(self) -> NDArray[np.uint8]:
        """sha256 of every structure, (S, 32): equal rows are equal crystals."""
        return np.concatenate([c.hashes for c in self.caches])

    def atom_counts(self) -> NDArray[np.int64]:
        """Number of atoms of every structure, (S,)."""
        return np.concatenate([np.diff(c.atom_pointers) for c in self.caches])

    def edge_counts(self) -> NDArray[np.int64]:
        """Number of edges of every structure, (S,)."""
        return np.concatenate([np.diff(c.edge_pointers) for c in self.caches])

    def batch(self, index: NDArray[np.int64], targets: Sequence[str] = (), dtype: torch.dtype = torch.float32) -> Batch:
        """Gather structures ``index`` in the order given."""
        part = np.searchsorted(self.offsets, index, side="right") - 1
        pieces = [_gather(self.caches[p], index[part == p] - self.offsets[p]) for p in np.unique(part)]
        order = np.argsort(np.concatenate([np.flatnonzero(part == p) for p in np.unique(part)]), kind="stable")
        graph = _assemble(pieces, dtype) if len(pieces) == 1 else _reordered(pieces, order, dtype)
        return Batch(graph, {t: self._labels(t, index) for t in targets}, index)

    def _labels(self, name: str, index: NDArray[np.int64]) -> Labels:
        column = self.columns[name]
        if column.quantity.level == "site":
            pointers = np.concatenate([[0], np.cumsum(self.atom_counts())])
            index = flat_ranges(pointers[:-1][index], pointers[1:][index])
        return Labels(torch.as_tensor(column.values[index]), torch.as_tensor(column.mask[index]))


def reduced_formulas(numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> list[str]:
    """Reduced formulas of structures of ``counts`` atoms with the ``numbers`` of all atoms in a row."""
    owner = np.repeat(np.arange(len(counts)), counts)
    pairs, amounts = np.unique(owner * 128 + numbers, return_counts=True)
    texts: list[list[tuple[str, int]]] = [[] for _ in counts]
    for pair, amount in zip(pairs.tolist(), amounts.tolist(), strict=True):
        texts[pair // 128].append((chemical_symbols[pair % 128], amount))
    return [_formula(t) for t in texts]


def _formula(content: list[tuple[str, int]]) -> str:
    divisor = math.gcd(*(n for _, n in content))
    return "".join(s + (str(n // divisor) if n != divisor else "") for s, n in sorted(content))


def _source_file(source: str) -> str:
    head, colon, tail = source.rpartition(":")
    return head if colon and tail.isdigit() else source


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
