"""The work of ``crystal pairs``: structures of files, each with what it relaxed to, laid out as pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ase
import numpy as np

from crystal_slabs import PAIRS, PAIRS_TABLE
from crystal_slabs.couples import Couples, check_ends, of_run
from crystal_slabs.further import further_starts
from crystal_slabs.making import ADSORBATE, FREE, HELD
from crystal_slabs.options import PairsOptions, words
from crystal_slabs.output import xyz_frame
from crystal_slabs.pairing import relaxed_in_the_cell, relaxed_positions
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run, Work
from crystalcli.nouns.structures.constraints import projections
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import START_OF, STRAIN
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError
from crystalcli.vocabulary.tables import csv_text

HEADS = ("id", "left_out", "group", "atoms", "moved_mean [Å]", "moved_max [Å]")
OF_RELAXATIONS = frozenset({"converged", "reason", "message"})
"""Words of a relaxation that a start has been through; they say nothing of the pair."""
HOLDS = 0.01
"""Å that a held atom may be elsewhere, by what files round off."""


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
        check_ends(self.starts, self.ends)
        self.symbols: set[str] = set()
        self.tags: Counter[str] = Counter()
        if o.relax_run:
            self.starts, self.ends = of_run(Path(o.relax_run))
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
        further = 0
        with run.writing(PAIRS) as file:
            for name, start, end, missing in Couples(self.host, self.starts, self.ends, self.options.initial):
                run.stop_if_asked()
                try:
                    if start is None or end is None:
                        raise InputError(missing)
                    if end.tags.get("converged") == "False":  # relaxations of ours say so
                        raise InputError("did not converge", code="converged")
                    atoms, may_move = self._laid_out(start, end)
                    relaxed, six = self._relaxed(atoms, end.atoms)
                    if six is None:
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
                info = {**words, "id": name, "group": group, **energies, **_strain(six)}
                file.write(xyz_frame(atoms, info, relaxed, may_move).encode())
                rows.append(_row(name, group, atoms, lengths))
                moved.append(lengths)
                told = {**words, START_OF: name, "group": group, "energy_relaxed": energies["energy_relaxed"]}
                for row, frame in self._further(atoms, relaxed, six, may_move, told):
                    rows.append(row)
                    further += bool(frame)
                    file.write(frame.encode())
                run.reporter.progress(f"{len(rows)} paired", len(rows), None)
            run.write(PAIRS_TABLE, csv_text(HEADS, rows))
            if none := [s for s in self.elements if s not in self.symbols]:
                run.reporter.warn(f"--adsorbate {','.join(none)}: no structure has any")
            for line in _unclear(self.tags):
                run.reporter.warn(line)
            if not moved:
                why = f"{failed[0]['id']}: {failed[0]['reason']}" if failed else "there are no structures"
                raise NothingUsable(f"no pair: {why}")
        everywhere = np.concatenate(moved)
        return {
            "pairs": len(moved),
            "further_starts": further,
            "further_starts_not_made": len(moved) * self.options.further_starts - further,
            "failed": failed,
            "moved": float(everywhere.mean()) if len(everywhere) else 0.0,
            "exit_code": 3 if failed else 0,
        }

    def _relaxed(self, start: ase.Atoms, end: ase.Atoms) -> tuple[np.ndarray, np.ndarray | None]:
        """Positions, and the strain of a cell that may relax."""
        if not self.options.cells:
            return relaxed_positions(start, end, self.options.match), None
        return relaxed_in_the_cell(start, end, self.options.match)

    def _further(
        self,
        start: ase.Atoms,
        relaxed: np.ndarray,
        strain: np.ndarray | None,
        may_move: np.ndarray,
        told: dict[str, Any],
    ) -> Iterator[tuple[tuple[Any, ...], str]]:
        """Row and frame of every further start; of one that cannot be made no frame."""
        o, name, group = self.options, str(told[START_OF]), told["group"]
        starts = further_starts(start, relaxed, strain, may_move, o.further_starts, o.noise, name)
        for k, one in enumerate(starts, 1):
            own = f"{name}+{k}"
            if one is None:
                yield (own, "further start: atoms too near each other", None, None, None, None), ""
                continue
            lengths = np.linalg.norm(one.relaxed - one.atoms.positions, axis=1)[may_move.any(axis=1)]
            frame = xyz_frame(one.atoms, {"id": own, **told, **_strain(one.strain)}, one.relaxed, may_move)
            yield _row(own, group, start, lengths), frame

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
        own = atoms.get_tags()
        if own.any() and not self.elements:
            self.tags["own"] += 1
            self.tags["other"] += bool(own.max() < ADSORBATE and (own[may_move.any(axis=1)] == HELD).any())
        else:
            self.tags["made"] += 1
            tags = np.where(may_move.any(axis=1), FREE, HELD)
            named = np.isin(atoms.get_chemical_symbols(), self.elements)
            tags[named & (tags == FREE)] = ADSORBATE  # an oxide's own oxygen, held below, is none
            self.symbols.update(atoms.symbols[named])
            atoms.set_tags(tags)
        return atoms, may_move


def _row(name: str, group: str, atoms: ase.Atoms, lengths: np.ndarray) -> tuple[Any, ...]:
    """Of the table: a pair, and how far its atoms that may move do, (N,) Å."""
    mean, most = (float(lengths.mean()), float(lengths.max())) if len(lengths) else (0.0, 0.0)
    return name, "", group, len(atoms), mean, most


def _strain(six: np.ndarray | None) -> dict[str, str]:
    """What a frame says of a cell that relaxes."""
    return {} if six is None else {STRAIN: " ".join(repr(float(x)) for x in six)}


def _unclear(tags: Mapping[str, int]) -> list[str]:
    """What is to be said where a tag does not mean the same everywhere, or not what it means here."""
    meaning = f"{HELD} held, {FREE} free, {ADSORBATE} adsorbate"
    cure = "--adsorbate SYMBOLS makes those of all structures anew"
    if tags["own"] and tags["made"]:
        both = f"tags of {tags['own']} structures are their files', those of {tags['made']} are made here ({meaning})"
        return [f"{both}: one number may mean two things; {cure}"]
    if tags["other"]:
        return [f"in {tags['other']} structures atoms that may move have tag {HELD}, which is not {meaning}; {cure}"]
    return []


def _check_held(moved: np.ndarray, may_move: np.ndarray) -> None:
    """Refuse an atom that moved along an axis along which it is held, by an InputError."""
    far = np.where(may_move, 0.0, np.abs(moved)).max(axis=1, initial=0.0)
    if far.max(initial=0.0) > HOLDS:
        k = int(far.argmax())
        why = "another origin, or other constraints than those of the relaxation"
        raise InputError(f"atom {k} is held and moved by {far[k]:.3g} Å: {why}")


def _group(start: Entry, atoms: ase.Atoms) -> str:
    """What splits keep together: what the start says, a number too, else the elements of the slab."""
    number = start.labels.get("group")
    said = start.tags.get("group") or (f"{number:g}" if isinstance(number, (int, float)) else "")
    return said or "-".join(sorted(set(atoms.symbols[atoms.get_tags() != ADSORBATE])))


def _energy(entry: Entry) -> float | None:
    found = entry.labels.get("energy")
    return float(found) if isinstance(found, (int, float)) else None
