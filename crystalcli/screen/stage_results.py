"""Structures of a screening and what stages make of them, as records of a journal and as files that go out and back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.data import chemical_symbols

from crystalcli.engine.read.reading import ID_IN_FILE, Failure
from crystalcli.engine.read.supervised_reading import read_inputs
from crystalcli.nouns.structures.constraints import may_move
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import format_of
from crystalcli.nouns.structures.read_options import DEFAULTS, UNLABELLED, ReadOptions
from crystalcli.nouns.structures.table import choose_columns, header
from crystalcli.screen.hull import Amounts
from crystalcli.screen.options import Energies
from crystalcli.screen.stage_energies import energy_of
from crystalcli.vocabulary.errors import CrystalError, UsageError, one_line

DONE, NO_ENERGY = "done", "energy"
ELEMENT = "element "
"""Before the ids of structures of elements, so that candidates may have the same."""


@dataclass(frozen=True)
class Structure:
    """A structure on its way through the stages; ``labels`` are what its file says of it, for models that read it."""

    id: str
    atoms: ase.Atoms
    labels: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def amounts(self) -> dict[str, float]:
        """Symbol → atoms."""
        return {chemical_symbols[z]: float(n) for z, n in sorted(Counter(self.atoms.numbers.tolist()).items())}

    def entry(self) -> Entry:
        """As it would be read."""
        return Entry(self.id, self.atoms, self.id, labels=self.labels)

    def moved(self, to: ase.Atoms) -> Structure:
        """As a stage left it: cell and positions are those of ``to``, constraints, tags and arrays stay.

        Where the stage put the atoms into another order, what was said of the sites holds no more.
        """
        if not np.array_equal(self.atoms.numbers, to.numbers):
            labels = {k: v for k, v in self.labels.items() if np.shape(v)[:1] != (len(self.atoms),)}
            return replace(self, atoms=to, labels=labels)
        atoms = self.atoms.copy()
        atoms.pbc = to.pbc
        atoms.set_cell(to.cell, apply_constraint=False)
        atoms.positions = to.positions
        return replace(self, atoms=atoms)


@dataclass(frozen=True)
class Result:
    """What came of one structure at one stage.

    Args:
        id: which one.
        reason: ``done``, or a short word for what went wrong. message: one line where there is more to say.
        atoms: the structure now; none where there is none.
        energy: as the stage has it, a total energy in eV or a formation energy in eV/atom; none where there is none.
    """

    id: str
    reason: str = DONE
    message: str = ""
    atoms: ase.Atoms | None = None
    energy: float | None = None

    @property
    def problem(self) -> str:
        """What went wrong, in one line; empty if nothing did."""
        if self.reason == DONE:
            return ""
        return self.reason + (f": {self.message}" if self.message else "")

    def to_json(self) -> dict[str, Any]:
        """Plain values, the inverse of :meth:`from_json`."""
        made: dict[str, Any] = {"id": self.id, "reason": self.reason, "energy": self.energy}
        if self.message:
            made["message"] = one_line(self.message)
        if self.atoms is not None:
            made["atoms"] = bare(self.atoms)
        return made

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Build from the record of :meth:`to_json`."""
        atoms = None if "atoms" not in data else ase.Atoms(**data["atoms"])
        return cls(data["id"], data["reason"], data.get("message", ""), atoms, data["energy"])


def bare(atoms: ase.Atoms) -> dict[str, Any]:
    """Numbers, positions (Å), cell (Å, rows) and pbc as plain lists."""
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def key_of(structures: Sequence[Structure]) -> str:
    """Name of the work on ``structures``: equal structures under equal ids have equal names."""
    text = json.dumps([[i.id, bare(i.atoms)] for i in structures])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def misfit(found: Result, item: Structure) -> Result:
    """``found``, unless it is another compound than ``item``, or nobody knows any more which atoms are held.

    Then what is wrong with it.
    """
    if found.atoms is None or np.array_equal(found.atoms.numbers, item.atoms.numbers):
        return found
    if sorted(found.atoms.numbers) == sorted(item.atoms.numbers):
        if not item.atoms.constraints and not item.atoms.get_tags().any():
            return found
        return Result(item.id, "order", "came back with its atoms in another order; constraints and tags go by it")
    said = f"came back as {found.atoms.get_chemical_formula()}, was {item.atoms.get_chemical_formula()}"
    return Result(item.id, "composition", said)


def with_energy(found: Result, key: str) -> Result:
    """``found``, unless it is a structure without the energy called ``key``: then that this is wrong with it."""
    if found.reason != DONE or found.energy is not None:
        return found
    return replace(found, reason=NO_ENERGY, message=f"came back without '{key}'")


def without_need(found: Result) -> Result:
    """``found`` where its energy is not needed: that there is none is nothing wrong with it."""
    return replace(found, reason=DONE, message="") if found.reason == NO_ENERGY else found


def formation_energy(total: float, amounts: Amounts, elements: Mapping[str, float]) -> float:
    """``(E − Σ_k n_k μ_k) / Σ_k n_k``, eV/atom.

    Args:
        total: E, eV.
        amounts: n.
        elements: μ, eV/atom.
    """
    return (total - sum(n * elements[s] for s, n in amounts.items())) / sum(amounts.values())


