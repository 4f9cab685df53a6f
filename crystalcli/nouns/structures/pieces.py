"""A large file of many structures, cut into pieces that several processes read at once.

Pieces depend on nothing but the file, so that work that was cut short goes on with the same ones. What a file says in
the last of them may be damaged: it is read to its end, and reading says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from crystalcli.nouns.structures.text import MAX_LINE_BYTES

SIZE = 1 << 21
"""Bytes of text in a piece."""
PACKED = 16
"""Pieces of a packed file, at most: all that stands before a piece is unpacked to reach it."""
PACKED_SIZE = 1 << 29
"""Bytes of text in a packed file, beyond which it is read by one process."""

Start = tuple[int, int]
"""Where a structure begins: bytes, and lines, of the unpacked file before it."""


@dataclass(frozen=True)
class Piece:
    """Structures that follow each other in a file.

    Args:
        first: number of the first, from 0.
        offset, line: where it begins.
        count: how many there are; none for all that follow.
    """

    first: int = 0
    offset: int = 0
    line: int = 0
    count: int | None = None


WHOLE = Piece()


def cut(starts: Iterator[Start], *, packed: bool = False) -> tuple[Piece, ...]:
    """Pieces of a file whose structures begin at ``starts``; the whole file where more would be no gain."""
    marks: list[tuple[int, Start]] = []
    for number, start in enumerate(starts):
        if packed and start[0] > PACKED_SIZE:
            return (WHOLE,)
        if not marks or start[0] - marks[-1][1][0] >= SIZE:
            marks.append((number, start))
    if packed:
        marks = marks[:: -(-len(marks) // PACKED) or 1]
    if len(marks) < 2:
        return (WHOLE,)
    ends: list[int | None] = [number for number, _ in marks[1:]]
    return tuple(
        Piece(number, *start, end if end is None else end - number)
        for (number, start), end in zip(marks, [*ends, None], strict=True)
    )


class PlainLines:
    """Lines of a file as Latin-1, in which every delimiter is what it is in UTF-8, and how far they have been read.

    They end where a line is not as in most files: without an end within :data:`MAX_LINE_BYTES`, in UTF-16, or with a
    lone carriage return, which is the end of a line for those who read text.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.offset = self.line = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE_BYTES)
        if not raw or len(raw) >= MAX_LINE_BYTES or b"\0" in raw:
            raise StopIteration
        if b"\r" in raw and raw.find(b"\r") != len(raw) - 2:
            raise StopIteration
        self.offset += len(raw)
        self.line += 1
        return raw.decode("latin-1")

    @property
    def here(self) -> Start:
        """Where the next line begins."""
        return self.offset, self.line


def is_packed(path: Path) -> bool:
    """Whether the file is gzip, by its content."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"
