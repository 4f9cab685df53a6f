"""ASE's ``.traj``: frames with their results. Old ones, which hold Python's pickle, are refused."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crystalcli.nouns.structures.entry import Entry, alone
from crystalcli.nouns.structures.offered import ASE_QUANTITIES, IDS, Offered, entry_of
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import regular, where
from crystalcli.vocabulary.errors import InputError, UnsafeInput

_ULM, _PICKLE = b"- of Ulm", b"PickleTrajectory"


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield every frame; one that is damaged is yielded as its error.

    Raises:
        InputError: no trajectory of ASE. UnsafeInput: an old one, which can run code.
    """
    from ase.io.trajectory import TrajectoryReader

    regular(path)
    with path.open("rb") as file:
        start = file.read(len(_PICKLE))
    if start.startswith(_PICKLE):
        raise UnsafeInput(
            "holds Python's pickle, as ASE wrote before 3.9; convert it with ASE", path=path, code="unsafe"
        )
    if not start.startswith(_ULM):
        raise InputError("not a trajectory of ASE", path=path, code="syntax")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with TrajectoryReader(str(path)) as frames:
                n = len(frames)
                for k in range(n):
                    entry = _frame(frames, k, path)
                    yield entry if n > 1 or isinstance(entry, InputError) else alone(entry, path)
    except (OSError, KeyError, ValueError, RuntimeError) as problem:
        raise InputError(f"damaged, or cut off: {problem}", path=path, code="syntax") from problem
    if n == 0:
        raise InputError("has no frames", path=path, code="no-atoms")


def _frame(frames: Any, k: int, path: Path) -> Entry | InputError:
    try:
        atoms = frames[k]
        results = dict(atoms.calc.results) if atoms.calc is not None else {}
    except Exception as problem:  # ASE raises many kinds
        return InputError(f"frame {k} is damaged, or cut off: {problem}", path=path, code="syntax")
    atoms.calc = None
    offered = Offered(len(atoms), atoms.cell.array)
    offered.take(atoms.info, ASE_QUANTITIES, skip=IDS)
    offered.take(results, ASE_QUANTITIES, ordered=True)
    offered.take_sites(atoms.arrays)
    name = next((str(atoms.info[key]) for key in IDS if str(atoms.info.get(key, "")).strip()), f":{k}")
    return entry_of(offered, name, atoms, where(path, k))