StagePiece = tuple[str, Sequence[Structure]]
"""Name of a piece of work, and the structures in it."""
PieceResults = tuple[str, list[Result]]
"""Name of a piece of work, and what came of its structures, in order."""


def extxyz(
    structures: Iterable[Structure], energies: Iterable[float | None] | None = None, *, key: str = "energy"
) -> str:
    """Frames with full precision: every number reads back as the same bits; with tags and what is held, if any is.

    Args:
        structures: in order; their constraints are known ones.
        energies: of each, where known.
        key: what to call it.
    """
    every = list(structures)
    known = [None] * len(every) if energies is None else list(energies)
    return "".join(_frame(i, e, key) for i, e in zip(every, known, strict=True))


def _frame(item: Structure, energy: float | None, key: str) -> str:
    atoms = item.atoms
    cell = " ".join(repr(x) for x in atoms.cell.flatten().tolist())
    name = item.id.replace("\\", "\\\\").replace('"', '\\"')
    fields = "species:S:1:pos:R:3"
    columns = [atoms.get_chemical_symbols(), *([repr(x) for x in axis] for axis in atoms.positions.T.tolist())]
    if (tags := atoms.get_tags()).any():
        fields += ":tags:I:1"
        columns.append([str(t) for t in tags])
    if not (free := may_move(atoms)).all():
        mask = free[:, :1] if (free == free[:, :1]).all() else free
        fields += f":move_mask:L:{mask.shape[1]}"
        columns += [["FT"[int(m)] for m in axis] for axis in mask.T]
    head = [
        *([f'Lattice="{cell}"'] if atoms.cell.rank else []),
        f"Properties={fields}",
        f'id="{name}"',
        *([] if energy is None else [f"{key}={energy!r}"]),
        f'pbc="{" ".join("FT"[int(p)] for p in atoms.pbc)}"',
    ]
    lines = [" ".join(row) for row in zip(*columns, strict=True)]
    return "\n".join([str(len(atoms)), " ".join(head), *lines]) + "\n"


@contextmanager
def cif_column_by(where: str) -> Iterator[None]:
    """Where several CIF columns are refused, ``where`` is how one is chosen."""
    try:
        yield
    except UsageError as problem:
        raise UsageError(problem.reason.replace("--cif-column", where), path=problem.path) from problem


def read_known(paths: Sequence[Path], column: str, options: ReadOptions = DEFAULTS) -> Iterator[Entry | Failure]:
    """Structures of references: tables with a CIF column of the name ``column`` by it, all else as it comes."""
    by_it = [p for p in paths if column and column in _columns(p)]
    rest = [p for p in paths if p not in by_it]
    for some, how in ((by_it, replace(options, cif_column=column)), (rest, options)):
        if some:
            yield from read_inputs(some, how)


def refuse_unknown_column(paths: Sequence[Path], column: str) -> None:
    """Refuse the name of a CIF column that no table among ``paths`` has.

    Raises:
        UsageError: names the first table.
    """
    tables = {p: names for p in paths if (names := _columns(p))}
    if column and tables and not any(column in names for names in tables.values()):
        choose_columns(*next((names, p) for p, names in tables.items()), ReadOptions(column))


def _columns(path: Path) -> tuple[str, ...]:
    """Names of the columns of a table; none of anything else, and of one that cannot be read, as reading will say."""
    if format_of(path) != "table" or not path.is_file():
        return ()
    try:
        return header(path)
    except (CrystalError, OSError):
        return ()


def read_structures(paths: Sequence[Path], column: str = "") -> tuple[list[Structure], list[Failure]]:
    """Structures by their ids, and what could not be read; ``column`` as in :func:`read_known`."""
    found: list[Structure] = []
    failures: list[Failure] = []
    for item in read_known(paths, column, UNLABELLED):
        if isinstance(item, Failure):
            failures.append(item)
        else:
            found.append(Structure(item.id, item.atoms, item.labels))
    return found, failures


def read_results(
    paths: Sequence[Path], energies: Energies, options: ReadOptions = DEFAULTS, *, once: bool = False
) -> tuple[dict[str, Result], list[Failure]]:
    """Structures with their energies by id, and what could not be read.

    Args:
        paths: files.
        energies: where they are.
        options: of tables.
        once: refuse an id that is there twice, which otherwise becomes ``id#2`` as it does everywhere.

    Raises:
        UsageError: a table whose columns cannot be chosen; ``once``, and one id twice; an energy that is none.
    """
    found: dict[str, Result] = {}
    failures: list[Failure] = []
    for item in read_inputs(paths, options):
        if isinstance(item, Failure):
            failures.append(item)
            continue
        if once and ID_IN_FILE in item.tags:
            raise UsageError(f"a result of '{item.tags[ID_IN_FILE]}' is there twice", path=item.source)
        found[item.id] = _result(item, energies)
    return found, failures


def _result(entry: Entry, energies: Energies) -> Result:
    return Result(entry.id, atoms=entry.atoms, energy=energy_of(entry, energies))
