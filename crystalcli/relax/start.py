"""Where a model of relaxed positions says that structures come to rest: a better place to begin a relaxation at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import ase
import numpy as np
import torch
from ase.units import GPa

from crystalcli.contracts.dynamics import Potential
from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.images import lattice_shifts
from crystalcli.nouns.structures.constraints import Floats, projections, without_constraints
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.offered import STRAIN
from crystalcli.nouns.systems import Systems
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.prediction.structures import strain
from crystalcli.relax.cell_coordinates import CellMode
from crystalcli.vocabulary.errors import InputError, UsageError

GUESS, GIVEN = "model", "file"
"""Where a relaxation began."""


@dataclass(frozen=True)
class Begin:
    """Where the relaxation of one structure began, and what the potential says of both places.

    Args:
        taken: ``model`` or ``file``.
        energy_given, energy_guess: eV (enthalpies under a pressure). fmax_given, fmax_guess: eV/Å, of free atoms.
        why: why there is no guess; empty where there is one.
        steps_given: moves from the file's place, where they were asked for and led to the goal.
    """

    taken: str
    energy_given: float | None = None
    energy_guess: float | None = None
    fmax_given: float | None = None
    fmax_guess: float | None = None
    why: str = ""
    steps_given: int | None = None

    COLUMNS = (
        "begin",
        "energy_given [eV]",
        "energy_guess [eV]",
        "fmax_given [eV/Å]",
        "fmax_guess [eV/Å]",
        "steps_given",
        "no_guess",
    )

    def row(self) -> list[Any]:
        """Its cells in the table."""
        numbers = (self.energy_given, self.energy_guess, self.fmax_given, self.fmax_guess)
        return [self.taken, *(None if x is None else repr(x) for x in numbers), self.steps_given, self.why]


class StartModel:
    """A model that moves structures to where they come to rest.

    Args:
        path: of the model, or of its run.
        device: where it works.
        cell: what of the cell may relax; a model that says how it strains is followed that far.
        pressure: of the surroundings, GPa; places are then judged by their enthalpy.
        warn: told what a careful user wants to know.

    Raises:
        UsageError: it predicts no positions. InputError: it cannot be read.
    """

    def __init__(
        self,
        path: Path,
        device: str,
        cell: CellMode = "none",
        pressure: float = 0.0,
        warn: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._cell, self._pressure = cell, pressure
        self._predictor = Predictor(path, device=device, warn=warn)
        places = [q for q in self._predictor.quantities if q.meaning == "position"]
        if not places:
            said = ", ".join(q.name for q in self._predictor.quantities)
            raise UsageError(f"predicts {said} and no positions; --start needs a model of relaxed positions", path=path)
        self.quantity = places[0]

    def begun(
        self, entries: Sequence[Entry], potential: Potential, fields: Callable[[Entry], dict[str, Any]]
    ) -> list[tuple[Entry, Begin]]:
        """Every structure where it is to begin: as the model says, unless the potential finds more energy there.

        Args:
            entries: as the files have them, with all that holds their atoms.
            potential: judges.
            fields: what it reads of the atoms of an entry.
        """
        guessed = [self._guess(*pair) for pair in zip(entries, self._predictor.of_entries(iter(entries)), strict=True)]
        both = [(e, g) for e, g in zip(entries, guessed, strict=True) if isinstance(g, Entry)]
        judged = iter(zip(*(self._judged(side, potential, fields) for side in zip(*both, strict=True)), strict=True))
        found: list[tuple[Entry, Begin]] = []
        for entry, guess in zip(entries, guessed, strict=True):
            if isinstance(guess, str):
                found.append((entry, Begin(GIVEN, why=guess)))
                continue
            given, there = next(judged)
            if given is None or there is None:
                found.append((entry, Begin(GIVEN, why="the potential has no energy there")))
                continue
            numbers = (given[0], there[0], given[1], there[1])
            is_taken = there[0] <= given[0]
            found.append((guess, Begin(GUESS, *numbers)) if is_taken else (entry, Begin(GIVEN, *numbers)))
        return found

    def _guess(self, entry: Entry, item: Row | Failure) -> Entry | str:
        """The structure where the model says, as far as its atoms may go there; or why there is none."""
        if isinstance(item, Failure):
            return item.reason
        atoms = entry.atoms.copy()
        places = _allowed(entry.atoms, np.asarray(item.values[self.quantity.name], dtype=np.float64))
        atoms.set_positions(places, apply_constraint=False)
        if self._cell != "none" and STRAIN in item.values and bool(np.all(atoms.pbc)):
            six = np.asarray(item.values[STRAIN], dtype=np.float64)
            if self._cell == "isotropic":
                six = np.array([six[:3].mean()] * 3 + [0.0] * 3)
            strain(atoms, six)
        return replace(entry, atoms=atoms)

    def _judged(
        self, entries: Sequence[Entry], potential: Potential, fields: Callable[[Entry], dict[str, Any]]
    ) -> list[tuple[float, float] | None]:
        """Enthalpy, eV, and largest force that moves an atom, eV/Å, of each; none where the potential has no energy."""
        free = [without_constraints(e.atoms) for e in entries]
        systems = Systems.of(free, potential.device, [fields(e) for e in entries])
        try:
            one = potential.evaluate(systems)
        except InputError:  # of one of them; of a single one the relaxation says so
            return [None] if len(entries) == 1 else [self._judged([e], potential, fields)[0] for e in entries]
        allowed = torch.as_tensor(np.concatenate([projections(e.atoms) for e in entries]), device=potential.device)
        sizes = torch.einsum("nij,nj->ni", allowed, one.forces).norm(dim=1)
        largest = torch.zeros_like(one.energy).scatter_reduce(0, systems.structure_index, sizes, "amax")
        work = [self._pressure * GPa * a.get_volume() if self._pressure else 0.0 for a in free]
        found = zip(one.energy.tolist(), work, largest.tolist(), strict=True)
        return [(energy + pv, size) for energy, pv, size in found]


def _allowed(atoms: ase.Atoms, places: Floats) -> Floats:
    """Where constraints let the atoms go on the way to ``places``; free atoms go there.

    Of an atom that follows some directions only, the way is the shortest to any image of its place: the projection of a
    period is no period.
    """
    free = projections(atoms)
    bound = ~np.isclose(free, np.eye(3)).all(axis=(1, 2))
    step = (places - atoms.positions)[bound]
    step = step + lattice_shifts(step, atoms.cell.array, atoms.pbc) @ atoms.cell.array
    found: Floats = places.copy()
    found[bound] = atoms.positions[bound] + np.einsum("nij,nj->ni", free[bound], step)
    return found


def told(begins: Sequence[Begin], steps: Sequence[int]) -> Mapping[str, Any]:
    """What all beginnings say together, for the report.

    Args:
        begins: of all structures that have one.
        steps: moves that each took.
    """
    judged = [b for b in begins if b.energy_guess is not None]
    both = [
        (b.steps_given, s)
        for b, s in zip(begins, steps, strict=True)
        if b.steps_given is not None and b.energy_guess is not None  # without a guess nothing is compared
    ]
    of_given = [float(g) for g, _ in both if g is not None]
    return {
        "structures": len(begins),
        "began_at_the_guess": sum(b.taken == GUESS for b in begins),
        "guess_has_more_energy": sum(b.taken == GIVEN for b in judged),
        "without_guess": len(begins) - len(judged),
        "mean_fmax_given": fmean([b.fmax_given or 0.0 for b in judged]) if judged else None,
        "mean_fmax_guess": fmean([b.fmax_guess or 0.0 for b in judged]) if judged else None,
        "mean_energy_drop": fmean([(b.energy_given or 0.0) - (b.energy_guess or 0.0) for b in judged])
        if judged
        else None,
        "compared": len(both),
        "mean_steps_given": fmean(of_given) if both else None,
        "mean_steps": fmean([float(s) for _, s in both]) if both else None,
    }
