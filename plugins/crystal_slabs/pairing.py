"""A start and what a relaxation made of it; why a pair is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ase
import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from crystal_slabs.making import ADSORBATE, FREE, Made
from crystal_slabs.options import SlabsOptions
from crystalcli.nouns.images import lattice_shifts

LOST, BROKEN, OFF = "adsorbate lost", "adsorbate broken", "adsorbate off the slab"
STILL, RECONSTRUCTED = "moved too little", "reconstructed"
STRETCHED = 1.6
"""Sums of covalent radii at which there is no bond any more."""


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
