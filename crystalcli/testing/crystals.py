"""Small crystals that bring out mistakes: low symmetry, one atom, no neighbors, odd cells. Fresh copies every call."""

from __future__ import annotations

import ase
import ase.build
import numpy as np

from crystalcli.testing.rotations import rotation


def rattled(seed: int = 0) -> ase.Atoms:
    """Perovskite cell of 5 atoms, sheared and rattled: no symmetry, no tied distances but those of images."""
    rng = np.random.default_rng(seed)
    cell = np.diag([3.9, 4.0, 4.2]) + rng.normal(0, 0.15, (3, 3))
    scaled = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    atoms = ase.Atoms("SrTiO3", scaled_positions=scaled, cell=cell, pbc=True)
    atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
    return atoms


def one_atom() -> ase.Atoms:
    """Face-centred copper, primitive: one atom that neighbors only its own images."""
    return ase.build.bulk("Cu", "fcc", a=3.6)


def left_handed() -> ase.Atoms:
    """Rock salt with two lattice vectors exchanged."""
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.64)
    swapped = atoms.cell.array[[1, 0, 2]]
    atoms.set_cell(swapped, scale_atoms=False)
    return atoms


def isolated() -> ase.Atoms:
    """One helium atom in a box of 60 Å: no edges at any usual cutoff."""
    return ase.Atoms("He", positions=[[1.0, 2.0, 3.0]], cell=[60.0, 60.0, 60.0], pbc=True)


def with_isolated() -> ase.Atoms:
    """A water-like molecule and one atom out of reach, without periodicity."""
    positions = [[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0], [40.0, 0.0, 0.0]]
    return ase.Atoms("OH2Ar", positions=positions, pbc=False)


def slab() -> ase.Atoms:
    """Two layers of aluminium, periodic in the plane only."""
    atoms = ase.build.fcc111("Al", size=(1, 1, 2), vacuum=6.0)
    atoms.rattle(0.05, seed=3)
    return atoms


def pair(distance: float) -> ase.Atoms:
    """Two different atoms ``distance`` Å apart, alone."""
    return ase.Atoms("NaCl", positions=[[0.0, 0.0, 0.0], [distance, 0.0, 0.0]], pbc=False)


def all_crystals() -> list[ase.Atoms]:
    """One of each."""
    return [rattled(0), one_atom(), rattled(1), left_handed(), isolated(), with_isolated(), slab()]


def rotated(atoms: ase.Atoms, seed: int = 0) -> ase.Atoms:
    """Cell and positions turned by a random rotation."""
    q = rotation(seed)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ q.T, scale_atoms=False)
    turned.positions = atoms.positions @ q.T
    return turned


def translated(atoms: ase.Atoms, vector: tuple[float, float, float] = (0.37, -1.21, 5.03)) -> ase.Atoms:
    """All atoms moved by one vector."""
    moved = atoms.copy()
    moved.positions = moved.positions + np.array(vector)
    return moved


def rewrapped(atoms: ase.Atoms, seed: int = 0) -> ase.Atoms:
    """Every atom moved by lattice vectors of its own, along periodic directions."""
    moved = atoms.copy()
    steps = np.random.default_rng(seed).integers(-2, 3, atoms.positions.shape) * atoms.pbc
    moved.positions = moved.positions + steps @ atoms.cell.array
    return moved


def permuted(atoms: ase.Atoms, seed: int = 0) -> tuple[ase.Atoms, np.ndarray]:
    """Atoms in another order, and that order."""
    order = np.random.default_rng(seed).permutation(len(atoms))
    return atoms[order], order
