"""Atoms of a start and of its relaxed structure, matched: which one is which, and where it went."""

from __future__ import annotations

import ase
import numpy as np
from ase.geometry import get_distances
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from crystal_slabs.pairing import beside
from crystalcli.vocabulary.errors import InputError

SAME_CELL = 1e-3
"""Å: cell vectors that differ by less are the same, written with other digits."""
OTHER_AXES = 0.9
"""A crystal that is longer or shorter by this share along some direction is one with other axes."""


def relaxed_positions(start: ase.Atoms, end: ase.Atoms, match: str) -> NDArray[np.float64]:
    """Where each atom of ``start`` is in ``end``, (N, 3) Å, in the image nearest to where it started.

    Args:
        start: N atoms.
        end: the same atoms in the same cell.
        match: ``order``, ``species``: the k-th atom of an element is the k-th of it, or ``nearest``: of each element
            the assignment with the least sum of squared distances.

    Raises:
        InputError: other atoms, another order of them, or another cell.
    """
    _refuse_others(start, end)
    differs = np.abs(start.cell.array - end.cell.array)[start.pbc]
    if differs.size and differs.max() > SAME_CELL:
        cure = "; --cells is for cells that relax" if start.pbc.all() else ""
        raise InputError(f"has another cell when relaxed, by {differs.max():.3g} Å{cure}", code="cell")
    return _matched(start, end.positions, end, match)


def relaxed_in_the_cell(
    start: ase.Atoms, end: ase.Atoms, match: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As :func:`relaxed_positions` for cells that relax.

    With A and B the cells (rows) and A⁻¹B = (1 + ε) R: ε is the strain without the rotation R, and an atom at the
    fractional coordinates s of B is at s A in the frame of the start.

    Returns:
        Positions (N, 3) Å in the start's cell, and ε as (6,) xx yy zz yz xz xy.

    Raises:
        InputError: as above, or cells that no strain leads from one to the other.
    """
    _refuse_others(start, end)
    if not start.pbc.all():
        raise InputError("is not periodic in three directions; its cell does not relax", code="cell")
    a, b = start.cell.array, end.cell.array
    change = np.linalg.solve(a, b)
    if np.linalg.det(change) <= 0.0:
        raise InputError("has a cell of other handedness when relaxed", code="cell")
    squared, axes = np.linalg.eigh(change @ change.T)
    stretch = np.sqrt(squared)
    if np.abs(np.log(stretch)).max() > OTHER_AXES:
        least, most = 100.0 * (stretch.min() - 1.0), 100.0 * (stretch.max() - 1.0)
        raise InputError(f"has a cell strained by {least:+.0f} to {most:+.0f} %: are its axes others?", code="cell")
    strain = (axes * (stretch - 1.0)) @ axes.T
    places = np.linalg.solve(b.T, end.positions.T).T @ a
    return _matched(start, places, end, match), full_3x3_to_voigt_6_stress(strain)


def _refuse_others(start: ase.Atoms, end: ase.Atoms) -> None:
    if len(start) != len(end):
        raise InputError(f"has {len(start)} atoms at its start and {len(end)} relaxed", code="atoms")
    if sorted(start.numbers) != sorted(end.numbers):
        raise InputError(f"is {start.symbols} at its start and {end.symbols} relaxed", code="atoms")
    if (start.pbc != end.pbc).any():
        raise InputError("is periodic along other vectors when relaxed", code="cell")


def _matched(start: ase.Atoms, places: NDArray[np.float64], end: ase.Atoms, match: str) -> NDArray[np.float64]:
    """``places`` (N, 3) of the atoms of ``end``, in the order of ``start`` and beside it."""
    order = np.arange(len(start))
    if match == "species":
        order[np.argsort(start.numbers, kind="stable")] = np.argsort(end.numbers, kind="stable")
    elif match == "nearest":
        for number in np.unique(start.numbers):
            mine, theirs = np.flatnonzero(start.numbers == number), np.flatnonzero(end.numbers == number)
            _, lengths = get_distances(start.positions[mine], places[theirs], start.cell, start.pbc)
            rows, columns = linear_sum_assignment(lengths**2)
            order[mine[rows]] = theirs[columns]
    elif (start.numbers != end.numbers).any():
        k = int(np.flatnonzero(start.numbers != end.numbers)[0])
        raise InputError(
            f"has its atoms in another order when relaxed (atom {k}: {start.symbols[k]}, {end.symbols[k]}); "
            "--match nearest finds them, --match species takes those of an element in their order",
            code="order",
        )
    return beside(start, places[order])
