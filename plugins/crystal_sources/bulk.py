"""Crystals of common lattices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ase
import ase.build
import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.formula import Formula

from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import InputError

NEAREST = {
    "sc": 1.0,
    "fcc": 2**0.5,
    "bcc": 2 / 3**0.5,
    "hcp": 1.0,
    "diamond": 4 / 3**0.5,
    "zincblende": 4 / 3**0.5,
    "rocksalt": 2.0,
    "cesiumchloride": 2 / 3**0.5,
    "fluorite": 4 / 3**0.5,
    "wurtzite": (8 / 3) ** 0.5,
}
"""Lattice constant over the distance of nearest neighbors."""


def generate(options: Any, seed: int) -> Iterator[Entry]:
    """Yield ``count`` crystals of each formula; each has random numbers of its own: more change none."""
    formulas = [f.strip() for f in options.formula.split(",") if f.strip()]
    for i, formula in enumerate(formulas):
        perfect = _perfect(formula, options)
        for k in range(options.count):
            rng = np.random.default_rng([seed, i, k])
            atoms = perfect.copy()
            strain = rng.uniform(-options.strain, options.strain, (3, 3))
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
            atoms.positions += rng.normal(0.0, options.rattle, atoms.positions.shape)
            yield Entry(f"{formula}-{k}", atoms, "", tags={"formula": formula})


def _perfect(formula: str, options: Any) -> ase.Atoms:
    """The crystal before strain and displacements.

    Raises:
        InputError: a formula or lattice that ASE cannot build.
    """
    try:
        elements = list(Formula(formula).count())
        radii = [covalent_radii[atomic_numbers[e]] for e in elements]
    except (ValueError, KeyError) as problem:
        raise InputError(f"'{formula}' is no formula", code="formula") from problem
    lattice = options.lattice
    if lattice == "auto":
        lattice = None if len(elements) == 1 else "rocksalt"
    a = options.a or None
    if a is None and lattice is not None:
        a = NEAREST[lattice] * (radii[0] + radii[-1])
    try:
        built = ase.build.bulk(formula, lattice, a=a, cubic=options.cubic)
    except (ValueError, RuntimeError, KeyError) as problem:
        said = f"ASE builds no {options.lattice} of '{formula}': {problem}"
        raise InputError(f"{said}; give lattice= and a=", code="lattice") from problem
    bare = ase.Atoms(built.numbers, built.positions, cell=built.cell, pbc=True)
    return bare.repeat(options.repeat)
