"""``OUTCAR`` of VASP, step by step, through ASE's parser; energies as in :mod:`crystalcli.nouns.structures.vasprun`."""

from __future__ import annotations

import re
import warnings as python_warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crystalcli.nouns.structures.entry import Entry, alone
from crystalcli.nouns.structures.offered import ASE_QUANTITIES, Offered, entry_of
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import text_lines, where
from crystalcli.nouns.structures.vasprun import ENERGIES
from crystalcli.vocabulary.errors import InputError

_NELM = re.compile(r"\bNELM\s*=\s*(\d+)")
_REACHED = "aborting loop because EDIFF is reached"
_ITERATION = re.compile(r"Iteration\s+\d+\(\s*(\d+)\)")
"""Of the electrons, in brackets."""


class _Lines:
    """A file of lines as ASE's parser takes it; without a name it looks for no other files."""

    name = ""

    def __init__(self, path: Path) -> None:
        self._lines = text_lines(path)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._lines)


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield every step; one that is damaged is yielded as its error, a file that breaks off ends with one.

    Raises:
        InputError: no OUTCAR, or no step in it.
    """
    from ase.io.vasp_parsers.vasp_outcar_parsers import OutcarHeaderParser, build_chunk, build_header

    lines = _Lines(path)
    try:
        head = build_header(lines)
        header = OutcarHeaderParser(workdir=None).build(head)
    except InputError:
        raise
    except Exception as problem:  # ASE raises many kinds
        said = "no OUTCAR of VASP, or it breaks off before the first step"
        raise InputError(said, path=path, code="syntax") from problem
    most = next((int(found[1]) for line in head if (found := _NELM.search(line))), None)
    index, held = 0, None
    while True:
        seen: list[str] = []
        try:
            chunk = build_chunk(_kept(lines, seen))
        except (StopIteration, RuntimeError):
            break
        if held is not None:
            yield held
        held, index = _step(chunk, header, most, path, index), index + 1
    if held is None:
        raise InputError("holds no finished step", path=path, code="no-atoms")
    broken = any("Iteration" in line for line in seen)
    yield held if index > 1 or broken or isinstance(held, InputError) else alone(held, path)
    if broken:
        yield InputError(f"breaks off after {index} whole steps", path=path, code="syntax")


def _kept(lines: Iterator[str], seen: list[str]) -> Iterator[str]:
    for line in lines:
        seen.append(line)
        yield line


def _step(chunk: list[str], header: dict[str, Any], most: int | None, path: Path, index: int) -> Entry | InputError:
    from ase.io.vasp_parsers.vasp_outcar_parsers import OUTCARChunk

    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("error")
            atoms = OUTCARChunk(chunk, header).build()
    except Exception as problem:  # a number that is stars, a row that is missing
        return InputError(f"step {index} {_fault(chunk, problem)}", path=path, code="syntax")
    results = dict(atoms.calc.results) if atoms.calc is not None else {}
    atoms.calc = None
    offered = Offered(len(atoms), atoms.cell.array, notes=[ENERGIES])
    offered.take(results, ASE_QUANTITIES, ordered=True)
    return entry_of(offered, f":{index}", atoms, where(path, index), _unconverged(chunk, most))


def _fault(chunk: list[str], problem: Exception) -> str:
    """Why a step cannot be read, in words."""
    if any("ML TOTEN" in line for line in chunk):
        return "is of VASP's machine-learned force field, not of an electronic calculation"
    if not any("TOTAL-FORCE" in line for line in chunk):
        return "has no positions and forces: VASP stopped in it, or did not write them"
    return f"is damaged, or written as by no VASP that is known here: {problem}"


def _unconverged(chunk: list[str], most: int | None) -> tuple[str, ...]:
    """VASP says where the electrons have converged; older ones say nothing where they have not."""
    steps = max((int(found[1]) for line in chunk if (found := _ITERATION.search(line))), default=0)
    said = any("aborting loop" in line for line in chunk)
    if any(_REACHED in line for line in chunk) or not (said or (most is not None and 1 < most <= steps)):
        return ()
    return (f"electronic steps not converged after NELM = {most}",)
