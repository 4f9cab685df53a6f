"""The graph cache: many crystals in flat ragged arrays of one HDF5 file, read by one gather per batch.

Layout, version 4 (docs/graph-cache.md), S structures, N atoms and E edges in all:

- ``about``: JSON: featurizer, options, per-site fields asked for, versions, inputs, and what each label means
- ``structures``: id, source (texts); sha256, graph_sha256 (S, 32); atom_pointers, edge_pointers (S + 1,);
  cell (S, 3, 3) Å; pbc (S, 3)
- ``atoms``: positions (N, 3) Å, atomic_numbers (N,), degree (N,) = number of edges of each centre, ``fields/NAME``
- ``edges``: neighbor (E,), counted from the first atom of the structure; shift (E, 3)
- ``checks``: under the name of each array of ``atoms`` and ``edges``, the checksums of its blocks
- ``labels/NAME``: values and mask, (S, …) or (N, …)
- ``tags/NAME``: one text a structure; ``failures``: path, id, stage, code, reason

The large arrays are contiguous, so that they are mapped into memory and never read as a whole. All that is not large is
covered by the seal, which is checked first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache import cache_seal
from crystalcli.engine.cache.cache_layout import (
    CHECKS,
    FIELDS,
    TAGS,
    failures,
    inside,
    large,
    mapped,
    pointers,
    quantities,
    survey,
    texts,
    values_and_mask,
)
from crystalcli.engine.cache.cache_packing import graph_hash, structure_hash
from crystalcli.engine.cache.cache_seal import FORMAT, VERSION
from crystalcli.engine.cache.sealed_array import Ranges, SealedArray
from crystalcli.vocabulary.errors import CrystalError, InputError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.texts import some

LAST_ELEMENT = 118
SHOWN = 3
"""Structures that a message names."""


@dataclass(frozen=True)
class Column:
    """Values of one quantity for all structures (S, …) or all sites (N, …), and where they exist, (S,) or (N,)."""

    quantity: Quantity
    values: NDArray[np.float64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class GraphRecipe:
    """How the graphs were made: two caches with equal recipes can be read as one.

    Args:
        featurizer, options: what makes the edges.
        fields: per-site fields that were asked for, as
            :func:`crystalcli.nouns.structures.site_fields.canonical` names them; a featurizer's own are not among them.
    """

    featurizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Hash of featurizer, options, fields and format."""
        text = json.dumps([FORMAT, VERSION, self.featurizer, dict(self.options), self.fields], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def difference(self, other: GraphRecipe) -> str:
        """What ``self`` has that ``other`` has not, for messages: ``cutoff 6.0 (here 8.0)``; empty if equal."""
        if self.featurizer != other.featurizer:
            return f"featurizer {self.featurizer} (here {other.featurizer})"
        keys = sorted(set(self.options) | set(other.options))
        mine, theirs = self.options, other.options
        said = [f"{k} {mine.get(k)} (here {theirs.get(k)})" for k in keys if mine.get(k) != theirs.get(k)]
        if self.fields != other.fields:
            said.append(f"per-site fields {_listed(self.fields)} (here {_listed(other.fields)})")
        return ", ".join(said)

    def misses(self, needed: GraphRecipe) -> str:
        """What graphs made so lack of what ``needed`` says, as :meth:`difference`; fields beyond it do no harm."""
        here = replace(self, fields=needed.fields) if set(self.fields) >= set(needed.fields) else self
        return here.difference(needed)


def _listed(names: tuple[str, ...]) -> str:
    return ",".join(names) or "none"


class GraphCache:
    """A cache opened for reading; atoms and edges stay on disk, mapped into memory, until gathered.

    Args:
        path: the file.

    Raises:
        UsageError: no such file. InputError: not a cache, of another version, damaged, or larger than its file.
        UnsafeInput: links, or data in other files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        of_one_file(path, self._open)

    def _open(self) -> None:
        cache_seal.check(self.path)
        try:
            with h5py.File(self.path, "r") as h:
                self._read(survey(h, self.path))
        except CrystalError:
            raise
        except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as problem:
            raise InputError(f"not a graph cache, or damaged: {problem}", path=self.path) from problem

    def _read(self, found: Mapping[str, h5py.Dataset]) -> None:
        about = json.loads(texts(found["about"], 1)[0])
        self.recipe = GraphRecipe(str(about["featurizer"]), dict(about["options"]), tuple(map(str, about["fields"])))
        self.versions: dict[str, str] = dict(about["versions"])
        self.inputs_digest = str(about["inputs"])
        self.hashes: NDArray[np.uint8] = found["structures/sha256"][()]
        self.graph_hashes: NDArray[np.uint8] = found["structures/graph_sha256"][()]
        if not (n := len(self.hashes)):
            raise InputError("holds no structure; build it again", path=self.path)
        self.ids, self.sources = (texts(found[f"structures/{k}"], n) for k in ("id", "source"))
        self.tags: dict[str, list[str]] = {k: texts(found[TAGS + k], n) for k in inside(found, TAGS)}
        self.cell: NDArray[np.float64] = found["structures/cell"][()]
        self.pbc: NDArray[np.bool_] = found["structures/pbc"][()].astype(bool)
        self.atom_pointers = pointers(found["structures/atom_pointers"], len(found["atoms/atomic_numbers"]), 1)
        self.edge_pointers = pointers(found["structures/edge_pointers"], len(found["edges/neighbor"]), 0)
        self.failures = failures(found)
        self.columns = {q.name: Column(q, *values_and_mask(q, found)) for q in quantities(about["labels"], found)}
        self.field_names = tuple(inside(found, FIELDS))
        self._arrays = {n: SealedArray(mapped(self.path, found[n]), found[CHECKS + n][()]) for n in large(found)}

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def array_names(self) -> tuple[str, ...]:
        """Paths of the large arrays in the file."""
        return tuple(self._arrays)

    def raw(self, name: str) -> NDArray[Any]:
        """One of the large arrays as it lies in the file, compared with nothing."""
        return self._arrays[name].raw

    def array(self, name: str) -> NDArray[Any]:
        """The whole of a large array, by its path in the file; see :meth:`rows`."""
        return self.part(name, 0, len(self.raw(name)))

    def part(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` of a large array; see :meth:`rows`."""
        self._check(name, np.array([start]), np.array([stop]))
        return self.raw(name)[start:stop]

    def rows(self, name: str, ranges: Ranges) -> NDArray[Any]:
        """Rows of a large array, range after range. What is read for the first time is compared with its checksums.

        Raises:
            InputError: it is not what was written.
        """
        self._check(name, ranges.starts, ranges.stops)
        raw = self.raw(name)
        return np.concatenate([raw[a:b] for a, b in ranges.pairs] or [raw[:0]])

    def damage(self, name: str) -> list[str]:
        """Ids of structures with rows in damaged blocks of a large array: of those that their hashes name."""
        return [i for rows in self._arrays[name].damage() for i in self._owners(name, *rows)]

    def atomic_numbers(self) -> NDArray[np.uint8]:
        """Of all atoms, (N,).

        Raises:
            InputError: one is no element.
        """
        numbers = self.array("atoms/atomic_numbers")
        if len(numbers) and not 1 <= numbers.min() <= numbers.max() <= LAST_ELEMENT:
            raise InputError("damaged: an atom is no element; crystal graphs verify names it", path=self.path)
        return numbers

    def check(self) -> None:
        """Look at every block of the large arrays.

        Raises:
            InputError: one is not as it was written.
        """
        for name in self._arrays:
            self.array(name)

    def _check(self, name: str, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> None:
        if (found := self._arrays[name].first_damage(starts, stops)) is None:
            return
        which = self._owners(name, *found)
        raise InputError(
            f"damaged: {name} of {some(which, SHOWN)} is not what was written; "
            "crystal graphs verify lists all such; build it again",
            path=self.path,
            code="damaged",
        )

    def _owners(self, name: str, first: int, stop: int) -> list[str]:
        """Ids of the structures that own rows ``first`` to ``stop``; only those that changed, where hashes say so."""
        pointers = self.edge_pointers if name.startswith("edges/") else self.atom_pointers
        start = int(np.searchsorted(pointers, first, "right")) - 1
        owners = range(start, int(np.searchsorted(pointers, stop, "left")))
        changed = [k for k in owners if not name.startswith(FIELDS) and Stored(self, k).changed()]
        return [self.ids[k] for k in changed or owners]


def of_one_file(path: Path, read: Callable[[], None]) -> None:
    """Do ``read``, which opens ``path`` several times, again as long as another file is renamed to it meanwhile."""
    while True:
        try:
            file = path.open("rb")  # open all the while: its number is not given to another
        except OSError:
            return read()  # which says why
        with file:
            try:
                read()
            except CrystalError:
                if _is_at(path, file):
                    raise
            else:
                if _is_at(path, file):
                    return None


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        with path.open("rb") as now:
            return os.path.sameopenfile(file.fileno(), now.fileno())
    except OSError:
        return False


@dataclass(frozen=True)
class Stored:
    """Structure ``k`` of a cache as it lies in the file, its blocks compared with no checksum."""

    cache: GraphCache
    k: int

    def of(self, name: str) -> NDArray[Any]:
        """Its rows of a large array."""
        pointers = self.cache.edge_pointers if name.startswith("edges/") else self.cache.atom_pointers
        return self.cache.raw(name)[int(pointers[self.k]) : int(pointers[self.k + 1])]

    def changed(self) -> list[str]:
        """What is not as it was written: ``structure``, ``edges``."""
        numbers, positions = self.of("atoms/atomic_numbers"), self.of("atoms/positions")
        crystal = structure_hash(numbers, positions, self.cache.cell[self.k], self.cache.pbc[self.k])
        edges = graph_hash(self.of("atoms/degree"), self.of("edges/neighbor"), self.of("edges/shift"))
        found = {"structure": (crystal, self.cache.hashes), "edges": (edges, self.cache.graph_hashes)}
        return [what for what, (now, then) in found.items() if now != then[self.k].tobytes()]
