"""``XDATCAR`` of VASP: positions of a run, frame by frame; the cell is that of the last header before the frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.nouns.structures.entry import Entry, alone
from crystalcli.nouns.structures.numbers import no_number, number_in
from crystalcli.nouns.structures.poscar import header
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import text_lines, where
from crystalcli.vocabulary.errors import InputError

_FRAME = "configuration="
_LONGEST = 400
"""Lines of a header; names and counts may go on over many."""


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield every frame; one that is damaged is yielded as its error, a file that breaks off ends with one.

    Raises:
        InputError: no XDATCAR.
    """
    lines = enumerate(text_lines(path), 1)
    before: list[str] = []
    symbols: list[str] = []
    cell = np.zeros((3, 3))
    index, held = 0, None
    for number, line in lines:
        if _FRAME not in line.lower():
            before.append(line.rstrip("\n"))
            if len(before) > _LONGEST:
                raise InputError("no XDATCAR: no 'Direct configuration=' after the header", path=path, line=number)
            continue
        if any(text.strip() for text in before):
            symbols, cell = _headed(before, number - len(before), path)
            before = []
        if not symbols:
            raise InputError("no XDATCAR: has no header", path=path, line=number, code="syntax")
        if held is not None:
            yield held
        if line.strip()[:1] in "cCkK":
            raise InputError("Cartesian positions: VASP writes Direct ones", path=path, line=number, code="syntax")
        rows = [text for _, (_, text) in zip(range(len(symbols)), lines, strict=False)]
        held, index = _frame(symbols, cell, rows, number, path, index), index + 1
    if held is None:
        raise InputError("no XDATCAR: no 'Direct configuration='", path=path, code="no-atoms")
    yield held if index > 1 or isinstance(held, InputError) else alone(held, path)


def _headed(lines: list[str], first: int, path: Path) -> tuple[list[str], NDArray[np.float64]]:
    try:
        symbols, cell = header(lines)
    except InputError as problem:
        line = None if problem.line is None else problem.line + first - 1
        raise InputError(f"header: {problem.reason}", path=path, line=line, code=problem.code) from None
    return symbols, cell


def _frame(
    symbols: list[str], cell: NDArray[np.float64], rows: list[str], line: int, path: Path, index: int
) -> Entry | InputError:
    values = [[number_in(w) for w in row.split()[:3]] for row in rows]
    for k, (row, numbers) in enumerate(zip(rows, values, strict=True), 1):
        bad = next((w for w, v in zip(row.split(), numbers, strict=False) if v is None or not np.isfinite(v)), None)
        if len(numbers) < 3 or bad is not None:
            said = f"frame {index}: {no_number(bad) if bad else 'no three coordinates'}"
            return InputError(said, path=path, line=line + k, code="syntax")
    if len(rows) < len(symbols):
        said = f"frame {index}: breaks off after {len(rows)} of {len(symbols)} atoms"
        return InputError(said, path=path, line=line + len(rows), code="syntax")
    atoms = ase.Atoms(symbols, positions=np.array(values, dtype=np.float64) @ cell, cell=cell, pbc=True)
    return Entry(f":{index}", atoms, where(path, index))
