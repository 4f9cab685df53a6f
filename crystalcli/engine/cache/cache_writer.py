"""Writes graph caches of any size: arrays grow in unnamed files beside the target, then become one HDF5 file.

HDF5 itself writes only the small things. It sets room aside for the large arrays, which are then copied in by plain
writes: a full disk under HDF5 ends the program with a segmentation fault, under plain writes it is an error.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from crystalcli import __version__
from crystalcli.engine.cache import cache_seal
from crystalcli.engine.cache.cache import Column, GraphCache, GraphRecipe
from crystalcli.engine.cache.cache_layout import CHECKS, FAILURE_KEYS, FIELDS, LABELS, SMALL, TAGS
from crystalcli.engine.cache.cache_packing import COUNTS, SHIFTS, PackedGraph, pack
from crystalcli.engine.cache.sealed_array import COPIED, Spool, n_blocks
from crystalcli.engine.run import files
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.hdf5 import datasets
from crystalcli.vocabulary.errors import EnvironmentProblem, InputError, UsageError

SUM = np.dtype(np.uint32)
_MARGIN = 1 << 20


class CacheWriter:
    """Takes graphs one by one; :meth:`finish` makes the file. Use as a context manager.

    Args:
        path: the cache to write; temporary files lie in its folder and have no name, so nothing stays after a crash.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._flat = {
                "structures/sha256": Spool(path.parent, (np.uint8,), (32,)),
                "structures/graph_sha256": Spool(path.parent, (np.uint8,), (32,)),
                "structures/cell": Spool(path.parent, (np.float64,), (3, 3)),
                "structures/pbc": Spool(path.parent, (np.uint8,), (3,)),
                "atoms/positions": Spool(path.parent, (np.float64,), (3,)),
                "atoms/atomic_numbers": Spool(path.parent, (np.uint8,), ()),
                "atoms/degree": Spool(path.parent, COUNTS, ()),
                "edges/neighbor": Spool(path.parent, COUNTS, ()),
                "edges/shift": Spool(path.parent, SHIFTS, (3,)),
            }
        except OSError as problem:
            raise files.environment_problem(problem, path) from problem
        self._ids: list[str] = []
        self._sources: list[str] = []
        self._tags: dict[str, dict[int, str]] = {}
        self._atoms, self._edges = array("q", [0]), array("q", [0])

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in self._flat.values():
            with contextlib.suppress(OSError):  # a full disk has been reported by then
                spool.file.close()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def n_atoms(self) -> int:
        """Atoms taken so far."""
        return self._flat["atoms/degree"].rows

    @property
    def n_edges(self) -> int:
        """Edges taken so far."""
        return self._flat["edges/neighbor"].rows

    def add(self, id: str, source: str, graph: PackedGraph, tags: Mapping[str, str] | None = None) -> None:
        """Append one structure.

        Raises:
            InputError: its per-site fields differ from those of the first, or a text that cannot be stored.
            EnvironmentProblem: disk full.
        """
        if "\0" in "".join((id, source, *(tags or {}).values())):
            raise InputError("its id, source or a tag has a zero byte in it", code="text")
        parts: dict[str, NDArray[Any]] = {
            "structures/sha256": np.frombuffer(graph.sha256, np.uint8)[None],
            "structures/graph_sha256": np.frombuffer(graph.graph_sha256, np.uint8)[None],
            "structures/cell": graph.cell[None],
            "structures/pbc": graph.pbc[None],
            "atoms/positions": graph.positions,
            "atoms/atomic_numbers": graph.atomic_numbers,
            "atoms/degree": graph.degree,
            "edges/neighbor": graph.neighbor,
            "edges/shift": graph.shift,
        }
        parts |= {f"{FIELDS}{k}": v for k, v in graph.fields.items()}
        self._match_fields(parts)
        self._append(parts)
        self.tag(len(self._ids), tags or {})
        self._ids.append(id)
        self._sources.append(source)
        self._atoms.append(len(graph.atomic_numbers))
        self._edges.append(len(graph.neighbor))

    def tag(self, structure: int, tags: Mapping[str, str]) -> None:
        """Give a structure that was taken more tags."""
        for name, text in tags.items():
            self._tags.setdefault(name, {})[structure] = text

    def extend(self, cache: GraphCache, ids: Sequence[str]) -> None:
        """Append all structures of ``cache`` under ``ids``, block by block.

        Raises:
            InputError: other per-site fields, or the cache is damaged. EnvironmentProblem: disk full.
        """
        large = {n: cache.raw(n) for n in cache.array_names}
        self._match_fields(large)
        self._append({"structures/sha256": cache.hashes, "structures/graph_sha256": cache.graph_hashes})
        self._append({"structures/cell": cache.cell, "structures/pbc": cache.pbc.astype(np.uint8)})
        for name, values in large.items():
            step = max(1, COPIED // max(1, values.itemsize * prod(values.shape[1:])))
            for start in range(0, len(values), step):
                self._append({name: cache.part(name, start, min(start + step, len(values)))})
        for name, column in cache.tags.items():
            self._tags.setdefault(name, {}).update({len(self._ids) + k: t for k, t in enumerate(column) if t})
        self._ids += ids
        self._sources += cache.sources
        self._atoms.extend(np.diff(cache.atom_pointers).tolist())
        self._edges.extend(np.diff(cache.edge_pointers).tolist())

    def finish(
        self,
        recipe: GraphRecipe,
        columns: Sequence[Column] = (),
        failures: Sequence[Mapping[str, str]] = (),
        *,
        versions: Mapping[str, str] | None = None,
        inputs: str = "",
    ) -> None:
        """Write the file; equal content gives equal bytes.

        Args:
            recipe: how the graphs were made.
            columns: labels, in the order of the structures.
            failures: rows with the keys of :data:`FAILURE_KEYS`.
            versions: what made the graphs, by name.
            inputs: digest of everything the cache was made from.

        Raises:
            UsageError: a label whose name cannot be stored. EnvironmentProblem: disk full and its like.
        """
        self._refuse_without_room(columns, failures)
        about = {
            "format": cache_seal.FORMAT,
            "version": cache_seal.VERSION,
            "featurizer": recipe.featurizer,
            "options": dict(recipe.options),
            "fields": list(recipe.fields),
            "fingerprint": recipe.fingerprint,
            "versions": {"crystal": __version__} | dict(versions or {}),
            "inputs": inputs,
            "units": {"positions": "Å", "cell": "Å"},
            "labels": [c.quantity.to_json() for c in columns],
        }
        parts = ("values", "mask")
        names = [*SMALL, *self._flat, *(f"{LABELS}{c.quantity.name}/{p}" for c in columns for p in parts)]
        block = cache_seal.block_size([*names, *(CHECKS + n for n in self._flat), *(TAGS + n for n in self._tags)])
        with files.replacing(self.path) as temporary:
            with h5py.File(
                temporary,
                "w",
                userblock_size=block,
                libver=("v110", "v110"),
                track_order=True,
                alignment_threshold=512,
                alignment_interval=64,
                locking=False,
            ) as h:
                _put_texts(h, "about", [json.dumps(about, sort_keys=True)])
                self._write_small(h, columns, failures)
                for name in filter(_is_large, self._flat):
                    _reserve(h, CHECKS + name, SUM, (n_blocks(self._flat[name].n_bytes),))
                for name, spool in self._flat.items():
                    _reserve(h, name, spool.dtype, spool.shape)
                places = {n: (d.id.get_offset(), d.nbytes) for n, d in datasets(h, temporary).items() if d.size}
            with temporary.open("r+b") as out:
                self._fill(out, places)
            large = [places.pop(n) for n in filter(_is_large, self._flat) if n in places]
            cache_seal.write(temporary, large, block, places)

    def _refuse_without_room(self, columns: Sequence[Column], failures: Sequence[Mapping[str, str]]) -> None:
        needed = sum(s.n_bytes for s in self._flat.values())
        needed += needed >> 13  # checksums
        needed += sum(c.values.size * 8 + c.mask.size for c in columns)
        needed += 8 * (len(self._atoms) + len(self._edges))
        needed += _n_bytes(self._ids) + _n_bytes(self._sources)
        needed += sum(_n_bytes(tag.values()) + len(self) for tag in self._tags.values())
        needed += sum(_n_bytes(f.values()) for f in failures)
        free = shutil.disk_usage(self.path.parent).free
        if free < needed + _MARGIN:
            said = f"No space left: {(needed + _MARGIN) / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free"
            raise EnvironmentProblem(f"cannot write: {said}; make room and give the command again", path=self.path)

    def _fill(self, out: IO[bytes], places: Mapping[str, tuple[int, int]]) -> None:
        """Write what is in the spools to its places, and the checksums of the large arrays to theirs."""
        for name, spool in self._flat.items():
            if name in places:
                sums = spool.copy_into(out, places[name][0])
                if _is_large(name):
                    out.seek(places[CHECKS + name][0])
                    out.write(np.array(sums, SUM).tobytes())

    def _write_small(self, h: h5py.File, columns: Sequence[Column], failures: Sequence[Mapping[str, str]]) -> None:
        _put_texts(h, "structures/id", self._ids)
        _put_texts(h, "structures/source", self._sources)
        h["structures/atom_pointers"] = np.cumsum(self._atoms, dtype=np.int64)
        h["structures/edge_pointers"] = np.cumsum(self._edges, dtype=np.int64)
        for column in columns:
            _check_name(column.quantity.name, "label", self.path)
            group = h.create_group(f"{LABELS}{column.quantity.name}", track_order=True)
            group["values"], group["mask"] = column.values.astype(np.float64), column.mask.astype(np.uint8)
        for name, found in sorted(self._tags.items()):
            _check_name(name, "tag", self.path)
            _put_texts(h, f"{TAGS}{name}", [found.get(k, "") for k in range(len(self._ids))])
        for key in FAILURE_KEYS:
            _put_texts(h, f"failures/{key}", [f.get(key, "").replace("\0", "\\x00") for f in failures])

    def _match_fields(self, parts: Mapping[str, NDArray[Any]]) -> None:
        mine = {n: s.shape[1:] for n, s in self._flat.items() if n.startswith(FIELDS)}
        theirs = {n: p.shape[1:] for n, p in parts.items() if n.startswith(FIELDS)}
        if not self._ids:
            for name in sorted(theirs.keys() - mine.keys()):
                self._flat[name] = Spool(self.path.parent, (np.float64,), theirs[name])
        elif mine != theirs:
            raise InputError(f"has per-site fields {_said(theirs)}, others have {_said(mine)}", code="fields")

    def _append(self, parts: Mapping[str, NDArray[Any]]) -> None:
        try:
            for name, values in parts.items():
                self._flat[name].append(values)
        except OSError as problem:
            raise files.environment_problem(problem, self.path) from problem


def write_cache(
    path: Path,
    recipe: GraphRecipe,
    ids: Sequence[str],
    sources: Sequence[str],
    graphs: Sequence[GraphArrays],
    columns: Sequence[Column],
    failures: Sequence[Mapping[str, str]] = (),
    tags: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write graphs that are in memory; see :meth:`CacheWriter.finish`."""
    with CacheWriter(path) as writer:
        for k, graph in enumerate(graphs):
            writer.add(ids[k], sources[k], pack(graph), tags[k] if tags else None)
        writer.finish(recipe, columns, failures)


def _said(fields: Mapping[str, tuple[int, ...]]) -> str:
    """Names of fields, with the numbers per atom where there are several."""
    said = (n.removeprefix(FIELDS) + "".join(f":{k}" for k in tail) for n, tail in sorted(fields.items()))
    return ", ".join(said) or "none"


def _is_large(name: str) -> bool:
    return name.startswith(("atoms/", "edges/"))


def _reserve(h: h5py.File, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Make a contiguous dataset whose room is set aside and not written."""
    if not prod(shape):
        h.create_dataset(name, shape=shape, dtype=dtype)
        return
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_layout(h5py.h5d.CONTIGUOUS)
    settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    settings.set_obj_track_times(False)
    parent, _, last = name.rpartition("/")
    h5py.h5d.create(
        h.require_group(parent).id, last.encode(), h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape), settings
    )


def _n_bytes(texts: Iterable[str]) -> int:
    """Of the texts as they are stored, each with a zero byte."""
    return sum(len(text.encode("utf-8", "surrogatepass")) + 1 for text in texts)


def _put_texts(h: h5py.File, name: str, values: Sequence[str]) -> None:
    data = "".join(f"{v}\0" for v in values).encode("utf-8", "surrogatepass")
    h.create_dataset(name, data=np.frombuffer(data, np.uint8))  # h[name] = would give its group the time


def _check_name(name: str, what: str, path: Path) -> None:
    if not name or "/" in name or name in (".", "..") or "\0" in name:
        raise UsageError(f"{what} '{name}' cannot be a name in a cache; rename it with NAME=KEY", path=path)
