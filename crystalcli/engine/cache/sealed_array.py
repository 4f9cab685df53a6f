"""Large arrays on disk: grown row by row, then mapped into memory, each block checked when it is first read.

The checksum is the CRC-32 of every 64 KiB: it finds all single wrong bits and all damage within four bytes, any other
but for one in 4·10⁹, and runs at the speed of memory on every processor. Like the seal it finds damage, not forgery.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache_packing import narrow

BLOCK = 1 << 16
"""Bytes of a block. A part of the format."""

COPIED = 1 << 24
"""Bytes copied at a time: many blocks of checksums."""


def n_blocks(n_bytes: int) -> int:
    """Number of blocks of so many bytes; the last one may be short."""
    return -(-n_bytes // BLOCK)


def checksums(data: bytes) -> list[int]:
    """CRC-32 of every block of ``data``."""
    view = memoryview(data)
    return [zlib.crc32(view[k : k + BLOCK]) for k in range(0, len(data), BLOCK)]


def flat_ranges(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate ``arange(start, stop)`` of all pairs."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    index: NDArray[np.int64] = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return index


class Ranges(NamedTuple):
    """Starts and stops of some ranges of rows, as arrays (n,) and as pairs."""

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    pairs: list[tuple[int, int]]

    @classmethod
    def of(cls, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Ranges:
        """From two arrays."""
        return cls(starts, stops, list(zip(starts.tolist(), stops.tolist(), strict=True)))


class SealedArray:
    """An array as it lies in the file, and what is known of its blocks.

    Args:
        raw: contiguous, (n, …).
        sums: checksum of every block, (blocks,).
    """

    def __init__(self, raw: NDArray[Any], sums: NDArray[np.uint32]) -> None:
        self.raw = raw
        self._bytes = raw.reshape(-1).view(np.uint8).data
        self._row = max(1, raw.itemsize * prod(raw.shape[1:]))
        self._sums = sums
        self._sound = np.zeros(len(sums), dtype=bool)
        self._all_sound = not len(sums)

    def first_damage(self, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> tuple[int, int] | None:
        """Look at the blocks of rows ``starts`` to ``stops`` that nobody has looked at yet.

        Returns:
            Rows (from, to) of the first block that is damaged; None if all are sound.
        """
        if self._all_sound:
            return None
        some = stops > starts
        first, last = starts[some] * self._row // BLOCK, (stops[some] * self._row - 1) // BLOCK
        blocks = np.unique(flat_ranges(first, last + 1))
        for k in blocks[~self._sound[blocks]].tolist():
            if not self._is_sound(k):
                return self._rows(k)
            self._sound[k] = True
        self._all_sound = bool(self._sound.all())
        return None

    def damage(self) -> list[tuple[int, int]]:
        """Rows (from, to) of every block that is damaged."""
        return [self._rows(k) for k in range(len(self._sums)) if not self._is_sound(k)]

    def _is_sound(self, k: int) -> bool:
        return zlib.crc32(self._bytes[k * BLOCK : (k + 1) * BLOCK]) == int(self._sums[k])

    def _rows(self, k: int) -> tuple[int, int]:
        return k * BLOCK // self._row, min(len(self.raw), -(-(k + 1) * BLOCK // self._row))


class Spool:
    """Rows that grow in an unnamed file, in the narrowest type that has held them all.

    Args:
        folder: where the file lies; it vanishes with the program, however that ends.
        types: number types that will do, narrow first.
        tail: shape of one row.
    """

    def __init__(self, folder: Path, types: Sequence[type[np.generic]], tail: tuple[int, ...]) -> None:
        self.file = _unnamed(folder)
        self._folder, self._types, self._tail = folder, tuple(types), tail
        self._integers = tuple(t for t in self._types if issubclass(t, np.integer))
        self._level = self.rows = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the rows so far."""
        return np.dtype(self._types[self._level])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all rows so far."""
        return (self.rows, *self._tail)

    @property
    def n_bytes(self) -> int:
        """Bytes of all rows so far."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def append(self, values: NDArray[Any]) -> None:
        """Add rows. Raises OSError when the disk is full."""
        if len(self._types) > 1 and values.dtype != self.dtype:
            level = self._types.index(narrow(values, self._integers).dtype.type)
            if level > self._level:
                self._widen(level)
        self.file.write(np.ascontiguousarray(values, dtype=self.dtype).tobytes())
        self.rows += len(values)

    def _widen(self, level: int) -> None:
        wider = _unnamed(self._folder)
        self.file.seek(0)
        while block := self.file.read(COPIED):
            wider.write(np.frombuffer(block, self.dtype).astype(self._types[level]).tobytes())
        self.file.close()
        self.file, self._level = wider, level

    def copy_into(self, out: IO[bytes], offset: int) -> list[int]:
        """Write all rows into ``out`` from ``offset`` on; returns the checksums of their blocks."""
        sums: list[int] = []
        self.file.seek(0)
        out.seek(offset)
        while block := self.file.read(COPIED):
            sums += checksums(block)
            out.write(block)
        return sums


def _unnamed(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)
