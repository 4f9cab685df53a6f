"""What is read when a cache is opened, from datasets that :mod:`cache_layout` has looked at.

Raises ValueError, TypeError or KeyError for what cannot be; the cache says so with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache_layout import FAILURE_KEYS, LABELS, ROWS, inside
from crystalcli.vocabulary.quantities import LEVELS, Quantity

MOST_CLASSES = 1000
"""Of a label in a cache with fewer structures."""


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
