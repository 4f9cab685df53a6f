"""What lies where in a cache, compared with the file before any of it is read: names, types, shapes, and room.

A file says of itself how large it is, and HDF5 believes it. Here every dataset must be one that a cache has, lie in one
piece inside the file, have the type it has in a cache, and as many rows as there are structures, atoms or edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import h5py
import numpy as np

from crystalcli.engine.cache.cache_packing import COUNTS, SHIFTS
from crystalcli.engine.cache.sealed_array import n_blocks
from crystalcli.nouns import hdf5
from crystalcli.vocabulary.errors import InputError

FAILURE_KEYS = ("path", "id", "stage", "code", "reason")
FIELDS, LABELS, TAGS, CHECKS = "atoms/fields/", "labels/", "tags/", "checks/"


@dataclass(frozen=True)
class CachePlace:
    """What a dataset must be.

    Args:
        types: of its numbers, one of them.
        rows: what it has one row of, or how many rows; ``""`` for as many as it likes.
        tail: shape of a row; None for any.
    """

    types: tuple[type[np.generic], ...]
    rows: str | int
    tail: tuple[int, ...] | None = ()


TEXT = CachePlace((np.uint8,), "")
"""Texts in UTF-8, each ended by a zero byte."""
LARGE = {
    "atoms/positions": CachePlace((np.float64,), "atoms", (3,)),
    "atoms/atomic_numbers": CachePlace((np.uint8,), "atoms"),
    "atoms/degree": CachePlace(COUNTS, "atoms"),
    "edges/neighbor": CachePlace(COUNTS, "edges"),
    "edges/shift": CachePlace(SHIFTS, "edges", (3,)),
}
"""Arrays that stay on disk; fields are others."""
FIELD = CachePlace((np.float64,), "atoms", None)
SMALL = {
    "about": TEXT,
    "structures/id": TEXT,
    "structures/source": TEXT,
    "structures/sha256": CachePlace((np.uint8,), "structures", (32,)),
    "structures/graph_sha256": CachePlace((np.uint8,), "structures", (32,)),
    "structures/atom_pointers": CachePlace((np.int64,), "pointers"),
    "structures/edge_pointers": CachePlace((np.int64,), "pointers"),
    "structures/cell": CachePlace((np.float64,), "structures", (3, 3)),
    "structures/pbc": CachePlace((np.uint8,), "structures", (3,)),
    **{f"failures/{key}": TEXT for key in FAILURE_KEYS},
}
"""What is read when a cache is opened; labels and tags are others."""
ROWS = {"structures": "structures/sha256", "atoms": "atoms/atomic_numbers", "edges": "edges/neighbor"}
"""Datasets whose length counts for the others'."""


def survey(h: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """All datasets of a cache by their paths, none of them read.

    Raises:
        UnsafeInput: links, or data in other files. InputError: this is not how a cache is laid out.
    """
    found = hdf5.datasets(h, path)
    hdf5.refuse_implausible(found, path)
    needed = [*SMALL, *LARGE, *(CHECKS + name for name in large(found))]
    needed += [f"{LABELS}{name}/{part}" for name in inside(found, LABELS) for part in ("values", "mask")]
    size = path.stat().st_size
    try:
        if lacking := [name for name in needed if name not in found]:
            raise ValueError(f"{lacking[0]} is missing")
        count = {what: len(found[name]) for what, name in ROWS.items()}
        count["pointers"] = count["structures"] + 1
        for name, dataset in found.items():
            _must_be(_place(name, found), name, dataset, count)
            _must_lie_in(size, name, dataset)
    except (ValueError, TypeError) as problem:
        raise InputError(f"damaged: {problem}; build it again", path=path, code="damaged") from problem
    return found


def large(found: Mapping[str, h5py.Dataset]) -> list[str]:
    """Names of the arrays that stay on disk."""
    return [*LARGE, *(name for name in found if name.startswith(FIELDS))]


def inside(found: Mapping[str, h5py.Dataset], group: str) -> list[str]:
    """Names in ``group``, which ends with a slash."""
    return list(dict.fromkeys(name[len(group) :].split("/")[0] for name in found if name.startswith(group)))


def _place(name: str, found: Mapping[str, h5py.Dataset]) -> CachePlace:
    group, _, last = name.rpartition("/")
    if known := (SMALL | LARGE).get(name):
        return known
    if f"{group}/" in (FIELDS, TAGS):
        return FIELD if f"{group}/" == FIELDS else TEXT
    if name.startswith(LABELS) and last in ("values", "mask") and name.count("/") == 2:
        return CachePlace((np.float64,), "", None) if last == "values" else CachePlace((np.uint8,), "")
    array = found.get(name.removeprefix(CHECKS))
    if array is None or not name.startswith(CHECKS):
        raise ValueError(f"{name} is nothing that a cache has")
    return CachePlace((np.uint32,), n_blocks(_n_bytes(array)))


def _must_lie_in(size: int, name: str, dataset: h5py.Dataset) -> None:
    """In one piece, in a file of ``size`` bytes: what was never written reads as zeros otherwise."""
    settings, n_bytes = dataset.id.get_create_plist(), _n_bytes(dataset)
    if settings.get_layout() != h5py.h5d.CONTIGUOUS or settings.get_nfilters():
        raise ValueError(f"{name} does not lie in one piece")
    offset = dataset.id.get_offset()
    if n_bytes and (offset is None or offset + n_bytes > size or dataset.id.get_storage_size() != n_bytes):
        raise ValueError(f"{name} is not in the file")


def _must_be(place: CachePlace, name: str, dataset: h5py.Dataset, count: Mapping[str, int]) -> None:
    if dataset.dtype not in [np.dtype(t) for t in place.types]:
        raise ValueError(f"{name} has numbers of type {dataset.dtype}")
    shape = tuple(dataset.shape)
    rows = place.rows if isinstance(place.rows, int) else count.get(place.rows, *shape[:1])
    expected = (rows, *(shape[1:] if place.tail is None else place.tail))
    if shape != expected:
        raise ValueError(f"{name} has shape {shape}, expected {expected}")


def _n_bytes(dataset: h5py.Dataset) -> int:
    return int(prod(dataset.shape)) * int(dataset.dtype.itemsize)
