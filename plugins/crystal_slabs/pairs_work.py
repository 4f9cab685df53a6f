"""The work of ``crystal pairs``: structures of files, matched with what they relaxed to."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import ase
import numpy as np

from crystal_slabs import PAIRS, PAIRS_TABLE
from crystal_slabs.making import ADSORBATE, FREE, HELD
from crystal_slabs.options import PairsOptions, words
from crystal_slabs.output import xyz_frame
from crystal_slabs.pairing import relaxed_in_the_cell, relaxed_positions
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.nouns.structures.constraints import projections
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import about
from crystalcli.nouns.structures.offered import STRAIN
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError
from crystalcli.vocabulary.tables import csv_text

HEADS = ("id", "left_out", "group", "atoms", "moved_mean [Å]", "moved_max [Å]")
RUN_OF_RELAX = "relax"
SOURCE = "source:"
"""Begins what a plugin generates in place of a file."""
OF_RELAXATIONS = frozenset({"converged", "reason", "message"})
"""Words of a relaxation that a start has been through; they say nothing of the pair."""
HOLDS = 0.01
"""Å that a held atom may be elsewhere, by what files round off."""
Couple = tuple[str, "Entry | None", "Entry | None", str]
"""Id, start, relaxed, and why one of them is none."""


class PairsFrom(Work):
    """Pairs of the structures of files.

    Raises:
        UsageError: no structures, or several ways of saying which. InputError: no relaxed file is there.
    """

    def __init__(self, request: Request, host: Host) -> None:
        o: PairsOptions = request.options
        if bool(o.structures) == bool(o.relax_run) or sum(map(bool, (o.relaxed, o.relax_run, o.initial))) > 1:
            raise UsageError(
                "name trajectories, or structures and --relaxed FILES, or structures and --initial ARRAY, or "
                "--relax-run FOLDER alone"
            )
        if o.initial and o.cells:
            raise UsageError(
                "--initial says where atoms began and not in which cell; --cells needs starts of their own"
            )
        self.options, self.host = o, host
        self.elements = words(o.adsorbate, tuple(ase.data.atomic_numbers), "adsorbate") if o.adsorbate else ()
        self.starts, self.ends = list(o.structures), list(o.relaxed)
        if self.ends and not any(e.startswith(SOURCE) or Path(e).exists() for e in self.ends):
            raise InputError("no such file; --relaxed names the relaxed structures", path=self.ends[0])
        _refuse_open_glob(self.starts, self.ends)
        self.symbols: set[str] = set()
        if o.relax_run:
            self.starts, self.ends = _of_run(Path(o.relax_run))
        self.inputs = [Path(f) for f in (*self.starts, *self.ends)]

    def describe(self) -> dict[str, Any]:
        """The resolved plan."""
        n, m = len(self.starts), len(self.ends)
        o = self.options
        said = f"{n} files with the array {o.initial}" if o.initial else f"{n} trajectories"
        said = f"{n} files of starts and {m} of relaxed structures" if m else said
        return {"from": said, "match": self.options.match, "starts": self.starts, "relaxed": self.ends}

    def do(self, run: Run) -> Mapping[str, Any]:
        """Pair them all; what does not fit is said."""
        rows: list[tuple[Any, ...]] = []
        failed: list[dict[str, str]] = []
        moved: list[np.ndarray] = []
        with run.writing(PAIRS) as file:
            for name, start, end, missing in self._couples():
                run.stop_if_asked()
                try:
                    if start is None or end is None:
                        raise InputError(missing)
                    if end.tags.get("converged") == "False":  # relaxations of ours say so
                        raise InputError("did not converge", code="converged")
                    atoms, may_move = self._laid_out(start, end)
                    relaxed, strain = self._relaxed(atoms, end.atoms)
                    if not strain:
                        _check_held(relaxed - atoms.positions, may_move)
                except InputError as problem:
                    failed.append({"id": name, "reason": problem.reason})
                    rows.append((name, problem.reason, None, None, None, None))
                    continue
                lengths = np.linalg.norm(relaxed - atoms.positions, axis=1)[may_move.any(axis=1)]
                group = _group(start, atoms)
                energies = {"energy_start": _energy(start), "energy_relaxed": _energy(end)}
                words = {k: v for k, v in start.tags.items() if k.isidentifier()}  # parent, facet: splits go by them
                words = {k: v for k, v in words.items() if k not in OF_RELAXATIONS}
                info = {**words, "id": name, "group": group, **energies, **strain}
                file.write(xyz_frame(atoms, info, relaxed, may_move).encode())
                most = float(lengths.max()) if len(lengths) else 0.0
                rows.append((name, "", group, len(atoms), float(lengths.mean()) if len(lengths) else 0.0, most))
                moved.append(lengths)
                run.reporter.progress(f"{len(rows)} paired", len(rows), None)
            run.write(PAIRS_TABLE, csv_text(HEADS, rows))
            if none := [s for s in self.elements if s not in self.symbols]:
                run.reporter.warn(f"--adsorbate {','.join(none)}: no structure has any")
            if not moved:
                why = f"{failed[0]['id']}: {failed[0]['reason']}" if failed else "there are no structures"
                raise NothingUsable(f"no pair: {why}")
        everywhere = np.concatenate(moved)
        return {
            "pairs": len(moved),
            "failed": failed,
            "moved": float(everywhere.mean()) if len(everywhere) else 0.0,
            "exit_code": 3 if failed else 0,
        }

    def _relaxed(self, start: ase.Atoms, end: ase.Atoms) -> tuple[np.ndarray, dict[str, str]]:
        """Positions, and what is said of the cell where it may relax."""
        if not self.options.cells:
            return relaxed_positions(start, end, self.options.match), {}
        places, strain = relaxed_in_the_cell(start, end, self.options.match)
        return places, {STRAIN: " ".join(repr(float(x)) for x in strain)}

    def _couples(self) -> Iterator[Couple]:
        if self.options.initial:
            return self._of_arrays(self.options.initial)
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

    def _laid_out(self, start: Entry, end: Entry) -> tuple[ase.Atoms, np.ndarray]:
        """The start with its tags, and what may move, (N, 3): by its constraints, else by those of what it became."""
        source = start.atoms if start.atoms.constraints or self.options.match != "order" else end.atoms
        if len(source) != len(start.atoms):
            source = start.atoms  # and what does not fit is said where they are matched
        allowed = projections(source)
        whole = np.round(allowed)  # of a hexagonal cell they are 0 and 1 but for rounding
        allowed = np.where(np.isclose(allowed, whole, rtol=0.0, atol=1e-9), whole, allowed)
        along = np.diagonal(allowed, axis1=1, axis2=2)
        if not (np.isin(along, (0.0, 1.0)).all() and np.abs(allowed).sum() == along.sum()):
            raise InputError("holds an atom along a direction that is no axis; a move_mask cannot say that")
        may_move = along > 0
        atoms = start.atoms.copy()
        if self.elements or not atoms.get_tags().any():
            tags = np.where(may_move.any(axis=1), FREE, HELD)
            named = np.isin(atoms.get_chemical_symbols(), self.elements)
            tags[named & (tags == FREE)] = ADSORBATE  # an oxide's own oxygen, held below, is none
            self.symbols.update(atoms.symbols[named])
            atoms.set_tags(tags)
        return atoms, may_move


def _check_held(moved: np.ndarray, may_move: np.ndarray) -> None:
    """Refuse an atom that moved along an axis along which it is held, by an InputError."""
    far = np.where(may_move, 0.0, np.abs(moved)).max(axis=1, initial=0.0)
    if far.max(initial=0.0) > HOLDS:
        k = int(far.argmax())
        why = "another origin, or other constraints than those of the relaxation"
        raise InputError(f"atom {k} is held and moved by {far[k]:.3g} Å: {why}")


def _of_run(folder: Path) -> tuple[list[str], list[str]]:
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


def _refuse_open_glob(starts: Sequence[str], ends: Sequence[str]) -> None:
    """Refuse relaxed files that a shell has put among the starts: ``a/* --relaxed b/*`` gives the option one of them.

    Raises:
        UsageError: says what to quote.
    """
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


def _group(start: Entry, atoms: ase.Atoms) -> str:
    """What splits keep together: what the start says, a number too, else the elements of the slab."""
    number = start.labels.get("group")
    said = start.tags.get("group") or (f"{number:g}" if isinstance(number, (int, float)) else "")
    return said or "-".join(sorted(set(atoms.symbols[atoms.get_tags() != ADSORBATE])))


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


def _energy(entry: Entry) -> float | None:
    found = entry.labels.get("energy")
    return float(found) if isinstance(found, (int, float)) else None
