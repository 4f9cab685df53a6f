"""Rows that grow on disk: arrays larger than memory on their way into a file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache_packing import narrow
from crystalcli.engine.cache.sealed_array import checksums

BLOCK = 1 << 24
"""Bytes copied at a time: many blocks of checksums."""


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
        while block := self.file.read(BLOCK):
            wider.write(np.frombuffer(block, self.dtype).astype(self._types[level]).tobytes())
        self.file.close()
        self.file, self._level = wider, level

    def copy_into(self, out: IO[bytes], offset: int) -> list[int]:
        """Write all rows into ``out`` from ``offset`` on; returns the checksums of their blocks."""
        sums: list[int] = []
        self.file.seek(0)
        out.seek(offset)
        while block := self.file.read(BLOCK):
            sums += checksums(block)
            out.write(block)
        return sums


def _unnamed(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)
