"""Bytes of a file → clean text, or a plain word about what the file is instead.

Knows gzip (by content), byte-order marks, UTF-16, Latin-1 and every kind of line end; refuses what is no text at all.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from crystalcli.vocabulary.errors import InputError, UnsafeInput

MAX_TEXT = 256 * 2**20
"""Largest text of one structure, bytes; a POSCAR of a million atoms has 60 MB."""
MAX_LINE_BYTES = 64 * 2**20
"""Longest line in a file that is streamed."""
MAX_ATOMS = 5_000_000
"""Of one structure in a text; a larger number is no number of atoms."""
_BOMB_SIZE, _BOMB_RATIO = 64 * 2**20, 200
_CHUNK = 2**20
_BLOCK = 2**16
"""A small text is read into a small buffer: asking for the limit at once maps and unmaps it for every file."""
_BLANK = 10_000
_SNIFF = 4096
_DOS_END = b"\x1a"


def regular(path: Path) -> None:
    """Refuse what is not a regular file before anything opens it (a FIFO would be waited on for ever).

    Raises:
        InputError: missing, dangling link, folder, device, FIFO or socket.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        link = path.is_symlink()
        reason = "not a regular file: a link that leads nowhere" if link else "no such file"
        if not link and set(str(path)) & set("*?["):
            reason = "no file matches"
        raise InputError(reason, path=path, code="missing") from None
    except OSError as problem:
        raise InputError(f"cannot be looked at: {problem.strerror}", path=path, code="missing") from None
    if not stat.S_ISREG(mode):
        kind = "a folder without structure files" if stat.S_ISDIR(mode) else "a FIFO, socket or device"
        raise InputError(f"not a regular file: {kind}", path=path, code="not-regular")


def refuse_bomb(path: Path, packed: int, size: int) -> None:
    """Refuse a file of ``packed`` bytes that holds ``size`` bytes and more: as much as no honest data are packed.

    Raises:
        UnsafeInput: says both.
    """
    if size > _BOMB_SIZE and size > _BOMB_RATIO * max(packed, 1):
        raise UnsafeInput(f"archive bomb: {packed} bytes unpack to more than {_BOMB_SIZE}", path=path, code="bomb")


class Bounded(io.RawIOBase):
    """A gzip stream that refuses to grow without bound; reads like a raw binary file."""

    def __init__(self, path: Path) -> None:
        self._path, self._size, self._packed = path, 0, max(path.stat().st_size, 1)
        self._stream = gzip.open(path, "rb")  # noqa: SIM115 - closed with this object

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: object) -> int:
        """Read into ``buffer``; raises InputError for damaged data and UnsafeInput for an archive bomb."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        try:
            data = self._stream.read(min(len(view), _CHUNK))
        except (EOFError, zlib.error, gzip.BadGzipFile) as problem:
            raise InputError(f"damaged gzip: {problem}", path=self._path, code="bad-gzip") from problem
        self._size += len(data)
        refuse_bomb(self._path, self._packed, self._size)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the gzip stream too."""
        if not self.closed:
            self._stream.close()
        super().close()


def open_bytes(path: Path) -> IO[bytes]:
    """Open a regular file for reading, unpacking gzip by its content, never by its name alone.

    Raises:
        InputError: not a regular file, an archive of files, empty, zero-filled, or a ``.gz`` that is none.
    """
    regular(path)
    file = path.open("rb")
    try:
        magic = file.peek(8)[:8]
        if not magic:
            raise InputError("empty file", path=path, code="empty")
        if magic[:2] == b"\x1f\x8b":
            file.close()
            return io.BufferedReader(Bounded(path), _CHUNK)
        if path.name.lower().endswith(".gz"):
            raise InputError("named .gz but not gzip", path=path, code="bad-gzip")
        for sign, kind in _ARCHIVES.items():
            if magic.startswith(sign):
                raise InputError(f"is {kind}; unpack it first", path=path, code="archive")
    except BaseException:
        file.close()
        raise
    return file


_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x89HDF": "HDF5 that no installed reader knows",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
}


