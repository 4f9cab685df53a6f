"""Crystals for a potential of which only the elements are known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import ase
import ase.build
import numpy as np
from ase.data import chemical_symbols, covalent_radii

from crystalcli.potential_checks.asking import Asking
from crystalcli.vocabulary.errors import InputError

MOST = 3
"""Elements of crystals that are built; of more, so many evenly over the list."""
SMALLEST, LARGEST, HEAVIEST = 1.0, 1.75, 83
"""Covalent radii of those, Å, from silicon to the alkaline earths; and the last atomic number."""
NOBLE = frozenset({2, 10, 18, 36, 54, 86})
SCALES = np.linspace(0.85, 1.4, 23)
"""Lattice constants that are tried, over that at which covalent spheres touch."""
SHAKEN, SHEARED = 0.05, 0.02
"""Å that atoms are moved by, and strain, so that no symmetry hides what is wrong."""


def few(elements: Sequence[int]) -> list[int]:
    """At most :data:`MOST` of ``elements``, evenly over the list; of many only those that make dense crystals.

    Spheres of hydrogen or helium touch at less than 1 Å: a crystal of them has thousands of neighbors.
    """
    known = sorted(elements)
    if len(known) > MOST:
        usual = [z for z in known if SMALLEST <= covalent_radii[z] <= LARGEST and z <= HEAVIEST and z not in NOBLE]
        known = usual or known
    if len(known) <= MOST:
        return known
    return [known[k] for k in np.linspace(0, len(known) - 1, MOST).round().astype(int)]


def crystals(asking: Asking, elements: Sequence[int]) -> dict[str, ase.Atoms]:
    """Small crystals by name: of one element face-centred and body-centred, else rock salts of neighbors in the list.

    Of two elements the second is cesium chloride.

    Raises:
        InputError: the potential evaluates none of them; says why of the first.
    """
    made = {}
    if len(elements) == 1:
        symbol = chemical_symbols[elements[0]]
        made = {f"{symbol} fcc": _fcc(elements[0], elements[0]), f"{symbol} bcc": _bcc(elements[0], elements[0])}
    for one, two in pairwise(elements):
        made[f"{chemical_symbols[one]}{chemical_symbols[two]} rocksalt"] = _fcc(one, two)
    if len(elements) == 2:
        one, two = elements
        made[f"{chemical_symbols[one]}{chemical_symbols[two]} CsCl"] = _bcc(one, two)
    found, problems = {}, []
    for name, atoms in made.items():
        try:
            found[name] = _at_rest(asking, atoms)
        except InputError as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return found


def shaken(atoms: ase.Atoms, rng: np.random.Generator) -> ase.Atoms:
    """A copy with its atoms moved at random, by no constraint held."""
    made = atoms.copy()
    made.set_constraint()
    made.positions += rng.normal(0.0, SHAKEN, (len(atoms), 3))
    return made


def sheared(atoms: ase.Atoms, rng: np.random.Generator) -> ase.Atoms:
    """A copy with a cell without right angles."""
    made = atoms.copy()
    made.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, SHEARED, (3, 3))), scale_atoms=True)
    return made


def _touching(one: int, two: int) -> float:
    return float(covalent_radii[one] + covalent_radii[two])


def _fcc(one: int, two: int) -> ase.Atoms:
    """Eight atoms; of one element face-centred cubic twice, of two a rock salt."""
    if one == two:
        atoms: ase.Atoms = ase.build.bulk("X", "fcc", a=_touching(one, one) * 2**0.5, cubic=True).repeat((2, 1, 1))
        atoms.numbers[:] = one
        return atoms
    atoms = ase.build.bulk("NaCl", "rocksalt", a=2.0 * _touching(one, two), cubic=True)
    atoms.numbers[:] = np.where(atoms.numbers == 11, one, two)
    return atoms


def _bcc(one: int, two: int) -> ase.Atoms:
    """Eight atoms; of one element body-centred cubic, of two as cesium chloride."""
    atoms: ase.Atoms = ase.build.bulk("X", "bcc", a=_touching(one, two) * 2 / 3**0.5, cubic=True)
    atoms.numbers[:] = one, two
    return atoms.repeat((2, 2, 1))


def _at_rest(asking: Asking, atoms: ase.Atoms) -> ase.Atoms:
    """At the least energy of the lattice constants tried; the first valley from outside, before the hole of a core."""
    tried = []
    for scale in SCALES:
        made = atoms.copy()
        made.set_cell(atoms.cell.array * scale, scale_atoms=True)
        tried.append(made)
    energies = np.array([a.energy for a in asking(tried)])
    k = len(tried) - 1
    while k > 0 and energies[k - 1] <= energies[k]:
        k -= 1
    return tried[k]
