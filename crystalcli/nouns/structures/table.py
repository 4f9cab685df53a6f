"""Tables (CSV, gzipped or not) with a CIF text in a column: streamed row by row, numbers are labels, words are tags."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import is_nothing, number_in
from crystalcli.nouns.structures.offered import MAX_TAG
from crystalcli.nouns.structures.pieces import WHOLE, Piece, PlainLines, Start
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import open_bytes, text_lines, where
from crystalcli.vocabulary.errors import InputError, UsageError, did_you_mean

FIELD_LIMIT = 16 * 2**20
"""Characters in one cell of the table; csv's own default of 131,072 is too few for a large CIF."""
_IDS = ("id", "material_id", "mp_id", "mpid", "jid", "cif_id", "entry_id", "name", "_id")


@dataclass(frozen=True)
class Columns:
    """Where in a row the CIF, the id and the rest stand; and columns of CIF that were not chosen."""

    names: tuple[str, ...]
    cif: int
    id: int | None
    others: tuple[int, ...]
    other_cifs: tuple[str, ...] = ()


def read(path: Path, options: ReadOptions = DEFAULTS, piece: Piece = WHOLE) -> Iterator[Entry | InputError]:
    """Yield one structure per row of the piece; a bad row is yielded as its error, with its line.

    Raises:
        InputError: no header, no CIF column, no rows. UsageError: several CIF columns and none chosen.
    """
    from crystalcli.nouns.structures.cif import crystal_of

    rows = _rows(path)
    columns = choose_columns(_checked_header(next(rows, (1, ()))[1], path), path, options)
    width, empty = len(columns.names), True
    if piece != WHOLE:
        rows.close()
        rows = _rows(path, piece)
    for line, row in islice(rows, piece.count):
        empty = False
        if len(row) != width:
            said = f"row has {len(row)} columns, the header {width}"
            yield InputError(said, path=path, line=line, code="syntax")
            continue
        name = row[columns.id].strip() if columns.id is not None else ""
        labels, tags, left_out = _beside(row, columns)
        try:
            crystal = crystal_of(row[columns.cif])
        except InputError as problem:
            said = f"{name}: {problem.reason}" if name else problem.reason
            yield InputError(said, path=path, line=line, code=problem.code)
            continue
        inside = {k: v for k, v in crystal.labels.items() if k not in columns.names}  # empty in the table is missing
        labels, tags = {**inside, **labels}, {**crystal.tags, **tags}
        known = {k: q for k, q in crystal.quantities.items() if k in inside}
        left_out = {**crystal.left_out, **left_out}
        offer = labels, tags, known, crystal.warnings
        yield Entry(name or f":{line}", crystal.atoms, where(path, line), *offer, left_out=left_out)
    if empty:
        raise InputError("has a header and no rows", path=path, code="no-atoms")


def _beside(row: Sequence[str], columns: Columns) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Labels, tags, and what is left out."""
    labels: dict[str, Any] = {}
    tags: dict[str, str] = {}
    left_out = dict.fromkeys(columns.other_cifs, "a CIF that was not chosen")
    for k in columns.others:
        text = row[k]
        if is_nothing(text):
            continue
        number = number_in(text)
        if number is not None:
            labels[columns.names[k]] = number
        elif len(text) <= MAX_TAG:
            tags[columns.names[k]] = text.strip()
        else:
            left_out[columns.names[k]] = f"texts of more than {MAX_TAG} characters"
    return labels, tags, left_out


def header(path: Path) -> tuple[str, ...]:
    """Names of the columns.

    Raises:
        InputError: not a table.
    """
    rows = _rows(path)
    try:
        return tuple(c.strip() for c in next(rows, (1, ()))[1])
    finally:
        rows.close()


def _checked_header(row: Sequence[str], path: Path) -> tuple[str, ...]:
    names = tuple(c.strip() for c in row)
    if any("\n" in c or "_cell_length" in c for c in names):
        raise InputError("no header: the first line must name the columns", path=path, line=1, code="syntax")
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise InputError(f"column '{min(twice)}' occurs twice", path=path, line=1, code="syntax")
    return names


def choose_columns(names: Sequence[str], path: Path, options: ReadOptions) -> Columns:
    """Find the CIF and id columns.

    Raises:
        UsageError: several CIF columns and none chosen, or a chosen one that is not there.
        InputError: no CIF column.
    """
    cifs = [n for n in names if n.lower().startswith("cif") and n.lower() not in _IDS]
    if options.cif_column and options.cif_column not in names:
        raise UsageError(
            f"no column '{options.cif_column}'; {did_you_mean(options.cif_column, list(names))}", path=path
        )
    if options.id_column and options.id_column not in names:
        raise UsageError(f"no column '{options.id_column}'; {did_you_mean(options.id_column, list(names))}", path=path)
    if len(cifs) > 1 and not options.cif_column and "cif" not in names:
        raise UsageError(
            f"several CIF columns: {', '.join(cifs)}; choose one with --cif-column, or keep one", path=path
        )
    if not cifs and not options.cif_column:
        cure = "; columns are separated by commas" if len(names) == 1 and {";", "\t"} & set(names[0]) else ""
        raise InputError(f"no CIF column among: {', '.join(names)}{cure}", path=path, line=1, code="no-atoms")
    chosen = names.index(options.cif_column or ("cif" if "cif" in names else cifs[0]))
    lowered = [n.lower() for n in names]
    named = options.id_column or next((names[lowered.index(i)] for i in _IDS if i in lowered), "")
    ident = names.index(named) if named else None
    others = tuple(k for k, n in enumerate(names) if k not in (chosen, ident) and n not in cifs and n)
    not_chosen = tuple(n for n in cifs if n != names[chosen])
    return Columns(tuple(names), chosen, ident, others, not_chosen)


def starts(path: Path) -> Iterator[Start]:
    """Where every row begins, as far as all is in order."""
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
    with open_bytes(path) as file:
        lines = PlainLines(file)
        reader = csv.reader(lines, strict=True)
        with suppress(csv.Error):
            next((row for row in reader if row), None)  # the header
            here = lines.here
            for row in reader:
                if row:
                    yield here
                here = lines.here


def _rows(path: Path, piece: Piece = WHOLE) -> Generator[tuple[int, list[str]], None, None]:
    """Rows of the table from the first of ``piece`` on, with the line each begins on; blank ones left out."""
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
    reader = csv.reader(text_lines(path, piece.offset), strict=True)
    while True:
        line = piece.line + reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as problem:
            raise InputError(f"not a CSV table: {problem}", path=path, line=line, code="syntax") from None
        if row is None:
            return
        if row:
            yield line, row
