"""The graph cache: many crystals in flat ragged arrays of one HDF5 file, read by one gather per batch.

Layout, version 2 (docs/graph-cache.md), S structures, N atoms and E edges in all:

- ``structures``: id, source (texts); sha256, graph_sha256 (S, 32); atom_pointers, edge_pointers (S + 1,);
  cell (S, 3, 3) Å; pbc (S, 3)
- ``atoms``: positions (N, 3) Å, atomic_numbers (N,), degree (N,) = number of edges of each centre, ``fields/NAME``
- ``edges``: neighbor (E,), counted from the first atom of the structure; shift (E, 3)
- ``labels/NAME``: values and mask, (S, …) or (N, …); attributes unit, level, extensive, classes
- ``tags/NAME``: one text a structure; ``failures``: path, id, stage, code, reason

The large arrays are contiguous, so that they are mapped into memory and never read as a whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from crystalcli.mechanisms.caches import cache_seal
from crystalcli.mechanisms.caches.cache_seal import FORMAT, VERSION
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity

FAILURE_KEYS = ("path", "id", "stage", "code", "reason")


@dataclass(frozen=True)
class Column:
    """Values of one quantity for all structures (S, …) or all sites (N, …), and where they exist, (S,) or (N,)."""

    quantity: Quantity
    values: NDArray[np.float64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class GraphRecipe:
    """How the graphs were made: two caches with equal recipes can be read as one."""

    featurizer: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Hash of featurizer, options and format."""
        text = json.dumps([FORMAT, VERSION, self.featurizer, dict(self.options)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def difference(self, other: GraphRecipe) -> str:
        """What ``self`` has that ``other`` has not, for messages: ``cutoff 6.0 (here 8.0)``; empty if equal."""
        if self.featurizer != other.featurizer:
            return f"featurizer {self.featurizer} (here {other.featurizer})"
        keys = sorted(set(self.options) | set(other.options))
        mine, theirs = self.options, other.options
        return ", ".join(f"{k} {mine.get(k)} (here {theirs.get(k)})" for k in keys if mine.get(k) != theirs.get(k))


class GraphCache:
    """A cache opened for reading; atoms and edges stay on disk, mapped into memory, until gathered.

    Args:
        path: the file.

    Raises:
        UsageError: no such file. InputError: not a cache, of another version, damaged, or with links to other files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        of_one_file(path, self._open)

    def _open(self) -> None:
        cache_seal.check(self.path)
        try:
            with h5py.File(self.path, "r") as h:
                self._read(h)
        except InputError:
            raise
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as problem:
            raise InputError(f"not a graph cache, or damaged: {problem}", path=self.path) from problem

    def _read(self, h: h5py.File) -> None:
        _refuse_links(h, self.path)
        self.recipe = GraphRecipe(str(h.attrs["featurizer"]), json.loads(h.attrs["options"]))
        self.versions: dict[str, str] = json.loads(h.attrs["versions"])
        self.inputs_digest = str(h.attrs["inputs"])
        s = h["structures"]
        self.ids, self.sources = texts(s["id"]), texts(s["source"])
        self.tags: dict[str, list[str]] = {n: texts(d) for n, d in h.get("tags", {}).items()}
        self.hashes: NDArray[np.uint8] = s["sha256"][()]
        self.graph_hashes: NDArray[np.uint8] = s["graph_sha256"][()]
        self.atom_pointers: NDArray[np.int64] = s["atom_pointers"][()].astype(np.int64)
        self.edge_pointers: NDArray[np.int64] = s["edge_pointers"][()].astype(np.int64)
        self.cell: NDArray[np.float64] = s["cell"][()]
        self.pbc: NDArray[np.bool_] = s["pbc"][()].astype(bool)
        self.columns = {name: _column(group) for name, group in h.get("labels", {}).items()}
        self.failures = _failures(h["failures"])
        self.field_names = tuple(h.get("atoms/fields", {}))
        names = [*ON_DISK, *(f"atoms/fields/{n}" for n in self.field_names)]
        self._arrays = {name: _mapped(self.path, h[name]) for name in names}
        self._check()

    def _check(self) -> None:
        n = len(self.ids)
        for name, pointers in (("atom", self.atom_pointers), ("edge", self.edge_pointers)):
            if pointers.shape != (n + 1,) or pointers[0] != 0 or (np.diff(pointers) < 0).any():
                raise InputError(f"damaged: {name} pointers of {n} structures do not ascend from 0", path=self.path)
        atoms, edges = int(self.atom_pointers[-1]), int(self.edge_pointers[-1])
        wanted = {
            "structures/source": (np.shape(self.sources), (n,)),
            "structures/sha256": (self.hashes.shape, (n, 32)),
            "structures/graph_sha256": (self.graph_hashes.shape, (n, 32)),
            "structures/cell": (self.cell.shape, (n, 3, 3)),
            "structures/pbc": (self.pbc.shape, (n, 3)),
            "atoms/positions": (self.array("atoms/positions").shape, (atoms, 3)),
            "atoms/atomic_numbers": (self.array("atoms/atomic_numbers").shape, (atoms,)),
            "atoms/degree": (self.array("atoms/degree").shape, (atoms,)),
            "edges/neighbor": (self.array("edges/neighbor").shape, (edges,)),
            "edges/shift": (self.array("edges/shift").shape, (edges, 3)),
        }
        wanted |= {f"tags/{k}": ((len(v),), (n,)) for k, v in self.tags.items()}
        wanted |= {f"atoms/fields/{k}": (self.array(f"atoms/fields/{k}").shape[:1], (atoms,)) for k in self.field_names}
        for name, column in self.columns.items():
            count = n if column.quantity.level == "structure" else atoms
            wanted[f"labels/{name}/values"] = (column.values.shape[:1], (count,))
            wanted[f"labels/{name}/mask"] = (column.mask.shape, (count,))
        for name, (found, expected) in wanted.items():
            if tuple(found) != expected:
                raise InputError(f"damaged: {name} has shape {found}, expected {expected}", path=self.path)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def array_names(self) -> tuple[str, ...]:
        """Paths of the large arrays in the file."""
        return tuple(self._arrays)

    def array(self, name: str) -> NDArray[Any]:
        """One of the large arrays, by its path in the file."""
        return self._arrays[name]


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
            except InputError:
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


ON_DISK = ("atoms/positions", "atoms/atomic_numbers", "atoms/degree", "edges/neighbor", "edges/shift")


def texts(dataset: h5py.Dataset) -> list[str]:
    """All texts of a one-dimensional dataset."""
    return [str(t) for t in dataset.asstr()[()]]


def _refuse_links(group: h5py.Group, path: Path) -> None:
    """A cache holds its data itself: HDF5 would follow links and external storage into any file."""
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"'{name}' is a link, which a graph cache never has", path=path)
        item = group[name]
        if isinstance(item, h5py.Group):
            _refuse_links(item, path)
        elif item.external or item.is_virtual:
            raise InputError(f"'{name}' lies in another file, which a graph cache never does", path=path)


def _mapped(path: Path, dataset: h5py.Dataset) -> NDArray[Any]:
    """Map a contiguous dataset into memory: random access without HDF5 in the way."""
    if dataset.size == 0:
        return np.zeros(dataset.shape, dtype=dataset.dtype)
    offset = dataset.id.get_offset()
    if offset is None:
        raise InputError(f"damaged: {dataset.name} is not contiguous", path=path)
    mapped = np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)
    return mapped.view(np.ndarray)  # slices of a plain array cost a fifth of those of a memmap


def _column(group: h5py.Group) -> Column:
    quantity = Quantity.from_json({k: (v.tolist() if hasattr(v, "tolist") else v) for k, v in group.attrs.items()})
    return Column(quantity, group["values"][()].astype(np.float64), group["mask"][()].astype(bool))


def _failures(group: h5py.Group) -> list[dict[str, str]]:
    rows = zip(*(texts(group[k]) for k in FAILURE_KEYS), strict=True)
    return [dict(zip(FAILURE_KEYS, row, strict=True)) for row in rows]
