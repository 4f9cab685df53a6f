"""Labels of sites that need no quantum mechanics: for tests of methods, and where nothing better is at hand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.units import ACCELERATION

if TYPE_CHECKING:
    from crystalcli.contracts.dynamics import Potential

Floats = NDArray[np.float64]

BOND_REACH, COORDINATION_REACH = 5.0, 6.0
"""Å; bonds beyond have valences below 1e-4, or weights that are zero."""
STEP = 0.01
"""Å; displacement for the force constants."""
APART = 10.0
"""Å; an atom that is moved is at least so far from its images, which move with it."""
TOGETHER = 3000
"""Atoms evaluated at once."""


@dataclass(frozen=True)
class Wish:
    """What a label may need beside the structure.

    Args:
        charges: (N,) charges of the sites, e; none lets oxidation states be guessed.
        potential: for frequencies.
    """

    charges: Floats | None = None
    potential: Potential | None = None


def bond_valence(atoms: ase.Atoms, _wish: Wish = Wish()) -> Floats:
    """Bond-valence sum of every site, (N,) valence units: cations positive, anions negative.

    ``s = exp((R_ij − r)/0.31 Å)`` with the R_ij of M. O'Keeffe, N. E. Brese, J. Am. Chem. Soc. 113, 3226 (1991).
    A pair counts if its elements are two, one of them electronegative (those of pymatgen's list). NaN where an element
    has no parameters, and where no pair counts, as in a metal: a sum over nothing is no valence.
    """
    from pymatgen.analysis.bond_valence import ELECTRONEG, calculate_bv_sum

    structure = _structure(atoms)
    neighbors = structure.get_all_neighbors(BOND_REACH)
    found, taking = np.full(len(atoms), np.nan), set(ELECTRONEG)
    for i, (site, near) in enumerate(zip(structure, neighbors, strict=True)):
        own = site.specie
        others = {n.specie for n in near} - {own}
        if not (others if own in taking else others & taking):
            continue
        with suppress(KeyError):
            found[i] = calculate_bv_sum(site, near)
    return found


def effective_coordination(atoms: ase.Atoms, _wish: Wish = Wish()) -> Floats:
    """Effective coordination number of every site, (N,): R. Hoppe, Z. Kristallogr. 150, 23 (1979), by distances."""
    from pymatgen.analysis.local_env import EconNN

    structure = _structure(atoms)
    method = EconNN(tol=1e-6, cutoff=COORDINATION_REACH)
    found = np.zeros(len(atoms))
    for i, near in enumerate(structure.get_all_neighbors(COORDINATION_REACH)):
        if near:
            found[i] = method.get_cn(structure, i, use_weights=True)
    return found


def ewald_potential(atoms: ase.Atoms, wish: Wish = Wish()) -> Floats:
    """Electrostatic potential of the other point charges at every site, (N,) V; NaN at sites without charge.

    Raises:
        InputError: charges that are not given and cannot be guessed, or that do not sum to zero; a structure that is
            not periodic along all three vectors.
    """
    from pymatgen.analysis.ewald import EwaldSummation

    if not all(atoms.pbc):
        raise InputError("needs a crystal that is periodic along three vectors", code="label")
    structure = _structure(atoms)
    charges = _guessed(structure) if wish.charges is None else wish.charges
    if not np.isfinite(charges).all() or abs(charges.sum()) > 0.01 * len(atoms):
        raise InputError(
            f"charges sum to {charges.sum():.3g} e; a periodic potential needs neutral cells", code="label"
        )
    charges = charges - charges.mean()
    structure.add_oxidation_state_by_site(charges.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        summed = EwaldSummation(structure)
        energies = np.array([summed.get_site_energy(i) for i in range(len(atoms))])
    # every pair energy is halved between its two sites: E_i = q_i φ_i / 2
    charged = np.abs(charges) > 1e-9
    return np.where(charged, 2.0 * energies / np.where(charged, charges, 1.0), np.nan)


def frequency(atoms: ase.Atoms, wish: Wish) -> Floats:
    """Harmonic frequency of every site with all others at rest, (N,) THz; negative where the site is unstable.

    ``ω_i² = tr(Φ_ii)/(3 m_i)``, Φ_ii by central differences of the potential's forces, in a supercell in which the
    atom's images are far away.

    Raises:
        InputError: no potential, or one that cannot evaluate the structure or gives forces that are no numbers.
    """
    import torch

    from crystalcli.nouns.systems import Systems

    if wish.potential is None:
        raise InputError("frequencies need a potential: --potential NAME", code="label")
    n, whole = len(atoms), _supercell(atoms)
    trace = np.zeros(n)
    moves = [(i, axis, sign) for i in range(n) for axis in range(3) for sign in (1.0, -1.0)]
    at_once = max(1, TOGETHER // len(whole))
    for start in range(0, len(moves), at_once):
        some = moves[start : start + at_once]
        copies = []
        for i, axis, sign in some:
            copy = whole.copy()
            copy.positions[i, axis] += sign * STEP
            copies.append(copy)
        systems = Systems.of(copies, wish.potential.device)
        with torch.no_grad():
            forces = wish.potential.evaluate(systems).forces.cpu().numpy().reshape(len(some), len(whole), 3)
        if not np.isfinite(forces).all():
            raise InputError("the potential gives a force that is not a number", code="not-finite")
        for k, (i, axis, sign) in enumerate(some):
            trace[i] -= sign * forces[k, i, axis] / (2 * STEP)
    squared = ACCELERATION * trace / (3 * atoms.get_masses())
    return np.asarray(np.sign(squared) * np.sqrt(np.abs(squared)) / (2 * np.pi) * 1e3, dtype=np.float64)


def _supercell(atoms: ase.Atoms) -> ase.Atoms:
    """Copies along the periodic vectors; the first ``len(atoms)`` atoms are those of the cell."""
    plain = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if not any(atoms.pbc):
        return plain
    heights = 1.0 / np.linalg.norm(atoms.cell.reciprocal(), axis=1).clip(1e-9)
    times = [int(np.ceil(APART / h - 1e-9)) if periodic else 1 for h, periodic in zip(heights, atoms.pbc, strict=True)]
    return plain.repeat(tuple(times))


Maker = Callable[[ase.Atoms, Wish], Floats]

LABELS: Mapping[str, tuple[Quantity, Maker]] = {
    "bond_valence": (Quantity("bond_valence", "v.u.", "site"), bond_valence),
    "effective_coordination": (Quantity("effective_coordination", "", "site"), effective_coordination),
    "ewald_potential": (Quantity("ewald_potential", "V", "site"), ewald_potential),
    "frequency": (Quantity("frequency", "THz", "site"), frequency),
}
"""What each label means and how it is made."""


def _structure(atoms: ase.Atoms) -> Any:
    from pymatgen.core import Lattice, Structure

    if atoms.cell.rank < 3:
        raise InputError("needs a cell of three vectors", code="label")
    lattice = Lattice(atoms.cell.array, pbc=tuple(bool(p) for p in atoms.pbc))
    return Structure(lattice, list(atoms.symbols), atoms.positions, coords_are_cartesian=True)


def _guessed(structure: Any) -> Floats:
    """Oxidation states of the most common kind for the composition."""
    guesses = structure.composition.oxi_state_guesses(max_sites=-1)
    if not guesses or not any(guesses[0].values()):
        formula = structure.composition.reduced_formula
        raise InputError(f"oxidation states of {formula} cannot be guessed; give --charges", code="label")
    return np.array([guesses[0][site.specie.symbol] for site in structure], dtype=np.float64)
