"""Atoms held by the user's wish: elements, a slab's lower part, numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from ase.constraints import FixAtoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError, UsageError

_RANGE = re.compile(r"(\d+)(?:[-:](\d+))?")


@dataclass(frozen=True)
class Fixing:
    """Which atoms are held, beside those that the file holds.

    Args:
        elements: atomic numbers.
        below: Å; atoms with a lower z.
        indices: numbers of atoms, counted from 0.
    """

    elements: tuple[int, ...] = ()
    below: float | None = None
    indices: tuple[int, ...] = ()

    @classmethod
    def parse(cls, elements: str, below: float | None, indices: str) -> Fixing:
        """Read ``Al,O``, a height and ``0,3-5``.

        Raises:
            UsageError: no element, or no list of numbers.
        """
        words = [w.strip() for w in elements.split(",") if w.strip()]
        unknown = [w for w in words if w not in atomic_numbers]
        if unknown:
            raise UsageError(f"--fix-elements: '{unknown[0]}' is no element; write Al,O")
        found: list[int] = []
        for word in (w.strip() for w in indices.split(",") if w.strip()):
            match = _RANGE.fullmatch(word)
            if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
                raise UsageError(f"--fix-indices: '{word}' is no number or range; write 0,3-5 (counted from 0)")
            found += range(int(match[1]), int(match[2] or match[1]) + 1)
        return cls(tuple(int(atomic_numbers[w]) for w in words), below, tuple(found))

    def mask(self, atoms: ase.Atoms) -> NDArray[np.bool_]:
        """(N,) atoms that are held.

        Raises:
            InputError: a number beyond the last atom.
        """
        held: NDArray[np.bool_] = np.isin(atoms.numbers, self.elements)
        if self.below is not None:
            held |= atoms.positions[:, 2] < self.below
        if self.indices:
            if max(self.indices) >= len(atoms):
                said = f"--fix-indices names atom {max(self.indices)}, but there are {len(atoms)} (counted from 0)"
                raise InputError(said, code="fix-indices")
            held[list(self.indices)] = True
        return held

    def apply(self, atoms: ase.Atoms) -> ase.Atoms:
        """A copy of ``atoms`` that is held as wished; partial constraints of atoms now held whole are dropped."""
        held = self.mask(atoms)
        if not held.any():
            return atoms
        fixed = atoms.copy()
        kept = [c for c in atoms.constraints if not _within(held, c)]
        fixed.set_constraint([FixAtoms(mask=held), *kept])
        return fixed


def _within(held: NDArray[np.bool_], constraint: Any) -> bool:
    """Whether a constraint is of held atoms only; one that does not say of which is not, and is looked at later."""
    index = getattr(constraint, "index", None)
    return index is not None and bool(held[np.atleast_1d(index)].all())
