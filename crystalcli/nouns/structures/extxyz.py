"""Extended XYZ, frame by frame: structures, stored results, pairs of the comment line and per-atom columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from crystalcli.nouns.structures.entry import Entry, alone
from crystalcli.nouns.structures.extxyz_comment import parse, texts
from crystalcli.nouns.structures.extxyz_frame import frame_of
from crystalcli.nouns.structures.offered import ASE_QUANTITIES, IDS, INITIAL, RESULTS, START_OF, Offered, entry_of
from crystalcli.nouns.structures.pieces import WHOLE, Piece, PlainLines, Start
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import open_bytes, text_lines, where
from crystalcli.vocabulary.errors import InputError

MAX_ATOMS = 5_000_000


def read(path: Path, _options: ReadOptions = DEFAULTS, piece: Piece = WHOLE) -> Iterator[Entry | InputError]:
    """Yield every frame of the piece; a bad frame is yielded as its error, a lost count ends the file.

    A frame is called by its ``id``, ``name`` or ``material_id``, else ``FILE:FRAME``.

    Raises:
        InputError: the first line is no number of atoms.
    """
    held: Entry | InputError | None = None
    several = piece != WHOLE
    for index, (line, frame) in enumerate(islice(_frames(path, piece), piece.count), piece.first):
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
                if count is None or sum(1 for _ in islice(lines, count + 1)) <= count:
                    return
                yield here
            here = lines.here


def _count_in(line: str) -> int | None:
    """The number of atoms that begins a frame; none if it is no such number."""
    count = int(line) if re.fullmatch(r"\s*\d{1,9}\s*", line, re.ASCII) else None
    return count if count is None or count <= MAX_ATOMS else None


def _frames(path: Path, piece: Piece) -> Iterator[tuple[int, str | InputError]]:
    """Text of each frame from the first of ``piece`` on, and the number of its first line."""
    lines = text_lines(path, piece.offset)
    number = piece.line
    for first in lines:
        number += 1
        if not first.strip():
            continue
        begin = number
        count = _count_in(first)
        if count is None:
            problem = InputError(f"'{first.strip()[:40]}' is no number of atoms", path=path, line=number, code="syntax")
            if begin == 1:
                raise problem
            yield begin, problem
            return
        frame = [first]
        for line in lines:
            number += 1
            frame.append(line)
            if len(frame) == count + 2:
                break
        if len(frame) < count + 2:
            have = max(len(frame) - 2, 0)
            said = f"truncated: {count} atoms are counted, {have} are there"
            yield begin, InputError(said, path=path, line=number, code="syntax")
            return
        yield begin, "".join(frame)


def _entry(frame: str, path: Path, index: int) -> Entry:
    """The entry of a frame, which begins with its number of atoms."""
    count, comment, *rows = frame.split("\n")
    found = frame_of(parse(comment), rows[: int(count)])
    written = texts(comment) if any(k in found.info for k in IDS) else {}
    name = next((written[k] for k in IDS if written.get(k, "").strip()), f":{index}")
    atoms = found.atoms
    offered = Offered(len(atoms), atoms.cell.array, left_out=found.left_out, notes=found.notes)
    of = {START_OF: written[START_OF]} if START_OF in written else {}
    offered.take({**found.info, **of}, ASE_QUANTITIES, skip=IDS)
    for key, array in found.columns.items():
        if key not in RESULTS:
            atoms.new_array(key, array)
    offered.take_sites(found.columns | {key: atoms.arrays[key] for key in INITIAL if key in atoms.arrays})
    atoms.info = {k: v for k, v in found.info.items() if k not in RESULTS}
    return entry_of(offered, name, atoms, where(path, index), tuple(found.warnings))
