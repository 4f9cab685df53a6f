"""Structures of a run's inputs, for the report: graph caches and files, if they are still what the run has read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crystalcli.contracts.sections import Geometry
from crystalcli.engine.cache import cache_seal
from crystalcli.engine.read.input_digest import digest
from crystalcli.engine.read.sources import is_source
from crystalcli.vocabulary.errors import CrystalError

if TYPE_CHECKING:
    from crystalcli.engine.report.run_files import RunFiles

MOST_BYTES = 50_000_000
"""Files of structures that are read again for a report are no larger, together: parsing takes time."""
NO_STRUCTURES = frozenset({".safetensors", ".h5", ".hdf5", ".toml"})
"""Endings of inputs that are models, plans and the like."""


def found(run: RunFiles, ids: Sequence[str]) -> dict[str, Geometry]:
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
