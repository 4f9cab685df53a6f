"""Structures of a campaign as files: what goes out to others, and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from crystalcli.mechanisms.structure_files.reading import ID_IN_FILE, Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, UNLABELLED, ReadOptions
from crystalcli.vocabulary.errors import UsageError
from crystalcli.workflows.graphs.supervised_reading import read_inputs
from crystalcli.workflows.screen.campaign_keys import Energies
from crystalcli.workflows.screen.campaign_results import Item, Result


def extxyz(items: Iterable[Item], energies: Iterable[float | None] | None = None, *, key: str = "energy") -> str:
    """Frames with full precision: every number reads back as the same bits.

    Args:
        items: the structures.
        energies: of each, where known.
        key: what to call it.
    """
    every = list(items)
    known = [None] * len(every) if energies is None else list(energies)
    return "".join(_frame(i, e, key) for i, e in zip(every, known, strict=True))


def _frame(item: Item, energy: float | None, key: str) -> str:
    atoms = item.atoms
    cell = " ".join(repr(x) for x in atoms.cell.flatten().tolist())
    name = item.id.replace("\\", "\\\\").replace('"', '\\"')
    head = [
        *([f'Lattice="{cell}"'] if atoms.cell.rank else []),
        "Properties=species:S:1:pos:R:3",
        f'id="{name}"',
        *([] if energy is None else [f"{key}={energy!r}"]),
        f'pbc="{" ".join("FT"[int(p)] for p in atoms.pbc)}"',
    ]
    rows = zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True)
    lines = [f"{symbol} {x!r} {y!r} {z!r}" for symbol, (x, y, z) in rows]
    return "\n".join([str(len(atoms)), " ".join(head), *lines]) + "\n"


def read_items(paths: Sequence[Path], options: ReadOptions = UNLABELLED) -> tuple[list[Item], list[Failure]]:
    """Structures by their ids, and what could not be read."""
    items: list[Item] = []
    failures: list[Failure] = []
    for found in read_inputs(paths, options):
        if isinstance(found, Failure):
            failures.append(found)
        else:
            items.append(Item(found.id, found.atoms))
    return items, failures


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
        UsageError: a table whose columns cannot be chosen; ``once``, and one id twice.
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
    value = entry.labels.get(energies.energy)
    return Result(entry.id, atoms=entry.atoms, energy=None if value is None else float(value))
