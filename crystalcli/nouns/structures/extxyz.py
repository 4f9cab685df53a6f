"""Extended XYZ, frame by frame: structures, stored results, pairs of the comment line and per-atom columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path

from crystalcli.nouns.structures.entry import Entry, alone
from crystalcli.nouns.structures.extxyz_comment import parse, texts
from crystalcli.nouns.structures.extxyz_frame import frame_of
from crystalcli.nouns.structures.offered import ASE_QUANTITIES, IDS, INITIAL, RESULTS, START_OF, Offered, entry_of
from crystalcli.nouns.structures.pieces import WHOLE, Piece, PlainLines, Start
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import MAX_ATOMS, open_bytes, text_lines, where
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity

_LONGEST_COUNT = 40
"""Characters of a line that may be a number of atoms; longer ones are not looked at, for they are many."""

_CP2K = {"i", "time", "E"}
"""What the comment of a frame of CP2K says."""
_CP2K_SAYS = "i, time and E: a trajectory of CP2K; E is a total in Ha"


def read(path: Path, _options: ReadOptions = DEFAULTS, piece: Piece = WHOLE) -> Iterator[Entry | InputError]:
    """Yield every frame of the piece; a bad frame is yielded as its error, and what stands between frames and is none.

    A frame is called by its ``id``, ``name`` or ``material_id``, else ``FILE:FRAME``.

    Raises:
        InputError: the first line is no number of atoms.
    """
    held: Entry | InputError | None = None
    several = piece != WHOLE
    for index, line, frame in islice(_frames(path, piece), piece.count):
        if held is not None:
            several = True
            yield held
        if isinstance(frame, InputError):
            held = frame
            continue
        try:
            held = _entry(frame, path, index)
        except InputError as problem:
            at = line + (problem.line or 1) - 1
            held = InputError(f"frame {index}: {problem.reason}", path=path, line=at, code=problem.code)
    if isinstance(held, Entry) and not several and held.id.startswith(":"):
        held = alone(held, path)
    if held is not None:
        yield held


def starts(path: Path) -> Iterator[Start]:
    """Where every frame begins, as far as all is in order."""
    with open_bytes(path) as file:
        lines = PlainLines(file)
        here = lines.here
        for first in lines:
            if first.strip():
                count = _count_in(first)
                if count is None or next(lines, None) is None:
                    return
                rows = sum(1 for _ in takewhile(_is_row, islice(lines, count)))
                if rows < count:
                    return
                yield here
            here = lines.here


def _count_in(line: str) -> int | None:
    """The number of atoms that begins a frame; none if it is no such number."""
    count = int(line) if re.fullmatch(r"\s*\d{1,9}\s*", line, re.ASCII) else None
    return count if count is None or count <= MAX_ATOMS else None


def _is_row(line: str) -> bool:
    """Whether ``line`` may be an atom's; one number alone begins a frame."""
    return len(line) > _LONGEST_COUNT or _count_in(line) is None


def _frames(path: Path, piece: Piece) -> Iterator[tuple[int, int, str | InputError]]:
    """Number, first line and text of each frame from the first of ``piece`` on; what is none has its error.

    A frame ends where the number of atoms of the next one stands. Lines between frames are passed over, with one error.
    """
    lines = text_lines(path, piece.offset)
    index, number = piece.first, piece.line
    first = next(lines, None)
    while first is not None:
        number += 1
        begin = number
        if not first.strip():
            first = next(lines, None)
            continue
        count = _count_in(first)
        if count is None:
            said = f"'{first.strip()[:40]}' is no number of atoms"
            if index == 0:
                raise InputError(said, path=path, line=begin, code="syntax")
            was, (first, behind) = first, _passed_over(lines, next(lines, None))
            number += len(behind)
            more = f"; passed over, with {len(behind)} lines behind it" if behind else ""
            yield index, begin, InputError(said + more, path=path, line=begin, code="syntax")
            index += _frames_lost(was, behind)
            continue
        frame, first = [first], next(lines, None)
        while first is not None and len(frame) < count + 2 and (len(frame) == 1 or _is_row(first)):
            frame.append(first)
            first = next(lines, None)
        number += len(frame) - 1
        have, at = max(len(frame) - 2, 0), number
        if have == count and first is not None and count and _looks_like(first, frame[-1]):
            first, behind = _passed_over(lines, first)
            have, number, at = have + len(behind), number + len(behind), number + 1
        if have != count:
            said = f"{'truncated: ' if have < count else ''}{count} atoms are counted, {have} are there"
            yield index, begin, InputError(said, path=path, line=at, code="syntax")
        else:
            yield index, begin, "".join(frame)
        index += 1


def _looks_like(line: str, row: str) -> bool:
    """Whether ``line`` may be one more row of atoms."""
    return _is_row(line) and len(line.split()) == len(row.split()) and "=" not in line


def _passed_over(lines: Iterator[str], first: str | None) -> tuple[str | None, list[str]]:
    """The next line, from ``first`` on, that is blank or begins a frame, and those before it."""
    passed: list[str] = []
    while first is not None and first.strip() and _is_row(first):
        passed.append(first)
        first = next(lines, None)
    return first, passed


def _frames_lost(first: str, behind: list[str]) -> int:
    """How many frames lines that were passed over were, so that those behind them keep their numbers."""
    comments = sum("=" in line for line in behind)
    return comments or int(bool(behind) and first.strip()[0].isdigit())


def _entry(frame: str, path: Path, index: int) -> Entry:
    """The entry of a frame, which begins with its number of atoms."""
    count, comment, *rows = frame.split("\n")
    found = frame_of(parse(comment), rows[: int(count)])
    written = texts(comment) if any(k in found.info for k in IDS) else {}
    name = next((written[k] for k in IDS if written.get(k, "").strip()), f":{index}")
    atoms = found.atoms
    offered = Offered(len(atoms), atoms.cell.array, left_out=found.left_out, notes=found.notes)
    of = {START_OF: written[START_OF]} if START_OF in written else {}
    cp2k = found.info.keys() == _CP2K and isinstance(found.info["E"], float)
    known = ASE_QUANTITIES | {"E": Quantity("E", "Ha", extensive=True)} if cp2k else ASE_QUANTITIES
    offered.notes += [_CP2K_SAYS] if cp2k else []
    offered.take({**found.info, **of}, known, skip=IDS)
    for key, array in found.columns.items():
        if key not in RESULTS:
            atoms.new_array(key, array)
    offered.take_sites(found.columns | {key: atoms.arrays[key] for key in INITIAL if key in atoms.arrays})
    atoms.info = {k: v for k, v in found.info.items() if k not in RESULTS}
    return entry_of(offered, name, atoms, where(path, index), tuple(found.warnings))
