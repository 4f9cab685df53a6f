"""ASE databases (SQLite ``.db``), row by row: structures, results and key-value pairs."""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import ASE_QUANTITIES, IDS, Offered, entry_of
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import regular, where
from crystalcli.vocabulary.errors import InputError

_SQLITE = b"SQLite format 3\0"


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield every row; ids are ``FILE:ROW`` (ASE's row number), the source ``PATH:ROW``.

    Raises:
        InputError: not an ASE database, or a damaged one.
    """
    regular(path)
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            raise InputError("not an ASE database (no SQLite file)", path=path, code="syntax")
    _refuse_others(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from _rows(path)


def _refuse_others(path: Path) -> None:
    """ASE would make its own tables in a SQLite file that has none of them."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute("select name from sqlite_master where name = 'systems'").fetchone()
    except sqlite3.Error as problem:
        raise InputError(f"not an ASE database: {problem}", path=path, code="syntax") from problem
    if found is None:
        raise InputError("not an ASE database (it has no table 'systems')", path=path, code="syntax")


def _rows(path: Path) -> Iterator[Entry | InputError]:
    from ase.db import connect

    try:
        with connect(str(path), type="db", use_lock_file=False) as database:
            numbers = [int(row.id) for row in database.select(columns=["id"], include_data=False)]
            if not numbers:
                raise InputError("has no rows", path=path, code="no-atoms")
            for number in numbers:
                yield _row(database, number, path)
    except (sqlite3.Error, KeyError, ValueError, OSError) as problem:
        raise InputError(f"not an ASE database: {problem}", path=path, code="syntax") from problem


def _row(database: Any, number: int, path: Path) -> Entry | InputError:
    try:
        row = database.get(id=number)
        atoms, results = row.toatoms(), {}
        if atoms.calc is not None:
            results = dict(atoms.calc.results)
        pairs, data = dict(row.key_value_pairs), dict(row.data)
    except Exception as problem:  # a damaged row costs itself only
        return InputError(f"row {number}: {problem}", path=path, code="syntax")
    atoms.info.update(pairs)
    offered = Offered(len(atoms), atoms.cell.array)
    offered.take(data, ASE_QUANTITIES, per_atom=True)
    offered.take(pairs, ASE_QUANTITIES, skip=IDS)
    offered.take(results, ASE_QUANTITIES, ordered=True)
    offered.take_sites(atoms.arrays)
    name = next((str(pairs[k]) for k in IDS if str(pairs.get(k, "")).strip()), f":{number}")
    return entry_of(offered, name, atoms, where(path, number))
