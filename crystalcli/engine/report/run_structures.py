"""Structures of a run for its page: those of its inputs if they are still there, and frames that it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers

from crystalcli.contracts.sections import Geometry
from crystalcli.engine.cache import cache_seal
from crystalcli.engine.read.input_digest import digest
from crystalcli.engine.read.sources import is_source
from crystalcli.nouns.structures.extxyz_comment import texts
from crystalcli.vocabulary.errors import CrystalError

if TYPE_CHECKING:
    from crystalcli.engine.report.run_files import RunFiles

MOST_BYTES = 50_000_000
"""Files of structures that are read again for a report are no larger, together: parsing takes time."""
NO_STRUCTURES = frozenset({".safetensors", ".h5", ".hdf5", ".toml"})
"""Endings of inputs that are models, plans and the like."""


def chosen_frames(path: Path, most: int) -> Iterator[tuple[Mapping[str, str], Geometry]]:
    """At most ``most`` frames, the first and the last among them, each with what its comment line says.

    Raises:
        ValueError, KeyError, OSError: the file is not what crystal writes.
    """
    places = _places(path)
    if len(places) > most:
        places = [places[k] for k in np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))]
    with path.open("rb") as file:
        for start, count in places:
            file.seek(start)
            file.readline()
            facts = texts(file.readline().decode(errors="replace"))
            lines = [file.readline() for _ in range(count)]
            yield facts, _geometry(facts, lines)


def _places(path: Path) -> list[tuple[int, int]]:
    """Where every whole frame begins, in bytes, and how many atoms it has."""
    found = list[tuple[int, int]]()
    with path.open("rb") as file:
        while True:
            start = file.tell()
            head = file.readline()
            if not head.strip():
                return found
            count = int(head)
            skipped = [file.readline() for _ in range(count + 1)]
            if not skipped[-1].endswith(b"\n"):
                return found
            found.append((start, count))


def _geometry(facts: Mapping[str, str], lines: list[bytes]) -> Geometry:
    fields = facts["Properties"].split(":")
    at, places = 0, {}
    for name, width in zip(fields[::3], fields[2::3], strict=True):
        places[name] = at
        at += int(width)
    words = [line.split() for line in lines]
    k = places["pos"]
    cell = facts.get("Lattice", "").split()
    pbc = facts.get("pbc", "T T T" if cell else "F F F").split()
    return Geometry(
        np.array([atomic_numbers[w[places["species"]].decode()] for w in words], dtype=np.uint8),
        np.array([w[k : k + 3] for w in words], dtype=np.float64).reshape(-1, 3),
        np.array(cell, dtype=np.float64).reshape(3, 3) if cell else np.zeros((3, 3)),
        tuple(p == "T" for p in pbc),
    )


def structures_of(run: RunFiles, ids: Sequence[str]) -> dict[str, Geometry]:
    """Structures by id; none where the inputs have gone or changed, which is said once."""
    there, missing = list[Path](), list[Path]()
    for name, was in dict(run.record.get("inputs", {})).items():
        path = Path(name)
        same = None if is_source(path) else _same(run.path.resolve(), path, was)
        (missing if same is None else there).append(same or path)
    wanted, known = set(ids), dict[str, Geometry]()
    texts = [p for p in there if p.suffix.lower() not in NO_STRUCTURES]
    for path in there:
        if path not in texts and cache_seal.is_sealed(path):
            known |= _of_cache(path, wanted - known.keys())
    if texts and wanted - known.keys() and sum(p.stat().st_size for p in texts) <= MOST_BYTES:
        for one, geometry in _of_files(texts):
            if one in wanted:
                known.setdefault(one, geometry)
    if missing and wanted - known.keys():
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        run.problems.append(
            f"{missing[0]}{more}: not there, or not what the run was started with; its structures are not shown"
        )
    return known


def _same(folder: Path, path: Path, was: str) -> Path | None:
    """The file that the run has read: from here, or from a folder around the run's, where it may have been started."""
    for place in dict.fromkeys((path, *(above / path for above in folder.parents[:4]))):
        if place.is_file() and digest(place) == was:
            return place
    return None


def _of_cache(path: Path, wanted: set[str]) -> dict[str, Geometry]:
    from crystalcli.engine.cache.cache import GraphCache

    try:
        cache = GraphCache(path)
        places = [(k, i) for k, i in enumerate(cache.ids) if i in wanted]
        known = {}
        for k, one in places:
            start, stop = (int(p) for p in cache.atom_pointers[k : k + 2])
            numbers, positions = (cache.part(f"atoms/{n}", start, stop) for n in ("atomic_numbers", "positions"))
            pbc = tuple(bool(p) for p in np.broadcast_to(cache.pbc[k], 3))
            known[one] = Geometry(np.array(numbers), np.array(positions), cache.cell[k], pbc)
    except CrystalError:
        return {}
    return known


def _of_files(paths: Sequence[Path]) -> Iterator[tuple[str, Geometry]]:
    from crystalcli.engine.read.reading import Failure
    from crystalcli.engine.read.supervised_reading import read_inputs
    from crystalcli.nouns.structures.read_options import UNLABELLED

    try:
        for item in read_inputs(list(paths), UNLABELLED):
            if not isinstance(item, Failure):
                atoms = item.atoms
                yield item.id, Geometry(atoms.numbers, atoms.positions, atoms.cell.array, tuple(map(bool, atoms.pbc)))
    except CrystalError:
        return
