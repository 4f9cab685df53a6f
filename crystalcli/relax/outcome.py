"""What became of one structure, as a record that survives JSON bit by bit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import ase
import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.systems import Systems
from crystalcli.relax.cell_coordinates import CellCoordinates
from crystalcli.relax.relaxing import CONVERGED, Relaxed, Snapshot
from crystalcli.relax.start import Begin


@dataclass(frozen=True)
class Geometry:
    """Where atoms are and what the potential says of it; plain lists, ready for JSON.

    Args:
        numbers: (N,). pbc: (3,). cell: (3, 3) Å. positions: (N, 3) Å.
        energy: eV. forces: (N, 3) eV/Å. stress: (3, 3) eV/Å³, ASE sign. energies: (N,) eV. sigma: eV.
        may_move: (N, 3) bool, false where an atom is held along an axis; empty where all are free.
    """

    numbers: list[int]
    pbc: list[bool]
    cell: list[list[float]]
    positions: list[list[float]]
    energy: float
    forces: list[list[float]]
    stress: list[list[float]] | None
    energies: list[float] | None
    sigma: float | None
    may_move: list[list[bool]]

    def atoms(self) -> ase.Atoms:
        """The bare structure."""
        return ase.Atoms(self.numbers, self.positions, cell=self.cell, pbc=self.pbc)


@dataclass(frozen=True)
class Outcome:
    """What became of one structure.

    Args:
        id, source: which one.
        reason: ``converged``, or the code of what stopped it.
        message: one line where there is more to say.
        steps: moves made.
        energy_start: eV. fmax: eV/Å. smax: GPa, where the cell is free.
        displacement_max, displacement_mean: Å, in the undeformed cell, without the common drift of free structures.
        volume_start, volume: Å³, of crystals. spacegroup_start, spacegroup: symbol (number), of crystals.
        geometry: the last sane one; none where the potential never gave an answer, or nothing could be read.
        surface: energies and forces are those of a surface that a model offered, none of the crystal.
        begin: where it began, if a model had a say.
        path: geometries on the way and their steps, where they were asked for; the last one is ``geometry``.
    """

    id: str
    source: str
    reason: str
    message: str = ""
    steps: int = 0
    energy_start: float | None = None
    fmax: float | None = None
    smax: float | None = None
    displacement_max: float | None = None
    displacement_mean: float | None = None
    volume_start: float | None = None
    volume: float | None = None
    spacegroup_start: str = ""
    spacegroup: str = ""
    geometry: Geometry | None = None
    path: tuple[tuple[int, Geometry], ...] = ()
    surface: bool = False
    begin: Begin | None = None

    @property
    def converged(self) -> bool:
        """Whether it is relaxed."""
        return self.reason == CONVERGED

    @property
    def energy(self) -> float | None:
        """eV, of the last sane geometry."""
        return None if self.geometry is None else self.geometry.energy

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, the inverse of :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Build from the dictionary of :meth:`to_json`."""
        geometry = data["geometry"]
        path = tuple((step, Geometry(**g)) for step, g in data["path"])
        begin = None if data["begin"] is None else Begin(**data["begin"])
        geometry = None if geometry is None else Geometry(**geometry)
        return cls(**{**data, "geometry": geometry, "path": path, "begin": begin})

    @classmethod
    def failed(cls, failure: Failure) -> Outcome:
        """Of a structure that could not be read or laid out."""
        return cls(failure.id, failure.path, failure.code, failure.reason)


def outcomes(entries: list[Entry], relaxed: Relaxed, symprec: float) -> list[Outcome]:
    """One outcome for every structure of a batch, in order."""
    return [_outcome(entry, k, relaxed, symprec) for k, entry in enumerate(entries)]


