"""A potential of this program as an ASE calculator. Offered as ``crystalcli.load_potential``.

::

    from crystalcli import load_potential

    atoms.calc = load_potential("runs/latest")
    atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from crystalcli.contracts.dynamics import Evaluated, Potential, fields_of
from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.structures.check import check, closest
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import InputError, UsageError

MOST_ATOMS = 4096
"""Structures are evaluated together until they have this many atoms."""
NEAR, NAMED = 1.5, 3
"""Å: the two nearest atoms are named if they are nearer, where a potential gives no number; and so many atoms that it
gives none for."""


class CrystalCalculator(Calculator):  # type: ignore[misc] # ASE is untyped
    """ASE calculator over a potential; make one with :func:`load_potential`.

    Properties: energy, free_energy (the same: there are no electrons), forces, stress (where the cell has a volume),
    energies where the potential has them. The unit is eV, the stress eV/Å³ in ASE's order. Of an ensemble ``results``
    have ``energy_sigma``, too (eV, of the whole structure).
    """

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential
        given = sorted(potential.provides & {"energy", "forces", "stress", "energies"})
        self.implemented_properties = [*given, "free_energy"]

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate ``atoms``; see :class:`ase.calculators.calculator.Calculator`.

        Raises:
            InputError: no atoms, atoms at one place, elements that the potential does not know, a cell that it cannot
                take, or an answer that is no number.
        """
        super().calculate(atoms, properties, system_changes)
        self.results = {}  # nothing of an earlier structure is left where this one is refused
        try:
            (self.results,) = self._results([self.atoms], stress="stress" in properties)
        except InputError as problem:  # there is only one
            raise InputError(problem.reason.removeprefix("structure 0: "), code=problem.code) from problem

    def evaluate(self, structures: Sequence[ase.Atoms], *, stress: bool = False) -> list[dict[str, Any]]:
        """Energies and forces of many structures at once, much faster than one after the other.

        Args:
            structures: of any sizes.
            stress: whether it is wanted, too.

        Returns:
            For every structure ``energy`` eV, ``forces`` (N, 3) eV/Å, ``stress`` (6,) eV/Å³ if asked for, ``energies``
            (N,) eV where the potential has them, ``energy_sigma`` eV of an ensemble.

        Raises:
            UsageError: what is no structure.
            InputError: a structure that cannot be evaluated, or whose energy, forces or stress are no numbers; says
                which and why.
        """
        found: list[dict[str, Any]] = []
        for block in _blocks(structures):
            found += self._results(block, stress=stress, before=len(found))
        return found

    def _fields(self, structures: Sequence[ase.Atoms]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for k, atoms in enumerate(structures):
            try:
                found.append(of_atoms(atoms, fields_of(self.potential)))
            except InputError as problem:
                raise InputError(f"structure {k}: {problem.reason}", code=problem.code) from problem
        return found

    def _results(self, structures: Sequence[ase.Atoms], *, stress: bool, before: int = 0) -> list[dict[str, Any]]:
        """Results of ``structures``, numbered in messages from ``before`` on."""
        for k, atoms in enumerate(structures, before):
            if not isinstance(atoms, ase.Atoms):
                raise UsageError(f"structure {k} is of type {type(atoms).__name__}, not ase.Atoms")
            try:
                check(atoms)
            except InputError as problem:
                raise InputError(f"structure {k}: {problem.reason}", code=problem.code) from problem
        try:
            systems = Systems.of([_bare(a) for a in structures], self.potential.device, self._fields(structures))
            evaluated = self.potential.evaluate(systems, stress=stress)
        except InputError as problem:
            raise InputError(_renumbered(problem.reason, before), code=problem.code) from problem
        found = list(_cut(evaluated, [len(a) for a in structures]))
        for k, (atoms, results) in enumerate(zip(structures, found, strict=True), before):
            _refuse_no_numbers(atoms, results, f"structure {k}: {self.potential.name}")
        return found


def load_potential(
    potential: str, *, device: str = "auto", dtype: Literal["float64", "float32"] = "float64", **options: Any
) -> CrystalCalculator:
    """A trained model, or a calculator by name, as ASE calculator.

    Args:
        potential: model file, run folder, or name (``crystal plugins list --family calculator``).
        device: ``auto``, ``cpu``, ``cuda``, …
        dtype: precision in which a model computes.
        options: of a calculator by name.

    Raises:
        UsageError: no such potential, or a model without energies. InputError: damaged. UnsafeInput: a pickle.
    """
    return CrystalCalculator(named(str(potential), device=device, dtype=dtype, options=options))


def _refuse_no_numbers(atoms: ase.Atoms, results: Mapping[str, Any], said: str) -> None:
    for name, value in results.items():
        if bool(np.isfinite(value).all()):
            continue
        what = f"{said} gives no finite {name}"
        if name in ("forces", "energies"):
            lost = np.flatnonzero(~np.isfinite(value).reshape(len(atoms), -1).all(1))
            what += f" of {_names(atoms, lost.tolist())}"
        i, j, distance = closest(atoms.positions, atoms.cell.array, atoms.pbc, NEAR)
        near = f"; {_names(atoms, [i, j])} are {distance:.3g} Å apart" if i >= 0 else ""
        raise InputError(what + near, code="not-finite")


def _names(atoms: ase.Atoms, which: Sequence[int]) -> str:
    more = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
    return ", ".join(f"{atoms.symbols[k]} {k}" for k in which[:NAMED]) + more


def _renumbered(reason: str, before: int) -> str:
    """What was said of ``structure k`` of a block, said of all."""
    return re.sub(r"^structure (\d+)", lambda m: f"structure {int(m[1]) + before}", reason)


def _bare(atoms: ase.Atoms) -> ase.Atoms:
    """Without constraints: forces are those of the potential."""
    return ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _blocks(structures: Sequence[ase.Atoms]) -> Iterator[list[ase.Atoms]]:
    block: list[ase.Atoms] = []
    size = 0
    for atoms in structures:
        if block and size + len(atoms) > MOST_ATOMS:
            yield block
            block, size = [], 0
        block.append(atoms)
        size += len(atoms)
    if block:
        yield block


def _cut(found: Evaluated, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    stops = np.cumsum(counts)
    host = {k: v.detach().cpu().numpy() for k, v in vars(found).items() if v is not None}
    for k, (n, stop) in enumerate(zip(counts, stops, strict=True)):
        atoms = slice(stop - n, stop)
        energy = float(host["energy"][k])
        results = {"energy": energy, "free_energy": energy, "forces": host["forces"][atoms]}
        if "energies" in host:
            results["energies"] = host["energies"][atoms]
        if "stress" in host:
            results["stress"] = full_3x3_to_voigt_6_stress(host["stress"][k])
        if "sigma" in host:
            results["energy_sigma"] = float(host["sigma"][k])
        yield results
