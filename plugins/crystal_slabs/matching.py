"""Atoms of a start and of its relaxed structure, matched: which one is which, and where it went."""

from __future__ import annotations

import ase
import numpy as np
from ase.geometry import get_distances
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from crystal_slabs.pairing import beside
from crystalcli.vocabulary.errors import InputError

SAME_CELL = 1e-3
"""Å: cell vectors that differ by less are the same, written with other digits."""


def relaxed_positions(start: ase.Atoms, end: ase.Atoms, match: str) -> NDArray[np.float64]:
    """Where each atom of ``start`` is in ``end``, (N, 3) Å, in the image nearest to where it started.

    Args:
        start: N atoms.
        end: the same atoms in the same cell.
        match: ``order``, or ``nearest``: of each element the assignment with the least sum of squared distances.

    Raises:
        InputError: other atoms, another order of them, or another cell.
    """
    if len(start) != len(end):
        raise InputError(f"has {len(start)} atoms at its start and {len(end)} relaxed", code="atoms")
    if sorted(start.numbers) != sorted(end.numbers):
        raise InputError(f"is {start.symbols} at its start and {end.symbols} relaxed", code="atoms")
    if (start.pbc != end.pbc).any():
        raise InputError("is periodic along other vectors when relaxed", code="cell")
    differs = np.abs(start.cell.array - end.cell.array)[start.pbc]
    if differs.size and differs.max() > SAME_CELL:
        raise InputError(f"has another cell when relaxed, by {differs.max():.3g} Å", code="cell")
    order = np.arange(len(start))
    if match == "nearest":
        for number in np.unique(start.numbers):
            mine, theirs = np.flatnonzero(start.numbers == number), np.flatnonzero(end.numbers == number)
            _, lengths = get_distances(start.positions[mine], end.positions[theirs], start.cell, start.pbc)
            rows, columns = linear_sum_assignment(lengths**2)
            order[mine[rows]] = theirs[columns]
    elif (start.numbers != end.numbers).any():
        k = int(np.flatnonzero(start.numbers != end.numbers)[0])
        raise InputError(
            f"has its atoms in another order when relaxed (atom {k}: {start.symbols[k]}, {end.symbols[k]}); "
            "--match nearest finds them",
            code="order",
        )
    return beside(start, end.positions[order])
