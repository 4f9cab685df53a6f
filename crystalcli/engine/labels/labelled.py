"""What the labels of a structure need to know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.site_fields import held_atoms
from crystalcli.vocabulary.quantities import Quantity

ENERGY, STRESS = "energy", "stress"


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is kept of an entry for its labels, once the structure itself is gone.

    Args:
        id, source, n_atoms, labels, tags, quantities: of the entry.
        crystal: digest of cell, species and positions, so that the same crystal twice is noticed.
        sites, lattice: digest of species and fractional positions, and the cell; of structures with a stress only.
        kind, left_out, notes: of the entry.
        held: numbers of the atoms that cannot move; where they stay is no label.
    """

    id: str
    source: str
    n_atoms: int
    labels: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    crystal: bytes = b""
    sites: bytes = b""
    lattice: tuple[tuple[float, ...], ...] = ()
    kind: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    held: tuple[int, ...] = ()

    @classmethod
    def of(cls, entry: Entry) -> Labelled:
        """The labels of ``entry``."""
        atoms = entry.atoms
        parts = (atoms.numbers, np.round(atoms.cell.array, 6) + 0.0, np.round(atoms.positions, 6) + 0.0)
        digest = hashlib.sha256(b"".join(a.tobytes() for a in parts)).digest()[:16]
        sites: bytes = b""
        lattice: tuple[tuple[float, ...], ...] = ()
        if any(q.shape == (6,) for q in entry.quantities.values()) or STRESS in entry.labels:
            fractional = np.round(atoms.get_scaled_positions(), 3) % 1.0
            sites = hashlib.sha256(atoms.numbers.tobytes() + (fractional + 0.0).tobytes()).digest()[:16]
            lattice = tuple(tuple(float(v) for v in row) for row in atoms.cell.array)
        return cls(
            entry.id,
            entry.source,
            len(atoms),
            entry.labels,
            entry.tags,
            entry.quantities,
            digest,
            sites,
            lattice,
            entry.kind,
            entry.left_out,
            entry.notes,
            held_atoms(atoms),
        )
