"""The seal of a cache: the sha256 of all bytes that HDF5 has to understand, checked before HDF5 sees them.

HDF5 trusts its files: a few wrong bytes in its own structures, and it loops for ever or dies. The seal stands in the
user block, the room before its data that HDF5 leaves to others: one line with format, version and size of the block,
one with JSON. The large arrays are left out, since they are mapped and never parsed; ``crystal graphs verify`` checks
them. A seal finds damage. It is no signature: who makes a file can make its seal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from crystalcli.vocabulary.errors import InputError, UsageError

FORMAT, VERSION = "crystal-graphs", 2
_MAGIC = FORMAT.encode() + b" "
_SMALLEST, _LARGEST = 1 << 12, 1 << 20
_EACH = 48
"""Bytes of the block for the place of one array, at most."""
_CHUNK = 1 << 20

Places = Sequence[tuple[int, int]]
"""Offset in the file and bytes of every large array."""


def block_size(n_arrays: int) -> int:
    """Bytes of the user block: a power of two, as HDF5 wants it."""
    size = _SMALLEST
    while size < 256 + _EACH * n_arrays:
        size *= 2
    return size


def write(path: Path, places: Places, block: int) -> None:
    """Seal a finished file whose user block has ``block`` bytes."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        told = {"bytes": size, "arrays": sorted(places), "sha256": _digest(file, block, size, sorted(places))}
        text = _MAGIC + f"{VERSION} {block}\n{json.dumps(told)}\n".encode()
        file.seek(0)
        file.write(text.ljust(block, b"\0"))


def is_sealed(path: Path) -> bool:
    """Whether ``path`` begins as a graph cache of some version does; other HDF5 files do not."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def check(path: Path) -> None:
    """Compare the file with its seal.

    Raises:
        UsageError: no such file. InputError: no graph cache, one of another version, or not as it was written.
    """
    try:
        with path.open("rb") as file:
            block, told = _read(file, path)
            size = os.fstat(file.fileno()).st_size
            if size != told["bytes"]:
                raise InputError(f"damaged: has {size} bytes, {told['bytes']} were written", path=path)
            places = [(int(a), int(n)) for a, n in told["arrays"]]
            if _digest(file, block, size, places) != told["sha256"]:
                raise InputError("damaged: not the bytes that were written; build it again", path=path)
    except FileNotFoundError as problem:
        raise UsageError("no such file; crystal build-graphs makes one", path=path) from problem
    except PermissionError as problem:
        raise InputError("no permission to read it", path=path) from problem
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror}", path=path) from problem
    except (KeyError, TypeError, ValueError, RecursionError) as problem:
        raise InputError("damaged: its seal cannot be read; build it again", path=path) from problem


def _read(file: IO[bytes], path: Path) -> tuple[int, dict[str, Any]]:
    line = file.readline(64)
    if not line.startswith(_MAGIC):
        if line.startswith(b"\x89HDF"):
            raise InputError("an HDF5 file, but not a graph cache of this version of crystal", path=path)
        raise InputError("not a graph cache: it is no HDF5 file with a seal of crystal", path=path)
    version, block = map(int, line[len(_MAGIC) :].split())
    if version != VERSION:
        said = f"is a graph cache of version {version}, this crystal reads {VERSION}; build it again"
        raise InputError(said, path=path)
    if not _SMALLEST <= block <= _LARGEST:
        raise ValueError(block)
    told: dict[str, Any] = json.loads(file.readline(block))
    return block, told


def _digest(file: IO[bytes], block: int, size: int, places: Places) -> str:
    """Of all bytes from the end of the user block on that lie in no array."""
    found = hashlib.sha256()
    for start, stop in _between(block, size, places):
        file.seek(start)
        for at in range(start, stop, _CHUNK):
            found.update(file.read(min(_CHUNK, stop - at)))
    return found.hexdigest()


def _between(start: int, size: int, places: Places) -> Iterator[tuple[int, int]]:
    for offset, count in places:
        if offset < start or count < 0 or offset + count > size:
            raise ValueError("arrays overlap, or lie outside the file")
        yield start, offset
        start = offset + count
    yield start, size
