"""Which start belongs to which relaxed structure: by id, as the ends of a trajectory, or by what a file itself says."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from crystalcli.contracts.host import Host
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import about
from crystalcli.vocabulary.errors import InputError, UsageError

RUN_OF_RELAX = "relax"
SOURCE = "source:"
"""Begins what a plugin generates in place of a file."""
Couple = tuple[str, "Entry | None", "Entry | None", str]
"""Id, start, relaxed, and why one of them is none."""


class Couples:
    """Starts and relaxed structures of files, each once, in the order of the files.

    Args:
        host: reads structures.
        starts: files, or trajectories where ``ends`` and ``initial`` are empty.
        ends: files of the relaxed structures.
        initial: array of ``starts``, then relaxed structures, that says where their atoms began.
    """

    def __init__(self, host: Host, starts: Sequence[str], ends: Sequence[str], initial: str = "") -> None:
        self.host, self.starts, self.ends, self.initial = host, starts, ends, initial

    def __iter__(self) -> Iterator[Couple]:
        if self.initial:
            return self._of_arrays(self.initial)
        return self._by_id() if self.ends else self._trajectories()

    def _of_arrays(self, array: str) -> Iterator[Couple]:
        """Relaxed structures that say themselves where their atoms began."""
        for name, end in _named(self.host.structures(self.starts)):
            if not isinstance(end, Entry):
                yield name, None, None, end.reason
                continue
            began = np.asarray(end.labels.get(array, ()), dtype=np.float64)
            if began.shape != (len(end.atoms), 3) or not np.isfinite(began).all():
                yield name, None, None, f"has no array '{array}' of three finite numbers per atom"
                continue
            atoms = end.atoms.copy()
            atoms.set_positions(began, apply_constraint=False)
            energy = next((end.labels[k] for k in ("energy_initial", "initial_energy") if k in end.labels), None)
            yield name, replace(end, atoms=atoms, labels={} if energy is None else {"energy": energy}), end, ""

    def _by_id(self) -> Iterator[Couple]:
        ends = _by_folder(dict(_named(self.host.structures(self.ends))))
        starts = _by_folder(dict(_named(self.host.structures(self.starts))))
        if len(starts) == len(ends) == 1:  # POSCAR and CONTCAR, say
            ends = dict(zip(starts, ends.values(), strict=True))
        lost = [item for item in ends.values() if isinstance(item, InputError)]
        beside = f"; not read: {lost[0]}{f' and {len(lost) - 1} more' if lost[1:] else ''}" if lost else ""
        unclear = _repeated(starts, ends) if starts.keys() != ends.keys() else set()
        for name, item in starts.items():
            end = ends.pop(name, None)
            if _without_number(name) in unclear and isinstance(item, Entry):
                yield name, None, None, "its id occurs more than once and not as often on both sides: which is which?"
            elif isinstance(item, Entry) and isinstance(end, Entry):
                yield name, item, end, ""
            else:
                broken = item.reason if isinstance(item, InputError) else str(end) if end is not None else ""
                yield name, None, None, broken or f"no relaxed structure has this id{beside}"
        for name, end in ends.items():
            yield name, None, None, end.reason if isinstance(end, InputError) else "no start has this id"

    def _trajectories(self) -> Iterator[Couple]:
        names = Counter(Path(path).name for path in self.starts)
        for path in self.starts:
            first: Entry | InputError | None = None
            last: Entry | InputError | None = None
            for last in self.host.structures([path]):
                first = first or last
            name = Path(path).name
            name = path if names[name] > 1 else name
            broken = next((x.reason for x in (first, last) if isinstance(x, InputError)), "")
            if isinstance(first, Entry) and isinstance(last, Entry) and first is not last:
                if _own_ids(first, last):
                    why = f"holds structures with ids of their own, from {first.id} to {last.id}, and is no trajectory"
                    yield name, None, None, f"{why}: --initial ARRAY or --relaxed FILES says what became of them"
                    continue
                yield name, self._held_as_beside(first), last, ""
            else:
                yield name, None, None, broken or "has one frame only; --relaxed names where the structures went"

    def _held_as_beside(self, first: Entry) -> Entry:
        """The first frame of an XDATCAR or OUTCAR, which say nothing of it, with what the POSCAR beside it holds."""
        path = Path(first.source.partition(":")[0])
        beside = path.with_name("POSCAR")
        if first.atoms.constraints or not path.name.upper().startswith(("XDATCAR", "OUTCAR")) or not beside.is_file():
            return first
        for item in self.host.structures([str(beside)]):
            if isinstance(item, Entry) and (item.atoms.numbers == first.atoms.numbers).all():
                atoms = first.atoms.copy()
                atoms.set_constraint(item.atoms.constraints)
                return replace(first, atoms=atoms)
        return first


def of_run(folder: Path) -> tuple[list[str], list[str]]:
    """Files of the starts and of the relaxed structures of a run of ``crystal relax``."""
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        structures = record["request"]["options"]["structures"] if record["command"] == RUN_OF_RELAX else None
    except (OSError, ValueError, KeyError, TypeError):
        structures = None
    ends = folder / "relaxed.extxyz"
    if structures is None or not ends.is_file():
        raise UsageError("is no finished run of crystal relax", path=folder)
    for name in map(str, structures):
        if name.startswith(SOURCE):  # what is made anew, the same each time
            continue
        was = record["inputs"].get(name)
        if was and was != (sha256(Path(name).read_bytes()).hexdigest() if Path(name).is_file() else ""):
            raise UsageError(f"began with another {name} than is here; go to where it was started", path=folder)
    return [str(s) for s in structures], [str(ends)]


def check_ends(starts: Sequence[str], ends: Sequence[str]) -> None:
    """Refuse relaxed files that are not there, or that a shell has put among the starts.

    ``a/* --relaxed b/*`` gives the option one of them.

    Raises:
        InputError: no relaxed file is there. UsageError: says what to quote.
    """
    if ends and not any(e.startswith(SOURCE) or Path(e).exists() for e in ends):
        raise InputError("no such file; --relaxed names the relaxed structures", path=ends[0])
    if len(ends) != 1 or len(starts) < 2:
        return
    end = Path(ends[0])
    stray = [s for s in starts if Path(s).parent == end.parent]
    if about(end) == 1 or 0 < len(stray) < len(starts):
        among = f", and {stray[-1]} beside it is among them" if stray else ""
        raise UsageError(
            f"is the only relaxed file of {len(starts)} starts{among}: quote what follows --relaxed, such as "
            f"'{end.parent}/*'",
            path=end,
        )


def _own_ids(first: Entry, last: Entry) -> bool:
    """Whether two frames of a file have names that the file gives, and not its own with their number."""
    (one, _, a), (other, _, b) = first.id.rpartition(":"), last.id.rpartition(":")
    return not (one == other and a.isdigit() and b.isdigit()) and _without_number(last.id) != _without_number(first.id)


def _by_folder(items: dict[str, Entry | InputError]) -> dict[str, Entry | InputError]:
    """The structures of runs of VASP, whose files are all called alike, by the names of their folders.

    Names begin below the folder that all have in common; where these are not those of all files, nothing is renamed.
    """
    paths = {k: Path(v.source if isinstance(v, Entry) else str(v.path)) for k, v in items.items()}
    if len(items) < 2 or not all(p.name.upper().startswith(("POSCAR", "CONTCAR")) for p in paths.values()):
        return items
    common = Path(os.path.commonpath([p.parent for p in paths.values()]))
    names = [str(p.parent.relative_to(common)) for p in paths.values()]
    return dict(zip(names, items.values(), strict=True)) if len(set(names)) == len(names) else items


def _without_number(name: str) -> str:
    """The id of which ``name`` is a later occurrence, as readers number them: ID#2."""
    stem, mark, number = name.rpartition("#")
    return stem if mark and number.isdigit() else name


def _repeated(*sides: Mapping[str, object]) -> set[str]:
    """Ids that occur more than once on a side."""
    return {
        _without_number(n) for side in sides for n in side if _without_number(n) in side and _without_number(n) != n
    }


def _named(items: Iterator[Entry | InputError]) -> Iterator[tuple[str, Entry | InputError]]:
    for item in items:
        yield (item.id if isinstance(item, Entry) else str(item.path)), item