def read_text(path: Path) -> str:
    r"""Whole text of ``path`` with ``\n`` line ends.

    Raises:
        InputError: what :func:`open_bytes` and :func:`decode` refuse, or more than :data:`MAX_TEXT` bytes.
    """
    blocks, size = [], 0
    with open_bytes(path) as file:
        while block := file.read(_BLOCK):
            blocks.append(block)
            size += len(block)
            if size > MAX_TEXT:
                raise InputError(
                    f"larger than {MAX_TEXT // 2**20} MB, which is read as a whole; split it, or write extended XYZ or "
                    "a CSV with CIF texts, which are read piece by piece",
                    path=path,
                    code="too-large",
                )
    return decode(b"".join(blocks), path)


def decode(data: bytes, path: Path | None = None) -> str:
    """Text of ``data``: UTF-8 with or without a mark, UTF-16 with one, else Latin-1.

    Raises:
        InputError: nothing in it, NUL bytes, or something that is recognised as no data.
    """
    if data.rfind(_DOS_END, -_BLOCK) >= 0:
        data = _without_dos_end(data)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    else:
        zero = data.find(b"\0")
        if zero >= 0:
            reason = "zero-filled" if not data.strip(b"\0") else f"NUL bytes at offset {zero}: not text, or damaged"
            raise InputError(reason, path=path, code="nul")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise InputError("empty file: only white space", path=path, code="empty")
    looks_wrong(text[:_SNIFF], path)
    return text


def _without_dos_end(data: bytes) -> bytes:
    """What stands before the end that DOS and CP/M mark in the text and pad to a full sector."""
    end = data.index(_DOS_END, -min(len(data), _BLOCK))
    return data[:end] if not data[end:].strip(_DOS_END + b"\0 \t\r\n") else data


def looks_wrong(start: str, path: Path | None = None) -> None:
    """Refuse text whose beginning shows that it is something else, and say what.

    Raises:
        InputError: HTML, a Git LFS pointer, or a tar archive.
    """
    head = start.lstrip().lower()
    if head.startswith(("<!doctype html", "<html", "<?xml", "<head")):
        raise InputError("looks like an HTML or XML page; download the data themselves", path=path, code="html")
    if head.startswith("version https://git-lfs"):
        raise InputError("is a Git LFS pointer; run 'git lfs pull'", path=path, code="lfs-pointer")


def text_lines(path: Path, offset: int = 0) -> Iterator[str]:
    r"""Yield the lines of a large file one by one, with ``\n`` ends, whatever the ends in the file.

    Args:
        path: the file.
        offset: bytes of the unpacked file that are left out.

    Raises:
        InputError: as :func:`read_text`, or a line beyond :data:`MAX_LINE_BYTES`.
    """
    with open_bytes(path) as file:
        start = file.read(_SNIFF)
    decode(start, path)
    encoding, number, blank = _encoding(start), 0, 0
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding, newline=None) as text:
        _leave_out(file, offset)
        try:
            while line := text.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) >= MAX_LINE_BYTES:
                    raise InputError("line without end", path=path, line=number, code="too-large")
                if "\0" in line:
                    raise InputError("NUL bytes: damaged", path=path, line=number, code="nul")
                blank = 0 if line.strip() else blank + 1
                if blank > _BLANK:
                    reason = f"more than {_BLANK} blank lines: damaged, or an archive bomb"
                    raise InputError(reason, path=path, line=number, code="bomb")
                yield line
        except UnicodeDecodeError:
            raise InputError(f"not {encoding} text", path=path, line=number + 1, code="encoding") from None


def _leave_out(file: IO[bytes], n_bytes: int) -> None:
    if file.seekable():
        file.seek(n_bytes)
        return
    while n_bytes > 0 and (block := file.read(min(n_bytes, _CHUNK))):
        n_bytes -= len(block)


def _encoding(start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:  # a letter that the sniffed part cuts in two is no fault
        codecs.getincrementaldecoder("utf-8")().decode(start, final=len(start) < _SNIFF)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def where(path: Path, index: int | None = None) -> str:
    """Source text ``PATH`` or ``PATH:INDEX``."""
    return os.fspath(path) if index is None else f"{os.fspath(path)}:{index}"
