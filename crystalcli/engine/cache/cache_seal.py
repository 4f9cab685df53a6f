"""The seal of a cache: the sha256 of all bytes that HDF5 has to understand, checked before HDF5 sees them.

HDF5 trusts its files: a few wrong bytes in its own structures, and it loops for ever or dies. The seal stands in the
user block, the room before its data that HDF5 leaves to others: one line with format, version and size of the block,
one with JSON. The large arrays are left out, since they are mapped and never parsed; their checksums are sealed, and
compared when they are read. A seal finds damage. It is no signature: who makes a file can make its seal.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from crystalcli.vocabulary.errors import InputError, UsageError

FORMAT, VERSION = "crystal-graphs", 4
_MAGIC = FORMAT.encode() + b" "
_SMALLEST, _LARGEST = 1 << 12, 1 << 20
_EACH = 64
"""Bytes of the block for the place of one dataset, at most, beside its name."""
_CHUNK = 1 << 20

Places = Sequence[tuple[int, int]]
"""Offset in the file and bytes of every large array."""


def block_size(names: Iterable[str]) -> int:
    """Bytes of the user block for datasets of these names: a power of two, as HDF5 wants it."""
    size, needed = _SMALLEST, 256 + sum(_EACH + len(json.dumps(n)) for n in names)
    while size < min(needed, _LARGEST):
        size *= 2
    return size


def write(path: Path, places: Places, block: int, small: Mapping[str, tuple[int, int]] | None = None) -> None:
    """Seal a finished file whose user block has ``block`` bytes.

    Args:
        path: the file.
        places: of the large arrays.
        block: as :func:`block_size` said.
        small: places of the other datasets by name: damage there can be named. Left out where there is no room.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        told = {"bytes": size, "arrays": sorted(places), "sha256": _digest(file, block, size, sorted(places))}
        named = {name: [at, n, _crc(file, at, n)] for name, (at, n) in (small or {}).items()}
        text = next(t for t in (_text(block, told | {"small": named}), _text(block, told)) if len(t) < block)
        file.seek(0)
        file.write(text.ljust(block, b"\0"))


def _text(block: int, told: Mapping[str, Any]) -> bytes:
    return _MAGIC + f"{VERSION} {block}\n{json.dumps(told)}\n".encode()


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
                where = _damaged(file, told.get("small", {})) or "the HDF5 structure around its arrays"
                raise InputError(f"damaged: {where} is not what was written; build it again", path=path)
    except FileNotFoundError as problem:
        raise UsageError("no such file; crystal build-graphs makes one", path=path) from problem
    except PermissionError as problem:
        raise InputError("no permission to read it", path=path) from problem
    except OSError as problem:
        raise InputError(f"cannot be read: {problem.strerror}", path=path) from problem
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
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


def _damaged(file: IO[bytes], small: Mapping[str, Sequence[int]]) -> str:
    """The small dataset that is not what was written, if it is one."""
    return next((name for name, (at, n, crc) in small.items() if _crc(file, at, n) != crc), "")


def _crc(file: IO[bytes], at: int, n_bytes: int) -> int:
    found = 0
    file.seek(at)
    for done in range(0, n_bytes, _CHUNK):
        found = zlib.crc32(file.read(min(_CHUNK, n_bytes - done)), found)
    return found


def _between(start: int, size: int, places: Places) -> Iterator[tuple[int, int]]:
    for offset, count in places:
        if offset < start or count < 0 or offset + count > size:
            raise ValueError("arrays overlap, or lie outside the file")
        yield start, offset
        start = offset + count
    yield start, size
