"""The rigid-ion potential of alumina as an ASE calculator: fast, smooth, without files to install.

V_ij = q_i q_j e²/(4π ε₀ r) − C_i C_j/r⁶ + f (B_i + B_j) exp[(A_i + A_j − r)/(B_i + B_j)]
(M. Matsui, Geophys. Res. Lett. 23, 395 (1996), doi:10.1029/96GL00260).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from crystal_alumina import MatsuiOptions
from crystal_alumina.ewald import Array, Pairs, Sums, coulomb_pairs, coulomb_waves, splitting
from crystalcli.nouns.neighbors import neighbor_list
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.units import KJ_PER_MOL

FORCE = 4.184 * KJ_PER_MOL
"""f, eV/Å."""
CHARGE = {13: 1.4175, 8: -0.9450}
RADIUS = {13: 0.7852, 8: 1.8215}
SOFTNESS = {13: 0.034, 8: 0.138}
DISPERSION = {13: 36.82, 8: 90.61}
"""q in e, A and B in Å, C in Å³ (kJ/mol)^½."""


class Matsui(Calculator):  # type: ignore[misc]
    """Energy, energies per atom, forces and stress of crystals of Al and O, periodic in all three directions.

    The Coulomb sum is Ewald's; all else ends at the cutoff, smoothly if the switch has a width. At distances below
    about 1 Å the attraction −C²/r⁶ wins over the repulsion, as in every potential of this form.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(self, options: MatsuiOptions | None = None) -> None:
        super().__init__()
        self.options = options or MatsuiOptions()

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate all properties of ``atoms`` at once.

        Raises:
            InputError: other elements, charges that do not cancel, or a direction that is not periodic.
        """
        super().calculate(atoms, properties, system_changes)
        found = self.sums(self.atoms)
        energy = float(found.energies.sum())
        stress = found.virial / self.atoms.get_volume()
        self.results: dict[str, Any] = {
            "energy": energy,
            "free_energy": energy,
            "energies": found.energies,
            "forces": found.forces,
            "stress": full_3x3_to_voigt_6_stress(stress),
        }

    def sums(self, atoms: ase.Atoms) -> Sums:
        """Energies per atom, forces and virial of ``atoms``."""
        charges = _charges(atoms)
        cutoff = self.options.cutoff
        alpha = self.options.splitting or splitting(cutoff)
        if alpha < 0.95 * splitting(cutoff):
            raise InputError(f"matsui: splitting {alpha:g}/Å is too small for a cutoff of {cutoff:g} Å")
        edges, shifts, _ = neighbor_list(atoms, cutoff)
        centre, neighbor = edges
        vector = atoms.positions[neighbor] - atoms.positions[centre] + shifts @ atoms.cell.array
        pairs = Pairs(centre, neighbor, vector, np.linalg.norm(vector, axis=1))
        ions = coulomb_pairs(pairs, charges, alpha) + coulomb_waves(atoms.positions, atoms.cell.array, charges, alpha)
        return ions + self._short_range(pairs, atoms.numbers)

    def _short_range(self, pairs: Pairs, numbers: Array) -> Sums:
        a, b, c = (_table(t)[numbers] for t in (RADIUS, SOFTNESS, DISPERSION))
        r = pairs.length
        reach, soft = a[pairs.centre] + a[pairs.neighbor], b[pairs.centre] + b[pairs.neighbor]
        push = FORCE * np.exp((reach - r) / soft)
        pull = KJ_PER_MOL * c[pairs.centre] * c[pairs.neighbor] / r**6
        energy, slope = soft * push - pull, -push + 6.0 * pull / r
        gate, fall = _gate(r, self.options.cutoff, self.options.switch)
        return pairs.sums(gate * energy, gate * slope + fall * energy, len(numbers))


def _charges(atoms: ase.Atoms) -> Array:
    unknown = sorted({str(s) for s in atoms.symbols} - {"Al", "O"})
    if unknown:
        raise InputError(f"matsui knows Al and O, not {', '.join(unknown)}", code="element")
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise InputError("matsui sums over images and needs a cell that is periodic in all three directions")
    charges: Array = _table(CHARGE)[atoms.numbers]
    if abs(charges.sum()) > 1e-6 * len(atoms):
        raise InputError(f"{atoms.get_chemical_formula()} is charged with these ions; matsui needs Al₂O₃")
    return charges


def _table(values: dict[int, float]) -> Array:
    table = np.zeros(14)
    table[list(values)] = list(values.values())
    return table


def _gate(r: Array, cutoff: float, width: float) -> tuple[Array, Array]:
    """1 before ``cutoff − width``, 0 at the cutoff, two continuous derivatives; and its slope, 1/Å."""
    if width == 0.0:
        return np.ones_like(r), np.zeros_like(r)
    x = np.clip((r - cutoff + width) / width, 0.0, 1.0)
    return 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2), -30.0 * x**2 * (1.0 - x) ** 2 / width
