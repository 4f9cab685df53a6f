"""Per-site fields: numbers of every atom that a model reads beside positions and elements, asked for by name.

``fixed`` is 1 for atoms that constraints hold (ASE's, a ``move_mask``, selective dynamics) and 0 for all others;
``tags`` are ASE's integers, 0 where there are none. Any other name is an array of the file with that name, numbers or
yes and no; ``NAME:3`` asks for three numbers per atom. A structure without it is refused: no number is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import ase
import numpy as np
from ase.constraints import FixAtoms
from numpy.typing import NDArray

from crystalcli.nouns.structures.constraints import projections
from crystalcli.vocabulary.errors import InputError, UsageError

FIXED, TAGS = "fixed", "tags"
_SYNTAX = re.compile(r"(?P<name>[A-Za-z_][\w.-]*)(?::(?P<width>[1-9]\d?))?")
_STRUCTURE_ITSELF = ("numbers", "positions")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SiteField:
    """A field as asked for: ``width`` numbers per atom; 1 gives an array (N,), more give (N, width)."""

    name: str
    width: int = 1

    @classmethod
    def parse(cls, text: str) -> SiteField:
        """Read ``NAME`` or ``NAME:WIDTH``.

        Raises:
            UsageError: neither, or what a graph has anyway.
        """
        match = _SYNTAX.fullmatch(text.strip())
        if not match:
            raise UsageError(f"per-site field '{text}' is not NAME or NAME:NUMBERS-PER-ATOM", code="field")
        if match["name"] in _STRUCTURE_ITSELF:
            raise UsageError(f"'{match['name']}' is in every graph; it is no per-site field", code="field")
        return cls(match["name"], int(match["width"] or 1))

    def __str__(self) -> str:
        return self.name if self.width == 1 else f"{self.name}:{self.width}"


def canonical(texts: Iterable[str]) -> tuple[str, ...]:
    """Fields as a recipe names them: each once, sorted. Texts may hold several, separated by commas.

    Raises:
        UsageError: no fields, or one name with two widths.
    """
    found = {SiteField.parse(t) for text in texts for t in text.split(",") if t.strip()}
    names = sorted(f.name for f in found)
    if twice := [a for a, b in pairwise(names) if a == b]:
        raise UsageError(f"per-site field '{twice[0]}' is asked for with two numbers per atom", code="field")
    return tuple(sorted(map(str, found)))


def of_atoms(atoms: ase.Atoms, wanted: Sequence[str], labels: Mapping[str, Any] | None = None) -> dict[str, Floats]:
    """The fields of one structure, in the order of its atoms: (N,) or (N, width) float64 by name.

    Args:
        atoms: the structure, with constraints and arrays.
        wanted: as :func:`canonical` gives them.
        labels: what the file says beside the structure, by name; its arrays count, too.

    Raises:
        InputError: one that the structure does not have, or has otherwise than asked for; says what to do.
    """
    return {f.name: _found(f, atoms, labels or {}) for f in map(SiteField.parse, wanted)}


def put_back(atoms: ase.Atoms, fields: Mapping[str, Any]) -> None:
    """Give ``atoms`` constraints and tags as ``fields`` say, the inverse of :func:`of_atoms`."""
    if FIXED in fields and np.any(fields[FIXED]):
        atoms.set_constraint(FixAtoms(mask=np.asarray(fields[FIXED]) > 0.5))
    if TAGS in fields:
        atoms.set_tags(np.asarray(fields[TAGS]).round().astype(int))


def _found(field: SiteField, atoms: ase.Atoms, labels: Mapping[str, Any]) -> Floats:
    array = labels.get(field.name)
    if array is None or np.ndim(array) == 0:
        array = atoms.arrays.get(field.name)
    if field.name == FIXED and field.width == 1:
        return _held(atoms, array)
    if array is None and str(field) == TAGS:
        return np.zeros(len(atoms))
    if array is None:
        every = {**atoms.arrays, **labels}
        have = sorted(k for k, v in every.items() if k not in _STRUCTURE_ITSELF and _of_sites(v, len(atoms))) or [
            "none"
        ]
        raise InputError(
            f"has no per-site field '{field.name}'; its arrays are {', '.join(have)}; write it into the file, or build "
            "graphs without it for a model that does not read it",
            code="field",
        )
    values = np.asarray(array)
    shape = (len(atoms),) if field.width == 1 else (len(atoms), field.width)
    if values.dtype.kind not in "biuf":
        raise InputError(f"per-site field '{field.name}' is words, not numbers", code="field")
    if values.shape != shape:
        cure = f"; ask for {field.name}:{values.shape[1]}" if values.ndim == 2 and len(values) == len(atoms) else ""
        raise InputError(f"per-site field '{field}' has shape {values.shape}, expected {shape}{cure}", code="field")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"per-site field '{field.name}' has numbers that are not finite", code="field")
    return numbers


def held_atoms(atoms: ase.Atoms) -> tuple[int, ...]:
    """Numbers of the atoms that constraints hold along all directions; none where a constraint is not understood."""
    if not atoms.constraints:
        return ()
    try:
        held = ~projections(atoms).any(axis=(1, 2))
    except InputError:  # who needs it says so
        return ()
    return tuple(int(k) for k in np.flatnonzero(held))


def _held(atoms: ase.Atoms, array: Any) -> Floats:
    """1 for atoms that cannot move at all, 0 for those that can move freely."""
    allowed = projections(atoms)
    held = ~allowed.any(axis=(1, 2))
    partly = np.flatnonzero(~held & ~np.isclose(allowed, np.eye(3)).all(axis=(1, 2)))
    if len(partly):
        raise InputError(
            f"atom {partly[0]} is held along some directions only; the field '{FIXED}' is of whole atoms: hold it "
            "along all directions, or free it",
            code="field",
        )
    if array is None:
        return np.where(held, 1.0, 0.0)
    said = np.asarray(array)
    if said.shape != held.shape or not np.isin(said, (0, 1)).all():
        raise InputError(f"its array '{FIXED}' is not 0 or 1 for every atom", code="field")
    if atoms.constraints and (said.astype(bool) != held).any():
        raise InputError(f"its array '{FIXED}' and its constraints do not say the same", code="field")
    return np.where(said == 1, 1.0, 0.0)


def _of_sites(value: Any, n_atoms: int) -> bool:
    values = np.asarray(value)
    return values.ndim in (1, 2) and len(values) == n_atoms and values.dtype.kind in "biuf"
