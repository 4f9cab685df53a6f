"""A batch of structures that move: what relaxers and samplers step, and the verbs that read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
import torch
from ase.constraints import FixAtoms
from ase.data import chemical_symbols
from torch import Tensor

from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.units import ACCELERATION, KB

_FIELD = "field."
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""xx, yy, zz, yz, xz, xy, as in ASE."""


@dataclass(frozen=True)
class Systems:
    """S structures with N atoms in all; float tensors are float64.

    Args:
        positions: (N, 3) Å, not wrapped: they change continuously along a run.
        velocities: (N, 3) Å/fs.
        cell: (S, 3, 3) lattice vectors as rows, Å.
        pbc: (S, 3) bool.
        atomic_numbers: (N,) int64.
        masses: (N,) amu.
        fixed: (N,) bool, atoms that never move.
        structure_index: (N,) int64, the structure each atom belongs to; ascending.
        atom_counts: (S,) int64.
        places: (S,) int64, place of each structure in the batch as it was first made; :meth:`take` keeps it.
        fields: further named tensors with leading axis N that a potential reads; float64.
    """

    positions: Tensor
    velocities: Tensor
    cell: Tensor
    pbc: Tensor
    atomic_numbers: Tensor
    masses: Tensor
    fixed: Tensor
    structure_index: Tensor
    atom_counts: Tensor
    places: Tensor
    fields: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        structures: Sequence[ase.Atoms],
        device: torch.device | str = "cpu",
        fields: Sequence[Mapping[str, np.ndarray]] = (),
    ) -> Systems:
        """Join ``structures``; velocities from their momenta, fixed atoms from ``FixAtoms``.

        Args:
            structures: of any sizes.
            device: of the tensors.
            fields: of each structure, as :func:`crystalcli.nouns.structures.site_fields.of_atoms` gives them.

        Raises:
            InputError: a constraint of another kind; says which structure.
        """
        counts = [len(a) for a in structures]

        def joined(parts: list[np.ndarray], dtype: torch.dtype) -> Tensor:
            return torch.as_tensor(np.concatenate(parts), dtype=dtype, device=device)

        masses = joined([a.get_masses() for a in structures], torch.float64)
        # ASE's momenta are amu·Å over its unit of time, Å·sqrt(amu/eV)
        momenta = joined([a.get_momenta() for a in structures], torch.float64)
        return cls(
            positions=joined([a.positions for a in structures], torch.float64),
            velocities=momenta / masses.unsqueeze(1) * ACCELERATION**0.5,
            cell=torch.as_tensor(np.stack([a.cell.array for a in structures]), dtype=torch.float64, device=device),
            pbc=torch.as_tensor(np.stack([a.pbc for a in structures]), device=device),
            atomic_numbers=joined([a.numbers for a in structures], torch.int64),
            masses=masses,
            fixed=joined([_fixed(a, k) for k, a in enumerate(structures)], torch.bool),
            structure_index=joined([np.full(n, k) for k, n in enumerate(counts)], torch.int64),
            atom_counts=torch.as_tensor(counts, device=device),
            places=torch.arange(len(counts), device=device),
            fields={k: joined([f[k] for f in fields], torch.float64) for k in (fields[0] if fields else ())},
        )

    @property
    def n_structures(self) -> int:
        """Number of structures S."""
        return self.cell.shape[0]

    @property
    def n_atoms(self) -> int:
        """Number of atoms N."""
        return self.positions.shape[0]

    def moved(
        self, *, positions: Tensor | None = None, velocities: Tensor | None = None, cell: Tensor | None = None
    ) -> Systems:
        """The same structures with other coordinates; what is not given stays."""
        new = object.__new__(Systems)  # replace() would cost more than the arithmetic of a step
        held = new.__dict__
        held.update(self.__dict__)
        if positions is not None:
            held["positions"] = positions
        if velocities is not None:
            held["velocities"] = velocities
        if cell is not None:
            held["cell"] = cell
        return new

    def take(self, structures: Tensor) -> Systems:
        """Only ``structures``, (s,) int64 ascending."""
        kept = torch.isin(self.structure_index, structures)
        counts = self.atom_counts.index_select(0, structures)
        atoms = {k: getattr(self, k)[kept] for k in ("positions", "velocities", "atomic_numbers", "masses", "fixed")}
        return Systems(
            **atoms,
            cell=self.cell.index_select(0, structures),
            pbc=self.pbc.index_select(0, structures),
            structure_index=torch.arange(len(structures), device=counts.device).repeat_interleave(counts),
            atom_counts=counts,
            places=self.places.index_select(0, structures),
            fields={k: v[kept] for k, v in self.fields.items()},
        )

    def tensors(self) -> dict[str, Tensor]:
        """By name, for a file; the inverse of :meth:`of_tensors`."""
        fields = {f"{_FIELD}{k}": v for k, v in self.fields.items()}
        return {k: v for k, v in vars(self).items() if k != "fields"} | fields

    @classmethod
    def of_tensors(cls, found: Mapping[str, Tensor]) -> Systems:
        """From what :meth:`tensors` gave."""
        own: dict[str, Any] = {k: v for k, v in found.items() if not k.startswith(_FIELD)}
        return cls(**own, fields={k.removeprefix(_FIELD): v for k, v in found.items() if k.startswith(_FIELD)})

    def to_atoms(self) -> list[ase.Atoms]:
        """The structures as ASE knows them, with momenta (if any atom moves) and fixed atoms."""
        made = []
        stops = np.cumsum(self.atom_counts.cpu().numpy())
        host = {k: v.detach().cpu().numpy() for k, v in self.__dict__.items() if k != "fields"}
        for k, stop in enumerate(stops):
            span = slice(stop - int(self.atom_counts[k]), stop)
            atoms = ase.Atoms(
                host["atomic_numbers"][span], host["positions"][span], cell=host["cell"][k], pbc=host["pbc"][k]
            )
            atoms.set_masses(host["masses"][span])
            if host["velocities"][span].any():
                atoms.set_velocities(host["velocities"][span] / ACCELERATION**0.5)
            if host["fixed"][span].any():
                atoms.set_constraint(FixAtoms(mask=host["fixed"][span]))
            made.append(atoms)
        return made


