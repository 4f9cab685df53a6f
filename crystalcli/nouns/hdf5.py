"""HDF5 files of strangers: nothing is followed out of the file, and no more is read than the file can hold.

HDF5 gives room for whatever a shape says, follows links into any file, and fills what was never written with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import h5py

from crystalcli.vocabulary.errors import InputError, UnsafeInput

DEEPEST = 8
"""Groups within groups, at most; a group can hold itself."""


def datasets(h: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """All datasets of a file by their paths, of which nothing has been read.

    Raises:
        UnsafeInput: a link, or data in another file. InputError: one thing at two places, groups without end, or what
            is neither group nor dataset.
    """
    found: dict[str, h5py.Dataset] = {}
    seen: set[int] = set()
    left: list[tuple[str, h5py.Group]] = [("", h)]
    while left:
        prefix, group = left.pop()
        for name, item in _members(prefix, group, path):
            if (place := h5py.h5o.get_info(item.id).addr) in seen or name.count("/") > DEEPEST:
                raise InputError(f"damaged: '{name}' is there twice", path=path, code="damaged")
            seen.add(place)
            if isinstance(item, h5py.Group):
                left.append((f"{name}/", item))
            elif isinstance(item, h5py.Dataset):
                found[name] = item
            else:
                raise InputError(f"damaged: '{name}' holds no data", path=path, code="damaged")
    return found


def _members(prefix: str, group: h5py.Group, path: Path) -> Iterator[tuple[str, h5py.HLObject]]:
    for key in group:
        name = f"{prefix}{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise UnsafeInput(f"'{name}' is a link; a file must hold its data itself", path=path, code="unsafe")
        item = group[key]
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise UnsafeInput(f"'{name}' lies in another file; a file must hold its data", path=path, code="unsafe")
        yield name, item


def refuse_implausible(found: Mapping[str, h5py.Dataset], path: Path, times: int = 1) -> None:
    """Refuse datasets that declare more than ``times`` the bytes of the file, each or together.

    Args:
        found: datasets by name.
        path: their file.
        times: 1 for what is stored as it is; more for what is compressed.

    Raises:
        InputError: the file cannot hold what they declare.
    """
    size, whole = path.stat().st_size, 0
    for name, dataset in found.items():
        each = _room(dataset)
        whole += each
        if whole > times * size:
            said = f"implausible size: '{name}' declares {each:,} bytes, {whole:,} with those before it"
            raise InputError(f"{said}; the file has {size:,}", path=path, code="damaged")


def _room(dataset: h5py.Dataset) -> int:
    """Bytes that reading takes: of the shape, or of one chunk where that is more."""
    numbers = prod(dataset.shape or (0,)) if dataset.shape != () else 1
    return max(numbers, prod(dataset.chunks or (0,))) * int(dataset.id.get_type().get_size())
