"""The sine Coulomb matrix of a crystal as a vector. F. Faber et al., Int. J. Quantum Chem. 115, 1094 (2015)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import spglib
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.units import BOHR

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

SAME_PLACE = 1e-4
"""Å; translations that map a crystal onto itself within this make its primitive cell."""
COINCIDE = 1e-3
"""Å; sites nearer than this in the sine's measure are one place."""
TIE = 1e-6
"""Share of the largest norm by which two rows must differ to have an order."""


@dataclass(frozen=True)
class Cell:
    """A crystal: (N,) atomic numbers, (N, 3) fractional positions, (3, 3) lattice vectors as rows, Å."""

    numbers: Index
    fractional: Floats
    lattice: Floats


def primitive(cell: Cell) -> Cell:
    """The primitive cell with the lattice vectors of Niggli, so that a supercell is the crystal it repeats.

    The reduced vectors are unique up to symmetries of the lattice. Sign and exchange of vectors of one length change
    nothing in the matrix; in lattices with three- and sixfold axes one of several equivalent bases is taken.
    """
    plain = (cell.lattice.tolist(), cell.fractional.tolist(), cell.numbers.tolist())
    found = _asked(lambda: spglib.find_primitive(plain, symprec=SAME_PLACE))
    if found is not None and len(found[2]) < len(cell.numbers):
        cell = Cell(np.asarray(found[2], dtype=np.int64), np.asarray(found[1]), np.asarray(found[0]))
    reduced = _asked(lambda: spglib.niggli_reduce(cell.lattice.tolist(), eps=1e-7))
    if reduced is None:
        return cell
    return Cell(cell.numbers, cell.fractional @ cell.lattice @ np.linalg.inv(reduced), np.asarray(reduced))


def _asked(question: Callable[[], Any]) -> Any:
    """The answer of spglib, none where it gives up, which it does in several ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return question()
        except Exception:
            return None


def sine_matrix(cell: Cell, length_unit: Literal["bohr", "angstrom"] = "bohr") -> Floats:
    """``C_ii = ½ Z_i^2.4``, ``C_ij = Z_i Z_j / |Σ_k a_k sin²(π s_k)|`` with s = fractional ``r_i − r_j``, (N, N).

    e²/4πε0 is 1: with lengths in bohr, as published, the diagonal (a fit to energies of atoms in hartree) and the rest
    have one unit.

    Raises:
        InputError: two sites at one place.
    """
    difference = cell.fractional[:, None, :] - cell.fractional[None, :, :]
    length = np.linalg.norm(np.sin(np.pi * difference) ** 2 @ cell.lattice, axis=2)
    z = cell.numbers.astype(np.float64)
    i, j = np.nonzero(np.triu(length < COINCIDE, k=1))
    if len(i):
        raise InputError(f"sites {i[0]} and {j[0]} coincide: no sine Coulomb matrix", code="coincident")
    length /= BOHR if length_unit == "bohr" else 1.0
    np.fill_diagonal(length, 1.0)
    matrix = np.outer(z, z) / length
    np.fill_diagonal(matrix, 0.5 * z**2.4)
    return np.asarray(matrix, dtype=np.float64)


def order(matrix: Floats) -> Index:
    """Places of the rows by descending norm, (N,).

    Of rows with one norm (equivalent sites) that comes first whose entries with the rows placed before are largest, so
    that the order of the atoms in the file does not matter.
    """
    norms = np.linalg.norm(matrix, axis=1)
    tolerance = TIE * norms.max(initial=0.0)
    left, placed = list(range(len(norms))), list[int]()
    while left:
        highest = max(norms[k] for k in left)
        tied = [k for k in left if norms[k] >= highest - tolerance]
        for before in placed:
            if len(tied) == 1:
                break
            most = max(matrix[k, before] for k in tied)
            tied = [k for k in tied if matrix[k, before] >= most - tolerance]
        placed.append(tied[0])
        left.remove(tied[0])
    return np.array(placed, dtype=np.int64)


def vectors(matrices: Iterable[Floats], size: int, kind: Literal["rows", "eigenvalues"] = "rows") -> Floats:
    """One vector a crystal, filled with zeros to ``size`` atoms.

    Args:
        matrices: (N, N) each.
        size: the largest N there is.
        kind: rows: upper triangle of the ordered matrix, size (size + 1)/2 numbers; eigenvalues, by descending size.
    """
    upper = np.triu_indices(size)
    rows = []
    for matrix in matrices:
        n = len(matrix)
        if kind == "eigenvalues":
            found = np.linalg.eigvalsh(matrix)
            rows.append(np.pad(found[np.argsort(-np.abs(found))], (0, size - n)))
            continue
        places = order(matrix)
        rows.append(np.pad(matrix[np.ix_(places, places)], (0, size - n))[upper])
    return np.array(rows, dtype=np.float64)
