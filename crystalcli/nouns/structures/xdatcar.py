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
from crystalcli.nouns.structures.text import MAX_ATOMS, text_lines, where
from crystalcli.vocabulary.errors import InputError

_FRAME = "configuration="
_LONGEST = 400
"""Lines of a header; names and counts may go on over many."""
_SHORTEST = 6
"""Lines of a header: name, scale, three vectors, and counts at least."""


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield every frame; one that is damaged is yielded as its error, a file that breaks off ends with one.

    Raises:
        InputError: no XDATCAR.
    """
    symbols: list[str] = []
    cell = np.zeros((3, 3))
    index, held, fault = 0, None, None
    before: list[str] = []
    for number, line, behind in _blocks(path):
        if not number:
            before = behind
            continue
        if line.strip()[:1] in "cCkK":
            raise InputError("Cartesian positions: VASP writes Direct ones", path=path, line=number, code="syntax")
        if held is not None:
            yield held
        if index and before and len(before) < _SHORTEST:
            if isinstance(held, Entry):
                said = f"{len(before)} lines behind frame {index - 1} that are no atoms and no header; passed over"
                yield InputError(said, path=path, line=number - len(before), code="syntax")
        elif before:
            symbols, cell, fault = _headed(before, number - len(before), symbols, cell)
        if fault is not None and not index:
            raise InputError(fault.reason, path=path, line=fault.line, code=fault.code)
        if not symbols:
            raise InputError("no XDATCAR: has no header", path=path, line=number, code="syntax")
        held = _frame(symbols, cell, behind[: len(symbols)], number, path, index)
        if fault is not None:
            said = f"frame {index}: {fault.reason}"
            held = InputError(said, path=path, line=fault.line, code=fault.code)
        index += 1
        before = behind[len(symbols) :] if any(text.strip() for text in behind[len(symbols) :]) else []
    if held is None:
        raise InputError("no XDATCAR: no 'Direct configuration='", path=path, code="no-atoms")
    yield held if index > 1 or isinstance(held, InputError) else alone(held, path)


def _blocks(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """The line that begins a frame with its number, and those up to the next; first, with number 0, the header."""
    number, begin, behind = 0, "", list[str]()
    most = _LONGEST
    for n, line in enumerate(text_lines(path), 1):
        if _FRAME in line.lower():
            yield number, begin, behind
            number, begin, behind, most = n, line, [], MAX_ATOMS
            continue
        behind.append(line.rstrip("\n"))
        if len(behind) > most:
            raise InputError("no XDATCAR: no 'Direct configuration=' after the header", path=path, line=n)
    if number:
        yield number, begin, behind


def _headed(
    lines: list[str], first: int, symbols: list[str], cell: NDArray[np.float64]
) -> tuple[list[str], NDArray[np.float64], InputError | None]:
    """Symbols and cell of a header; of a damaged one those before it, and its fault."""
    try:
        return *header(lines), None
    except InputError as problem:
        line = None if problem.line is None else problem.line + first - 1
        return symbols, cell, InputError(f"header: {problem.reason}", line=line, code=problem.code)


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
