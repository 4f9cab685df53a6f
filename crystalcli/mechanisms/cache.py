"""The graph cache: many crystals in flat ragged arrays of one HDF5 file, read by one gather per batch.

Layout, version 1 (docs/file-formats.md): group ``structures`` (id, source, sha256, atom_pointers, edge_pointers,
cell, pbc), group ``atoms`` (positions, atomic_numbers, degree), group ``edges`` (neighbor, shift), group ``labels``
(one group a quantity: values, mask; attributes unit, level, extensive, classes), table ``failures``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from crystalcli.mechanisms import files
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity

FORMAT, VERSION = "crystal-graphs", 1


@dataclass(frozen=True)
class Column:
    """Values of one quantity for all structures (S,) or all sites (N,), and where they exist."""

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


def structure_hash(graph: GraphArrays) -> bytes:
    """sha256 of the numbers that make a structure (cell, pbc, species, positions)."""
    h = hashlib.sha256()
    for a in (graph.atomic_numbers, graph.positions, graph.cell, graph.pbc):
        h.update(np.ascontiguousarray(a).tobytes())
    return h.digest()


def write_cache(
    path: Path,
    recipe: GraphRecipe,
    ids: Sequence[str],
    sources: Sequence[str],
    graphs: Sequence[GraphArrays],
    columns: Sequence[Column],
    failures: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write one cache; equal inputs give equal bytes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110"), track_order=True) as h:
        h.attrs["format"], h.attrs["version"] = FORMAT, VERSION
        h.attrs["featurizer"], h.attrs["options"] = recipe.featurizer, json.dumps(dict(recipe.options), sort_keys=True)
        h.attrs["fingerprint"] = recipe.fingerprint
        h.attrs["units"] = json.dumps({"positions": "Å", "cell": "Å"})
        text = h5py.string_dtype()
        put = h.create_dataset
        put("structures/id", data=np.array(list(ids), dtype=object), dtype=text)
        put("structures/source", data=np.array(list(sources), dtype=object), dtype=text)
        put("structures/sha256", data=np.array([list(structure_hash(g)) for g in graphs], dtype=np.uint8))
        put("structures/atom_pointers", data=_pointers([g.n_atoms for g in graphs]))
        put("structures/edge_pointers", data=_pointers([g.n_edges for g in graphs]))
        put("structures/cell", data=np.stack([g.cell for g in graphs]))
        put("structures/pbc", data=np.stack([g.pbc for g in graphs]).astype(np.uint8))
        put("atoms/positions", data=np.concatenate([g.positions for g in graphs]))
        put("atoms/atomic_numbers", data=np.concatenate([g.atomic_numbers for g in graphs]).astype(np.uint8))
        degree = [np.bincount(g.edge_index[0], minlength=g.n_atoms) for g in graphs]
        put("atoms/degree", data=np.concatenate(degree).astype(np.int32))
        put("edges/neighbor", data=np.concatenate([g.edge_index[1] for g in graphs]).astype(np.int32))
        put("edges/shift", data=np.concatenate([g.cell_shifts for g in graphs]).astype(np.int16))
        for column in columns:
            group = h.create_group(f"labels/{column.quantity.name}")
            group.attrs.update(column.quantity.to_json())
            group["values"], group["mask"] = column.values, column.mask.astype(np.uint8)
        put("failures", data=json.dumps(list(failures)))
    files.write_bytes(path, buffer.getvalue())


def _pointers(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)


class GraphCache:
    """A cache opened for reading; graph arrays stay on disk (memory-mapped) until gathered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with h5py.File(path, "r") as h:
                self._read_head(h)
                self._arrays = {name: _mapped(path, h[name]) for name in _ON_DISK}
        except (OSError, KeyError) as problem:
            raise InputError(f"not a graph cache: {problem}", path=path) from problem

    def _read_head(self, h: h5py.File) -> None:
        if h.attrs.get("format") != FORMAT or h.attrs.get("version") != VERSION:
            raise InputError(f"not a graph cache of version {VERSION}", path=self.path)
        self.recipe = GraphRecipe(str(h.attrs["featurizer"]), json.loads(h.attrs["options"]))
        self.ids: list[str] = list(h["structures/id"].asstr()[()])
        self.sources: list[str] = list(h["structures/source"].asstr()[()])
        self.tags: dict[str, list[str]] = {n: list(d.asstr()[()]) for n, d in h.get("tags", {}).items()}
        self.hashes: NDArray[np.uint8] = h["structures/sha256"][()]
        self.atom_pointers: NDArray[np.int64] = h["structures/atom_pointers"][()]
        self.edge_pointers: NDArray[np.int64] = h["structures/edge_pointers"][()]
        self.cell: NDArray[np.float64] = h["structures/cell"][()]
        self.pbc: NDArray[np.bool_] = h["structures/pbc"][()].astype(bool)
        self.columns = {name: _column(group) for name, group in h.get("labels", {}).items()}
        self.failures: list[dict[str, str]] = json.loads(h["failures"].asstr()[()])

    def __len__(self) -> int:
        return len(self.ids)

    def array(self, name: str) -> NDArray[Any]:
        """One of the large arrays, by its path in the file."""
        return self._arrays[name]


_ON_DISK = ("atoms/positions", "atoms/atomic_numbers", "atoms/degree", "edges/neighbor", "edges/shift")


def _mapped(path: Path, dataset: h5py.Dataset) -> NDArray[Any]:
    """Map a contiguous dataset into memory: random access without HDF5 in the way."""
    offset = dataset.id.get_offset()
    if offset is None or dataset.size == 0:
        whole: NDArray[Any] = dataset[()]
        return whole
    return np.memmap(path, dtype=dataset.dtype, mode="r", offset=offset, shape=dataset.shape)


def _column(group: h5py.Group) -> Column:
    quantity = Quantity(**{k: (v.item() if hasattr(v, "item") else v) for k, v in group.attrs.items()})
    return Column(quantity, group["values"][()], group["mask"][()].astype(bool))
