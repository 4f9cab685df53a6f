"""What lies where in a cache, compared with the file before it is read, and what is read when it is opened.

A file says of itself how large it is, and HDF5 believes it. Here every dataset must be one that a cache has, lie in one
piece inside the file, have the type it has in a cache, and as many rows as there are structures, atoms or edges.

Raises ValueError, TypeError or KeyError for what cannot be; the cache says so with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache_packing import COUNTS, SHIFTS
from crystalcli.engine.cache.sealed_array import n_blocks
from crystalcli.nouns import hdf5
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import LEVELS, Quantity

FAILURE_KEYS = ("path", "id", "stage", "code", "reason")
FIELDS, LABELS, TAGS, CHECKS = "atoms/fields/", "labels/", "tags/", "checks/"

ROWS = {"structures": "structures/sha256", "atoms": "atoms/atomic_numbers", "edges": "edges/neighbor"}
"""Datasets whose length counts for the others'."""
MOST_CLASSES = 1000
"""Of a label in a cache with fewer structures."""


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


def texts(dataset: h5py.Dataset, count: int | None = None) -> list[str]:
    """Texts of a dataset, of which there must be ``count``."""
    data: bytes = dataset[()].tobytes()
    ended = data.count(b"\0")
    if data[-1:] not in (b"", b"\0") or ended != (ended if count is None else count):
        raise ValueError(f"{dataset.name} holds {ended} texts, expected {count}")
    return data.decode("utf-8", "surrogatepass").split("\0")[:-1]


def pointers(dataset: h5py.Dataset, rows: int, least: int) -> NDArray[np.int64]:
    """Where the rows of each structure begin, of which it has ``least``, and the last ones end."""
    found: NDArray[np.int64] = dataset[()]
    begin, end = found[:-1], found[1:]  # a difference may overflow
    if found[0] != 0 or found[-1] != rows or (end < begin).any() or (end - begin < least).any():
        raise ValueError(f"the pointers in {dataset.name} do not ascend from 0 to {rows}")
    return found


def mapped(path: Path, dataset: h5py.Dataset) -> NDArray[Any]:
    """Map a dataset into memory: random access without HDF5 in the way."""
    if dataset.size == 0:
        return np.zeros(dataset.shape, dtype=dataset.dtype)
    found = np.memmap(path, dtype=dataset.dtype, mode="r", offset=dataset.id.get_offset(), shape=dataset.shape)
    return found.view(np.ndarray)  # slices of a plain array cost a fifth of those of a memmap


def quantities(said: Iterable[Mapping[str, Any]], found: Mapping[str, h5py.Dataset]) -> list[Quantity]:
    """What the labels are; there must be those that are said, and no other."""
    known = [Quantity.from_json(one) for one in said]
    if sorted(q.name for q in known) != sorted(inside(found, LABELS)):
        raise ValueError("the labels are not those that it says it has")
    return known


def values_and_mask(
    quantity: Quantity, found: Mapping[str, h5py.Dataset]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values of a label (S, …) or (N, …), and where there are any, (S,) or (N,)."""
    where = f"{LABELS}{quantity.name}"
    values, mask = found[f"{where}/values"], found[f"{where}/mask"]
    count = len(found[ROWS["atoms" if quantity.level == "site" else "structures"]])
    if (len(values), len(mask)) != (count, count):
        raise ValueError(f"{where} has {len(values)} values and {len(mask)} in its mask, expected {count}")
    shape = quantity.shape and quantity.shape != values.shape[1:]
    if shape or quantity.level not in LEVELS or not 0 <= quantity.classes <= max(count, MOST_CLASSES):
        raise ValueError(f"{where} cannot be {quantity}")
    return values[()], mask[()].astype(bool)


def failures(found: Mapping[str, h5py.Dataset]) -> list[dict[str, str]]:
    """Inputs that could not be used."""
    rows = zip(*(texts(found[f"failures/{k}"]) for k in FAILURE_KEYS), strict=True)
    return [dict(zip(FAILURE_KEYS, row, strict=True)) for row in rows]
