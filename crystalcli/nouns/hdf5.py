"""HDF5 files of strangers: nothing is followed out of the file, and no more is read than the file can hold.

HDF5 gives room for whatever a shape says, follows links into any file, and fills what was never written with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

import h5py

from crystalcli.vocabulary.errors import InputError, UnsafeInput


def datasets(h: h5py.File, path: Path) -> dict[str, h5py.Dataset]:
    """All datasets of a file by their paths, of which nothing has been read.

    Raises:
        UnsafeInput: a link, or data in another file. InputError: one thing at two places (a group can hold itself), or
            what is neither group nor dataset.
    """
    found: dict[str, h5py.Dataset] = {}
    seen: set[int] = set()
    left: list[tuple[str, h5py.h5g.GroupID]] = [("", h.id)]
    while left:
        prefix, group = left.pop()
        for key in group:
            name, link = prefix + key.decode(errors="surrogateescape"), group.links.get_info(key)
            if link.type != h5py.h5l.TYPE_HARD:
                raise UnsafeInput(f"'{name}' is a link; a file must hold its data itself", path=path, code="unsafe")
            if link.u in seen:
                raise InputError(f"damaged: '{name}' is there twice", path=path, code="damaged")
            seen.add(link.u)
            item = h5py.h5o.open(group, key)
            if isinstance(item, h5py.h5g.GroupID):
                left.append((f"{name}/", item))
            elif isinstance(item, h5py.h5d.DatasetID):
                found[name] = h5py.Dataset(item)
                _refuse_elsewhere(name, item, path)
            else:
                raise InputError(f"damaged: '{name}' holds no data", path=path, code="damaged")
    return found


def _refuse_elsewhere(name: str, dataset: h5py.h5d.DatasetID, path: Path) -> None:
    settings = dataset.get_create_plist()
    if settings.get_layout() == h5py.h5d.VIRTUAL or settings.get_external_count():
        raise UnsafeInput(f"'{name}' lies in another file; a file must hold its data", path=path, code="unsafe")


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