def refuse_unknown_elements(systems: Systems, known: frozenset[int], reason: str) -> None:
    """Refuse elements that are not among ``known`` (empty: all are).

    Args:
        systems: asked for.
        known: atomic numbers.
        reason: what is said, with the symbols for ``{symbols}``.

    Raises:
        InputError: an element that is not; says which structure.
    """
    if not known:
        return
    table = torch.zeros(120, dtype=torch.bool, device=systems.atomic_numbers.device)
    table[list(known)] = True
    unknown = ~table.index_select(0, systems.atomic_numbers)
    if bool(unknown.any()):
        k = int(systems.structure_index[unknown][0])
        there = systems.atomic_numbers[unknown & (systems.structure_index == k)]
        symbols = ", ".join(sorted({chemical_symbols[z] for z in there.tolist()}))
        raise InputError(f"structure {k}: {reason.format(symbols=symbols)}", code="element")


def per_structure(systems: Systems, values: Tensor) -> Tensor:
    """Sum (N, …) values of atoms into their structures, (S, …)."""
    out = values.new_zeros(systems.n_structures, *values.shape[1:])
    return out.index_add(0, systems.structure_index, values)


def kinetic_energy(systems: Systems) -> Tensor:
    """½ Σ m v² of every structure, (S,) eV."""
    twice = systems.masses * systems.velocities.square().sum(1)
    return per_structure(systems, twice) * (0.5 / ACCELERATION)


def free_directions(systems: Systems) -> Tensor:
    """3 for every free atom, less 3 for the centre of mass where no atom is fixed; (S,) float64."""
    free = per_structure(systems, (~systems.fixed).double())
    whole = free == systems.atom_counts
    return 3.0 * free - 3.0 * whole.double()


def degrees_of_freedom(systems: Systems) -> Tensor:
    """As :func:`free_directions`, but at least 1, so that it can be divided by; (S,) float64."""
    return free_directions(systems).clamp_min(1.0)


def temperature(systems: Systems) -> Tensor:
    """2 E_kin / (f k_B) of every structure, (S,) K; 0 where nothing can move, which is no temperature."""
    return 2.0 * kinetic_energy(systems) / (degrees_of_freedom(systems) * KB)


def volume(systems: Systems) -> Tensor:
    """|det cell| of every structure, (S,) Å³."""
    found: Tensor = torch.linalg.det(systems.cell).abs()
    return found


def to_voigt(tensor: Tensor) -> Tensor:
    """(…, 3, 3) symmetric → (…, 6)."""
    return torch.stack([tensor[..., a, b] for a, b in VOIGT], -1)


def from_voigt(six: Tensor) -> Tensor:
    """(…, 6) → (…, 3, 3) symmetric; nothing is halved."""
    return six[..., [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(*six.shape[:-1], 3, 3)


def _fixed(atoms: ase.Atoms, k: int) -> np.ndarray:
    fixed = np.zeros(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise InputError(
                f"structure {k}: constraint {type(constraint).__name__} is not known; only fixed atoms are"
            )
        fixed[constraint.index] = True
    return fixed
