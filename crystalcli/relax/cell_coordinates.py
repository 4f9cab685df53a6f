"""Structures with free cells as rows of numbers that a minimiser can move.

Atoms are described in the undeformed cell, q, and the cell by a symmetric strain U, so that the crystal never rotates:

    r = q Fᵀ,    cell = cell₀ Fᵀ,    F = (1 + U/2)(1 − U/2)⁻¹

F is the Cayley transform, which is exp(U) up to U³/12 (E. B. Tadmor et al., Phys. Rev. B 59, 235 (1999), and ASE's
FrechetCellFilter use the exponential itself). Deviation: it is rational, so its gradient is short and exact, and a
structure's bits do not depend on its batch, which vectorised exponentials do not grant; for the same reason small
matrices are multiplied by sums and not by a library. Rows of the cell are s·U with s = √N (V/N)^⅓, so that a strain
counts about as much as the movement of the atoms that it brings (the idea of D. Sheppard et al., J. Chem. Phys. 136,
074103 (2012). Deviation: the length is that of one atom, not of the cell, and stiffness does not fall with size).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.systems import Systems, volume
from crystalcli.vocabulary.units import GPA

CellMode = Literal["none", "isotropic", "full"]


@dataclass(frozen=True)
class CellCoordinates:
    """The map between a batch of structures and the rows of its minimiser.

    Args:
        start: the structures as they were.
        allowed: (N, 3, 3), what of a displacement each atom may follow, in the undeformed cell.
        mode: which cells are free.
        pressure: eV/Å³, of the surroundings.
        scale: (S,) Å, s of the rows of the cell.
        atom_rows, cell_rows: (N,) and (S, 3) int64, where atoms and cells stand among the rows; no cells in mode none.
        index: (M,) int64, the structure of each row.
    """

    start: Systems
    allowed: Tensor
    mode: CellMode
    pressure: float
    scale: Tensor
    atom_rows: Tensor
    cell_rows: Tensor
    index: Tensor

    @classmethod
    def of(cls, systems: Systems, allowed: Tensor, mode: CellMode, pressure_gpa: float = 0.0) -> CellCoordinates:
        """Lay out the rows of ``systems``; ``pressure_gpa`` in GPa."""
        s = systems.n_structures
        extra = 0 if mode == "none" else 3
        before = extra * systems.structure_index
        atom_rows = torch.arange(systems.n_atoms, device=systems.positions.device) + before
        ends = systems.atom_counts.cumsum(0) + extra * torch.arange(s, device=before.device)
        cell_rows = ends.unsqueeze(1) + torch.arange(extra, device=before.device)
        index = torch.arange(s, device=before.device).repeat_interleave(systems.atom_counts + extra)
        counts = systems.atom_counts.double()
        scale = counts.sqrt() * (volume(systems) / counts).clamp_min(1e-3) ** (1 / 3)
        return cls(systems, allowed, mode, pressure_gpa * GPA, scale, atom_rows, cell_rows, index)

    @property
    def fixed_rows(self) -> Tensor:
        """(M,) bool: rows of atoms that never move."""
        fixed = torch.zeros(len(self.index), dtype=torch.bool, device=self.index.device)
        return fixed.index_copy(0, self.atom_rows, ~self.allowed.flatten(1).any(1))

    def initial(self) -> Tensor:
        """(M, 3) rows of the structures as they were; those of the cells are zero."""
        rows = self.start.positions.new_zeros(len(self.index), 3)
        return rows.index_copy(0, self.atom_rows, self.start.positions)

    def systems(self, rows: Tensor) -> Systems:
        """The structures that ``rows`` (M, 3) describe."""
        q = rows.index_select(0, self.atom_rows)
        if self.mode == "none":
            return self.start.moved(positions=q)
        transposed = self.deformation(rows).transpose(1, 2)
        per_atom = transposed.index_select(0, self.start.structure_index)
        return self.start.moved(
            positions=(q.unsqueeze(2) * per_atom).sum(1), cell=_product(self.start.cell, transposed)
        )

    def deformation(self, rows: Tensor) -> Tensor:
        """F of every structure, (S, 3, 3); symmetric."""
        eye = torch.eye(3, dtype=rows.dtype, device=rows.device)
        return 2.0 * self._half(rows) - eye

    def enthalpy(self, systems: Systems, found: Evaluated) -> Tensor:
        """(S,) E + pV where cells are free, else E; eV."""
        return found.energy if self.mode == "none" else found.energy + self.pressure * volume(systems)

    def forces(self, rows: Tensor, systems: Systems, found: Evaluated) -> Tensor:
        """(M, 3): minus the derivative of the enthalpy with respect to ``rows``; zero where atoms are fixed."""
        forces = found.forces
        if self.mode != "none":
            per_atom = self.deformation(rows).index_select(0, self.start.structure_index)
            forces = (forces.unsqueeze(2) * per_atom).sum(1)
        forces = (self.allowed * forces.unsqueeze(1)).sum(2)
        out = rows.new_zeros(rows.shape).index_copy(0, self.atom_rows, forces)
        if self.mode == "none":
            return out
        return out.index_copy(0, self.cell_rows.flatten(), self._cell_forces(rows, systems, found).flatten(0, 1))

    def felt(self, rows: Tensor, found: Evaluated) -> Tensor:
        """(N, 3) eV/Å: of the forces what acts along the directions that atoms may follow, as the cell is now.

        With P, the projection on what an atom may follow in the undeformed cell, it follows F P: a line d turns to F d,
        a plane with the normal n to that with the normal F⁻¹ n. Their projections are F P F / tr(F P F) and
        1 − F⁻¹ (1 − P) F⁻¹ / tr(F⁻¹ (1 − P) F⁻¹).
        """
        free = self.allowed
        rank = free.diagonal(dim1=1, dim2=2).sum(1).round()
        partly = ((rank > 0) & (rank < 3)).nonzero().flatten()
        if self.mode != "none" and len(partly):
            stretch = self.deformation(rows)
            where = self.start.structure_index.index_select(0, partly)
            p, line = free.index_select(0, partly), (rank.index_select(0, partly) == 1).view(-1, 1, 1)
            eye = torch.eye(3, dtype=rows.dtype, device=rows.device)
            f = torch.where(line, stretch.index_select(0, where), _inverse(stretch).index_select(0, where))
            turned = _product(_product(f, torch.where(line, p, eye - p)), f)
            turned = turned / turned.diagonal(dim1=1, dim2=2).sum(1).view(-1, 1, 1)
            free = free.index_copy(0, partly, torch.where(line, turned, eye - turned))
        return (free * found.forces.unsqueeze(1)).sum(2)

    def _cell_forces(self, rows: Tensor, systems: Systems, found: Evaluated) -> Tensor:
        """−∂H/∂(sU), (S, 3, 3). With F' = (1+ε)F, dH = V (σ + p) : ε; and dF = A dU A, A = (1 − U/2)⁻¹."""
        excess = self.excess_stress(found) * volume(systems).view(-1, 1, 1)
        half = self._half(rows)
        by_f = _product(excess, _inverse(self.deformation(rows)))  # ∂H/∂F = V (σ + p) F⁻ᵀ, F symmetric
        by_u = _product(_product(half, by_f), half)
        return -self._free(by_u) / self.scale.view(-1, 1, 1)

    def excess_stress(self, found: Evaluated) -> Tensor:
        """(S, 3, 3) eV/Å³: the stress beyond what balances the pressure; in mode isotropic its mean only."""
        if found.stress is None:
            raise ValueError("the potential was not asked for the stress")
        eye = torch.eye(3, dtype=found.stress.dtype, device=found.stress.device)
        return self._free(found.stress + self.pressure * eye)

    def _half(self, rows: Tensor) -> Tensor:
        """A = (1 − U/2)⁻¹, (S, 3, 3)."""
        u = self._free(rows.index_select(0, self.cell_rows.flatten()).view(-1, 3, 3)) / self.scale.view(-1, 1, 1)
        return _inverse(torch.eye(3, dtype=rows.dtype, device=rows.device) - 0.5 * u)

    def _free(self, matrices: Tensor) -> Tensor:
        """The part of (S, 3, 3) matrices that the mode leaves free."""
        if self.mode == "isotropic":
            eye = torch.eye(3, dtype=matrices.dtype, device=matrices.device)
            return matrices.diagonal(dim1=1, dim2=2).mean(1).view(-1, 1, 1) * eye
        return 0.5 * (matrices + matrices.transpose(1, 2))


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a.unsqueeze(3) * b.unsqueeze(1)).sum(2)


def _inverse(matrices: Tensor) -> Tensor:
    """Of (S, 3, 3) matrices, by cofactors."""
    a, b, c = matrices.unbind(1)
    columns = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    found: Tensor = torch.stack(columns, 2) / (a * columns[0]).sum(1).view(-1, 1, 1)
    return found
