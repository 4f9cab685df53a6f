"""Batches and facts out of one or several caches; the graphs themselves stay on disk until a batch asks for them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.modules import Labels
from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.cache.cache_union import check_together, distinct_ids, joined_columns
from crystalcli.engine.cache.gather import assemble, fault, gather, join
from crystalcli.engine.cache.sealed_array import flat_ranges
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import InputError


@dataclass(frozen=True)
class Batch:
    """A graph, its labels by quantity name, and the positions of its structures in the data set."""

    graph: CrystalGraph
    labels: dict[str, Labels]
    index: NDArray[np.int64]


class GraphDataset:
    """Several caches with one recipe, read as one.

    A label that only some caches have is missing (masked) in the others. Ids that occur in several caches are kept
    apart by the name of the cache, see :func:`crystalcli.engine.cache.cache_union.distinct_ids`.

    ``inputs`` names labels that a model reads: numbers per structure that every batch holds as fields, the same at all
    sites of a structure, 0 where there is none.

    Args:
        caches: in this order.
        unlabelled: so many of the last have no labels, whatever they hold.

    Raises:
        UsageError: no cache, different recipes, one label with two meanings, or one id in two caches of one name.
    """

    def __init__(self, caches: Sequence[GraphCache], unlabelled: int = 0) -> None:
        check_together(caches)
        self.caches = list(caches)
        self.recipe = caches[0].recipe
        self.ids = distinct_ids(caches)
        self.offsets = np.concatenate([[0], np.cumsum([len(c) for c in caches])])
        self.columns = joined_columns(caches, caches[: len(caches) - unlabelled])
        self.field_names = caches[0].field_names
        self.inputs: tuple[str, ...] = ()

    @classmethod
    def open(cls, paths: Sequence[Path]) -> GraphDataset:
        """Open ``paths`` as one data set.

        Raises:
            InputError: a file is no cache. UsageError: they do not go together.
        """
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

    @cached_property
    def _atom_counts(self) -> NDArray[np.int64]:
        return np.concatenate([np.diff(c.atom_pointers) for c in self.caches])

    def atom_counts(self) -> NDArray[np.int64]:
        """Number of atoms of every structure, (S,)."""
        return self._atom_counts

    def edge_counts(self) -> NDArray[np.int64]:
        """Number of edges of every structure, (S,)."""
        return np.concatenate([np.diff(c.edge_pointers) for c in self.caches])

    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic number of every atom of every structure, (N,); structure k owns ``atom_counts()[k]`` of them."""
        return np.concatenate([c.atomic_numbers() for c in self.caches]).astype(np.int64)

    def formulas(self) -> list[str]:
        """Reduced formula of every structure, elements in alphabetical order (``Al2O3``)."""
        return reduced_formulas(self.atomic_numbers(), self.atom_counts())

    def elements(self, index: NDArray[np.int64] | None = None) -> list[int]:
        """Atomic numbers that occur, sorted; of structures ``index`` only if given."""
        numbers = self.atomic_numbers()
        return [int(z) for z in np.unique(numbers if index is None else numbers[self.atoms_of(index)])]

    def runs(self) -> tuple[list[str], NDArray[np.int64]]:
        """Source file of every structure, and its place (0, 1, …) among the structures of that file, (S,)."""
        names = [source_file(s) for s in self.sources]
        seen: Counter[str] = Counter()
        order = np.empty(len(names), dtype=np.int64)
        for k, name in enumerate(names):
            order[k] = seen[name]
            seen[name] += 1
        return names, order

    def structure_hashes(self) -> NDArray[np.uint8]:
        """sha256 of every structure, (S, 32): equal rows are equal crystals."""
        return np.concatenate([c.hashes for c in self.caches])

    def batch(self, index: NDArray[np.int64], targets: Sequence[str] = (), dtype: torch.dtype = torch.float32) -> Batch:
        """Gather structures ``index`` in the order given; the graph's floats have ``dtype``, labels are float64.

        Raises:
            InputError: the graph of one of them is damaged; it is named.
        """
        index = np.asarray(index, dtype=np.int64)
        if len(self.caches) == 1:
            piece = gather(self.caches[0], index)
        else:
            part = np.searchsorted(self.offsets, index, side="right") - 1
            used = np.unique(part)
            whole = join([gather(self.caches[p], index[part == p] - self.offsets[p]) for p in used])
            order = np.argsort(np.concatenate([np.flatnonzero(part == p) for p in used]), kind="stable")
            piece = whole.take(order)
        if (found := fault(piece)) is not None:
            raise self._damaged(int(index[found[0]]), found[1])
        graph = assemble(piece, dtype)
        if self.inputs:
            given = {n: torch.from_numpy(self._input(n, index)).to(dtype) for n in self.inputs}
            graph = replace(graph, fields={**graph.fields, **given})
        return Batch(graph, {t: self._labels(t, index) for t in targets}, index)

    def _damaged(self, k: int, said: str) -> InputError:
        cache = self.caches[int(np.searchsorted(self.offsets, k, side="right")) - 1]
        return InputError(
            f"damaged: {self.ids[k]}: {said}; crystal graphs verify lists all such; build it again",
            path=cache.path,
            code="damaged",
        )

    def _input(self, name: str, index: NDArray[np.int64]) -> NDArray[np.float64]:
        column = self.columns.get(name)
        values = np.where(column.mask[index], column.values[index], 0.0) if column else np.zeros(len(index))
        return np.repeat(values, self._atom_counts[index])

    def _labels(self, name: str, index: NDArray[np.int64]) -> Labels:
        column = self.columns[name]
        if column.quantity.level == "site":
            index = self.atoms_of(index)
        return Labels(torch.as_tensor(column.values[index]), torch.as_tensor(column.mask[index]))

    def atoms_of(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the atoms of structures ``index`` among all atoms."""
        stops = np.cumsum(self._atom_counts)
        return flat_ranges((stops - self._atom_counts)[index], stops[index])


def reduced_formulas(numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> list[str]:
    """Reduced formulas of structures of ``counts`` atoms with the ``numbers`` of all atoms in a row."""
    owner = np.repeat(np.arange(len(counts)), counts)
    pairs, amounts = np.unique(owner * 128 + numbers, return_counts=True)
    contents: list[list[tuple[str, int]]] = [[] for _ in counts]
    for pair, amount in zip(pairs.tolist(), amounts.tolist(), strict=True):
        contents[pair // 128].append((chemical_symbols[pair % 128], amount))
    return [_formula(c) for c in contents]


def source_file(source: str) -> str:
    """``PATH`` of ``PATH`` or ``PATH:FRAME``."""
    head, colon, tail = source.rpartition(":")
    return head if colon and tail.isdigit() else source


def _formula(content: list[tuple[str, int]]) -> str:
    divisor = math.gcd(*(n for _, n in content))
    return "".join(s + (str(n // divisor) if n != divisor else "") for s, n in sorted(content))
