"""A start and what a relaxation made of it: atoms matched, where they went, and why a pair is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
from ase.data import covalent_radii
from ase.geometry import get_distances
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from crystal_slabs.making import ADSORBATE, FREE, Made
from crystal_slabs.options import SlabsOptions
from crystalcli.nouns.images import lattice_shifts
from crystalcli.vocabulary.errors import InputError

LOST, BROKEN, OFF = "adsorbate lost", "adsorbate broken", "adsorbate off the slab"
STILL, RECONSTRUCTED = "moved too little", "reconstructed"
STRETCHED = 1.6
"""Sums of covalent radii at which there is no bond any more."""

SAME_CELL = 1e-3
"""Å: cell vectors that differ by less are the same, written with other digits."""
OTHER_AXES = 0.9
"""A crystal that is longer or shorter by this share along some direction is one with other axes."""


@dataclass
class Pair:
    """One structure from its start to its table row.

    Args:
        made: the start.
        said: of the frame and of the table.
        relaxed: (N, 3) Å, every atom in the image next to where it started; none where there is no result.
        left_out: why it is no pair; empty if it is one.
        failed: it was not relaxed, as opposed to left out by a limit.
    """

    made: Made
    said: dict[str, Any]
    relaxed: NDArray[np.float64] | None
    left_out: str = ""
    failed: bool = field(default=False)

    @property
    def start(self) -> ase.Atoms:
        """The start without constraints."""
        atoms = self.made.atoms.copy()
        atoms.set_constraint()
        return atoms

    def settle(self, forces: NDArray[np.float64], options: SlabsOptions) -> None:
        """What the potential says of the start, (N, 3) eV/Å, and whether the pair is one within the limits."""
        free = self.made.atoms.get_tags() >= FREE
        self.said["fmax_start"] = float(np.linalg.norm(forces[free], axis=1).max())
        slab, adsorbate = self.said["moved_slab"], self.said["moved_adsorbate"]
        if adsorbate is not None and (undone := self._undone()):
            self.left_out = undone
        elif options.max_adsorbate_moved and adsorbate is not None and adsorbate > options.max_adsorbate_moved:
            self.left_out = LOST
        elif slab < options.min_moved:
            self.left_out = STILL
        elif options.max_moved and slab > options.max_moved:
            self.left_out = RECONSTRUCTED

    def _undone(self) -> str:
        """Whether the adsorbate came off the slab, or apart."""
        atoms = self.start
        atoms.positions = self.relaxed
        tags, radii = atoms.get_tags(), covalent_radii[atoms.numbers]
        lengths = atoms.get_all_distances(mic=True) / np.add.outer(radii, radii)
        guest = np.flatnonzero(tags == ADSORBATE)
        if lengths[np.ix_(guest, tags != ADSORBATE)].min() > STRETCHED:
            return OFF
        return BROKEN if (lengths[guest[:-1], guest[1:]] > STRETCHED).any() else ""

    def forget(self) -> None:
        """Let the atoms go; the row stays."""
        self.made, self.relaxed = Made(ase.Atoms(), {}), None


def paired(made: Made, row: Mapping[str, Any], end: ase.Atoms | None) -> Pair:
    """A start, the row that ``crystal relax`` reports of it, and the structure that it wrote, if any."""
    assert row["id"] == made.facts["id"]
    said = {
        **made.facts,
        "energy_start": row["energy_start"],
        "energy_relaxed": row["energy"],
        "fmax_start": None,
        "fmax_relaxed": row["fmax"],
        "steps": row["steps"],
        "moved_slab": None,
        "moved_adsorbate": None,
    }
    if end is None or not row["converged"]:
        reason = f"{row['reason']}: {row['message']}" if row["message"] and end is None else row["reason"]
        return Pair(made, said, None, "not converged" if reason == "steps" else reason, failed=True)
    assert end.info["id"] == row["id"]
    relaxed, tags = beside(made.atoms, end.positions), made.atoms.get_tags()
    moved = np.linalg.norm(relaxed - made.atoms.positions, axis=1)
    said["moved_slab"] = float(moved[tags == FREE].mean())
    if (tags == ADSORBATE).any():
        said["moved_adsorbate"] = float(moved[tags == ADSORBATE].mean())
    return Pair(made, said, relaxed)


def beside(start: ase.Atoms, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """``positions`` (N, 3) Å with every atom in the image nearest to where it started.

    Atoms that stay keep their numbers, bit by bit.
    """
    shifts = lattice_shifts(positions - start.positions, start.cell.array, start.pbc)
    found: NDArray[np.float64] = positions + shifts @ start.cell.array
    return found


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