def _outcome(entry: Entry, k: int, relaxed: Relaxed, symprec: float) -> Outcome:
    bare = Outcome(entry.id, entry.source, relaxed.reasons[k], relaxed.messages[k], relaxed.steps[k])
    start, end = relaxed.start, relaxed.end
    if start is None or end is None or not _is_known(k, relaxed, end):
        return bare
    geometry = _geometry(k, relaxed.coords, relaxed.systems, end)
    free, crystal = relaxed.coords.mode != "none", all(geometry.pbc)
    before = relaxed.coords.start.take(torch.tensor([k], device=end.rows.device)).to_atoms()[0]
    before.set_constraint()
    after = geometry.atoms()
    farthest, mean = _displacements(k, relaxed, end)
    return Outcome(
        **{f: getattr(bare, f) for f in ("id", "source", "reason", "message", "steps")},
        energy_start=float(start.energy[k]),
        fmax=_finite(end.fmax[k]),
        smax=_finite(end.smax[k]) if free else None,
        displacement_max=farthest,
        displacement_mean=mean,
        volume_start=float(before.get_volume()) if crystal else None,
        volume=float(after.get_volume()) if crystal else None,
        spacegroup_start=space_group(before, symprec) if crystal else "",
        spacegroup=space_group(after, symprec) if crystal else "",
        geometry=geometry,
        path=_path(k, relaxed, geometry),
    )


def _is_known(k: int, relaxed: Relaxed, end: Snapshot) -> bool:
    """Whether the potential has said energy and forces of structure k in numbers."""
    mine = relaxed.systems.structure_index == k
    return math.isfinite(float(end.energy[k])) and bool(torch.isfinite(end.forces[mine]).all())


def _path(k: int, relaxed: Relaxed, geometry: Geometry) -> tuple[tuple[int, Geometry], ...]:
    """What was kept on the way of structure k, and where it ended."""
    found = [
        (step, _geometry(k, relaxed.coords, relaxed.coords.systems(snapshot.rows), snapshot))
        for step, snapshot, going in relaxed.path
        if bool(going[k])
    ]
    if not relaxed.path:
        return ()
    if found and found[-1][1].positions == geometry.positions and found[-1][1].cell == geometry.cell:
        found.pop()  # the same, which may know its stress
    return (*found, (relaxed.steps[k], geometry))


def _geometry(k: int, coords: CellCoordinates, systems: Systems, end: Snapshot) -> Geometry:
    mine = systems.structure_index == k
    allowed = coords.allowed[mine].diagonal(dim1=1, dim2=2) > 0.5
    stress = None if end.stress is None else end.stress[k]
    energies = None if end.energies is None else end.energies[mine]
    return Geometry(
        numbers=systems.atomic_numbers[mine].tolist(),
        pbc=systems.pbc[k].tolist(),
        cell=systems.cell[k].tolist(),
        positions=systems.positions[mine].tolist(),
        energy=float(end.energy[k]),
        forces=end.forces[mine].tolist(),
        stress=stress.tolist() if stress is not None and bool(torch.isfinite(stress).all()) else None,
        energies=energies.tolist() if energies is not None and bool(torch.isfinite(energies).all()) else None,
        sigma=None if end.sigma is None else _finite(end.sigma[k]),
        may_move=[] if bool(allowed.all()) else allowed.tolist(),
    )


def _displacements(k: int, relaxed: Relaxed, end: Snapshot) -> tuple[float, float]:
    """Largest and mean distance from the start, Å: never wrapped, the drift of wholly free structures taken off."""
    coords = relaxed.coords
    mine = coords.start.structure_index == k
    moved = (end.rows.index_select(0, coords.atom_rows) - coords.start.positions)[mine]
    if bool((coords.allowed[mine].diagonal(dim1=1, dim2=2) > 0.5).all()):
        moved = moved - moved.mean(0)
    size = moved.norm(dim=1)
    return float(size.max()), float(size.mean())


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def space_group(atoms: ase.Atoms, symprec: float) -> str:
    """``Fm-3m (225)`` within ``symprec`` Å; empty where the symmetry search gives up."""
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    bare = ase.Atoms(atoms.numbers, scaled_positions=_wrapped(atoms), cell=atoms.cell, pbc=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = SpacegroupAnalyzer(AseAtomsAdaptor.get_structure(bare), symprec=symprec)
            return f"{found.get_space_group_symbol()} ({found.get_space_group_number()})"
        except Exception:  # spglib gives up in several ways; a name less is no failure
            return ""


def _wrapped(atoms: ase.Atoms) -> NDArray[np.float64]:
    found: NDArray[np.float64] = atoms.get_scaled_positions(wrap=True)
    return found
