"""Which atoms may move, and along what: constraints of the files as projections.

Whole fixed atoms (``FixAtoms``), atoms fixed along lattice vectors (``FixScaled``, from selective dynamics) and along
axes (``FixCartesian``, from a move mask of extended XYZ) are known; other constraints are refused by name.
"""

from __future__ import annotations

from typing import Any

import ase
import numpy as np
from ase.constraints import FixAtoms, FixCartesian, FixScaled
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError

Floats = NDArray[np.float64]


def projections(atoms: ase.Atoms) -> Floats:
    """(N, 3, 3): what of a displacement, or of a force, each atom may follow; identity for free atoms, 0 for fixed.

    Raises:
        InputError: a constraint of another kind.
    """
    allowed = np.broadcast_to(np.eye(3), (len(atoms), 3, 3)).copy()
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            allowed[constraint.index] = 0.0
        elif isinstance(constraint, FixCartesian):
            _meet(allowed, constraint, np.diag(1.0 - np.asarray(constraint.mask, dtype=np.float64)))
        elif isinstance(constraint, FixScaled):
            free = ~np.asarray(constraint.mask, dtype=bool)
            _meet(allowed, constraint, _onto(atoms.cell.array[free]))
        else:
            kind = type(constraint).__name__
            raise InputError(f"constraint {kind} is not known; only fixed atoms and axes are", code="constraint")
    return allowed


def may_move(atoms: ase.Atoms) -> NDArray[np.bool_]:
    """(N, 3): whether an atom may move along each axis, as a ``move_mask`` says it.

    A direction that is no axis counts for the axes that it is nearest to, as in the results of ``crystal relax``.

    Raises:
        InputError: a constraint of another kind.
    """
    found: NDArray[np.bool_] = np.diagonal(projections(atoms), axis1=1, axis2=2) > 0.5
    return found


def along_axes(atoms: ase.Atoms) -> ase.Atoms:
    """A copy that is held as :func:`may_move` says, in words that ASE writes into extended XYZ.

    Raises:
        InputError: a constraint of another kind.
    """
    free = may_move(atoms)
    whole = ~free.any(axis=1)
    partly = np.flatnonzero(~whole & ~free.all(axis=1))
    held = atoms.copy()
    held.set_constraint(
        [*([FixAtoms(mask=whole)] if whole.any() else []), *(FixCartesian([k], ~free[k]) for k in partly)]
    )
    return held


def not_known(atoms: ase.Atoms) -> str:
    """What is wrong with the constraints, in one line; empty where all are known."""
    try:
        projections(atoms)
    except InputError as problem:
        return problem.reason
    return ""


def without_constraints(atoms: ase.Atoms) -> ase.Atoms:
    """A copy that is free."""
    free = atoms.copy()
    free.set_constraint()
    return free


def _meet(allowed: Floats, constraint: Any, projection: Floats) -> None:
    """Let the constraint's atoms follow only what ``projection`` and what was said before both allow."""
    for k in np.atleast_1d(constraint.index):
        if np.allclose(allowed[k], np.eye(3)):
            allowed[k] = projection
        elif allowed[k].any():
            raise InputError(f"atom {int(k)} has two constraints; one at most", code="constraint")


def _onto(vectors: Floats) -> Floats:
    """Orthogonal projection onto the span of the rows of ``vectors``."""
    if not len(vectors):
        return np.zeros((3, 3))
    found: Floats = np.linalg.pinv(vectors) @ vectors
    return found
