"""Further starts of a pair: somewhere between its start and what that relaxed to, with noise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import ase
import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from crystal_slabs.pairing import relaxed_in_the_cell, relaxed_positions
from crystalcli.nouns.near_pairs import NEAREST
from crystalcli.nouns.structures.check import closest
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.seeds import seed_of

TRIES = 20
"""Draws of a start until no two atoms are nearer than they may be."""
STRAINED = 0.1
"""Noise of the strain per noise of the positions, 1/Å."""


@dataclass(frozen=True)
class Further:
    """One of them.

    Args:
        atoms: at the start. relaxed: (N, 3) Å, in its cell and beside it. strain: (6,) xx yy zz yz xz xy where cells
            relax.
    """

    atoms: ase.Atoms
    relaxed: NDArray[np.float64]
    strain: NDArray[np.float64] | None


def further_starts(
    start: ase.Atoms,
    relaxed: NDArray[np.float64],
    strain: NDArray[np.float64] | None,
    may_move: NDArray[np.bool_],
    count: int,
    noise: float,
    name: str,
) -> Iterator[Further | None]:
    """``count`` further starts of a pair; none where every draw has atoms too near each other.

    Each is at a share of the way that is uniform between 0 and 1; a Gaussian is added to every coordinate that may
    change, whose standard deviation is uniform between 0 and ``noise``; a cell that relaxes is strained likewise.

    Args:
        start: N atoms.
        relaxed: (N, 3) Å in the start's cell.
        strain: (6,) of the cell that relaxes, xx yy zz yz xz xy; none where it stays.
        may_move: (N, 3) along which axis each atom may.
        count: so many.
        noise: Å.
        name: of the pair; with the number of the start it fixes what is drawn.
    """
    end = start.copy()
    end.positions = relaxed
    if strain is not None:
        end.set_cell(start.cell.array @ (np.eye(3) + voigt_6_to_full_3x3_stress(strain)), scale_atoms=True)
    for number in range(1, count + 1):
        chance = np.random.default_rng(seed_of("further start", name, number))
        yield _one(start, end, relaxed, strain, may_move, noise, chance)


def _one(
    start: ase.Atoms,
    end: ase.Atoms,
    relaxed: NDArray[np.float64],
    strain: NDArray[np.float64] | None,
    may_move: NDArray[np.bool_],
    noise: float,
    chance: np.random.Generator,
) -> Further | None:
    for _ in range(TRIES):
        way, wide = chance.uniform(0.0, 1.0), chance.uniform(0.0, noise)
        atoms = start.copy()
        atoms.positions = start.positions + np.where(may_move, way * (relaxed - start.positions), 0.0)
        if strain is not None:
            six = way * strain + chance.normal(0.0, STRAINED * wide, 6)
            atoms.set_cell(start.cell.array @ (np.eye(3) + voigt_6_to_full_3x3_stress(six)), scale_atoms=True)
        atoms.positions += np.where(may_move, chance.normal(0.0, wide, may_move.shape), 0.0)
        if closest(atoms.positions, atoms.cell.array, atoms.pbc, NEAREST)[2] < NEAREST:
            continue
        if strain is None:
            return Further(atoms, relaxed_positions(atoms, end, "order"), None)
        with contextlib.suppress(InputError):  # strained beyond what a cell may be
            return Further(atoms, *relaxed_in_the_cell(atoms, end, "order"))
    return None
