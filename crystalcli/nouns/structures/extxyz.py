"""Extended XYZ, frame by frame through ASE: structures, stored results, ``info`` and per-atom columns."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.io.extxyz import read_xyz
from ase.stress import full_3x3_to_voigt_6_stress

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.extxyz_frame import refuse_broken
from crystalcli.nouns.structures.numbers import ASE_QUANTITIES, sort_arrays, sort_info
from crystalcli.nouns.structures.pieces import WHOLE, Piece, PlainLines, Start
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import MAX_LINE_BYTES, open_bytes, text_lines, where
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity

MAX_ATOMS = 5_000_000
_IDS = ("id", "name", "material_id")
_ID = re.compile(r"""(?:^|\s)(id|name|material_id)=(?:"((?:[^"\\]|\\.)*)"|([^\s"']+))""")


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
            entry = entry_of(_atoms(frame), path, index)
            held = replace(entry, id=_id_as_written(frame) or entry.id)
        except InputError as problem:
            held = InputError(f"frame {index}: {problem.reason}", path=path, line=line, code=problem.code)
    if isinstance(held, Entry) and not several and held.id.startswith(":"):
        held = replace(held, id="", source=str(path))
    if held is not None:
        yield held


def starts(path: Path) -> Iterator[Start]:
    """Where every frame begins, as far as all is in order."""
    with open_bytes(path) as file:
        lines = PlainLines(file, MAX_LINE_BYTES)
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


def _atoms(frame: str) -> ase.Atoms:
    refuse_broken(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return next(iter(read_xyz(io.StringIO(frame), slice(0, 1))))
        except Exception as problem:  # ASE raises many kinds
            raise InputError(f"not extended XYZ: {_cause(problem)}", code="syntax") from problem


def _id_as_written(frame: str) -> str:
    r"""The id in the comment line; ASE would make a number of ``007``, and ``C:x`` of ``C:\x``."""
    found = {key: bare or quoted for key, quoted, bare in _ID.findall(frame.split("\n", 2)[1])}
    return re.sub(r'\\([\\"])', r"\1", next((found[key] for key in _IDS if found.get(key)), ""))


def _cause(problem: Exception) -> str:
    if isinstance(problem, KeyError):
        return f"unknown {problem.args[0]!r}"
    return str(problem) or type(problem).__name__


def entry_of(atoms: ase.Atoms, path: Path, index: int) -> Entry:
    """Entry of an ``Atoms`` object with its results, info and arrays as labels; ``index`` counts from 0."""
    labels, tags = sort_info(atoms.info, skip=_IDS)
    known: dict[str, Quantity] = {}
    sites = sort_arrays(atoms.arrays)
    results: dict[str, Any] = dict(atoms.calc.results) if atoms.calc is not None else {}
    for key, value in results.items():
        known_as = ASE_QUANTITIES.get(key)
        if known_as is None or value is None:
            continue
        if known_as.level == "site":
            sites |= sort_arrays({key: value})
        elif known_as.shape:
            labels[key] = np.asarray(value, dtype=np.float64)
        else:
            labels |= sort_info({key: value})[0]
    labels |= _stress_of_virial(atoms)
    for key in [*labels, *sites]:
        if key in ASE_QUANTITIES:
            known[key] = ASE_QUANTITIES[key]
    known |= {k: Quantity(k, level="site") for k in sites if k not in known}
    if "stress_from_virial" in labels:
        known["stress_from_virial"] = Quantity("stress_from_virial", "eV/Å³", shape=(6,))
    name = next((str(atoms.info[k]) for k in _IDS if str(atoms.info.get(k, "")).strip()), f":{index}")
    return Entry(name, atoms, where(path, index), {**labels, **sites}, tags, known)


def _stress_of_virial(atoms: ase.Atoms) -> dict[str, Any]:
    """A virial (3, 3), eV, as the stress that it stands for: −virial/V, eV/Å³."""
    for key in ("virial", "virials"):
        virial = np.asarray(atoms.info.get(key, ()))
        if virial.size == 9 and virial.dtype.kind == "f" and atoms.cell.rank == 3:
            return {"stress_from_virial": -full_3x3_to_voigt_6_stress(virial.reshape(3, 3)) / atoms.get_volume()}
    return {}
