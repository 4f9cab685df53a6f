"""ASE's effective-medium theory with all pairs of a structure summed at once; the numbers are ASE's to rounding.

ASE's own goes from atom to atom, with a neighbor list for every evaluation: of some 30 atoms that costs several times
what the formulas do. Parameters, cutoff and the formulas are ASE's (:class:`ase.calculators.emt.EMT`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.emt import EMT, beta
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import NDArray

FEW = 150
"""Atoms up to which all pairs are looked at; beyond, ASE's neighbor list is faster."""

KEPT = 64
"""Structures' elements whose parameters are kept; they hang on the elements alone."""
_TABLES = ("rc", "rc_list", "acut", "ia2iz", "par", "chi")


class WholeEMT(EMT):  # type: ignore[misc]
    """EMT over arrays of pairs."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._tables: dict[bytes, tuple[Any, ...]] = {}

    def initialize(self, atoms: ase.Atoms) -> None:
        """Look up the parameters of the elements; those of the structures of a batch are kept."""
        key = atoms.numbers.tobytes()
        if key not in self._tables:
            if len(self._tables) >= KEPT:
                self._tables.clear()
            super().initialize(atoms)
            self._tables[key] = tuple(getattr(self, name) for name in _TABLES)
        for name, table in zip(_TABLES, self._tables[key], strict=True):
            setattr(self, name, table)

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Energy, energies, forces and stress of ``atoms``; see :class:`ase.calculators.calculator.Calculator`."""
        Calculator.calculate(self, atoms, properties, system_changes)
        if "numbers" in system_changes:
            self.initialize(self.atoms)
        i, j, d = _pairs(self.atoms, self.rc_list)
        n, par = len(self.atoms), {k: v[self.ia2iz] for k, v in self.par.items()}
        r = np.sqrt((d * d).sum(1))
        w = 1.0 / (1.0 + np.exp(self.acut * (r - self.rc)))
        slope = self.acut * (w - 1.0)  # (dw/dr) / w
        chi = self.chi[self.ia2iz[i], self.ia2iz[j]] * w
        # a pair is there from both ends: what j does to i is written once, what i does to j is the pair the other way
        eta2, kappa, e0 = par["eta2"], par["kappa"], par["E0"]
        sigma1 = chi * np.exp(-eta2[j] * (r - beta * par["s0"][j]))
        back1 = w * w / chi * np.exp(-eta2[i] * (r - beta * par["s0"][i]))
        sigma2 = chi * np.exp(-kappa[j] * (r / beta - par["s0"][j])) * par["neghalfv0overgamma2"][i]
        back2 = w * w / chi * np.exp(-kappa[i] * (r / beta - par["s0"][i])) * par["neghalfv0overgamma2"][j]

        total = np.bincount(i, sigma1, n)
        has = total > 0  # ASE leaves out an atom without neighbors
        crowd = np.where(has, total, 1.0)
        ds = -np.log(crowd * par["inv12gamma1"]) / (beta * eta2)
        fall, wall = np.exp(-par["lambda"] * ds), 6.0 * par["V0"] * np.exp(-kappa * ds)
        own = e0 * (1.0 + par["lambda"] * ds) * fall + wall
        by_crowd = (e0 * par["lambda"] ** 2 * ds * fall + kappa * wall) / (beta * eta2 * crowd)
        energies = np.where(has, own, 0.0) + 0.5 * np.bincount(i, sigma2 + back2, n) - e0

        pull = by_crowd[i] * sigma1 * (slope - eta2[j]) + by_crowd[j] * back1 * (slope - eta2[i])
        pull += sigma2 * (slope - kappa[j] / beta) + back2 * (slope - kappa[i] / beta)
        f = (pull / r)[:, None] * d
        forces = np.stack([np.bincount(i, f[:, k], n) for k in range(3)], axis=1)
        energy = float(energies.sum())
        self.results |= {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces}
        if self.atoms.cell.rank == 3:
            virial = 0.5 * d.T @ f
            stress = 0.5 * (virial + virial.T) / self.atoms.get_volume()
            self.results["stress"] = stress.flat[[0, 4, 8, 5, 2, 1]]
        elif "stress" in properties:
            raise PropertyNotImplementedError


def _pairs(atoms: ase.Atoms, cutoff: float) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Centres and neighbors (E,), and vectors between them (E, 3) Å, shorter than ``cutoff``; all images."""
    if len(atoms) > FEW:
        i, j, d = primitive_neighbor_list("ijD", atoms.pbc, atoms.cell, atoms.positions, cutoff)
        return i, j, d
    cell = atoms.cell.complete().array
    inverse = np.linalg.inv(cell)
    reach: Any = cutoff * np.linalg.norm(inverse, axis=0)  # in heights of the cell
    d = atoms.positions[None] - atoms.positions[:, None]
    d = d - np.where(atoms.pbc, np.rint(d @ inverse), 0.0) @ cell
    # |s + f| height < cutoff with |f| <= 1/2; the small number is for what rounding does to f
    most = np.where(atoms.pbc, np.floor(reach + 0.5 + 1e-9), 0).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    far = d[:, :, None] + shifts @ cell
    near = (far * far).sum(-1) < cutoff * cutoff
    near[np.arange(len(atoms)), np.arange(len(atoms)), len(shifts) // 2] = False
    i, j, k = np.nonzero(near)
    return i, j, far[i, j, k]
