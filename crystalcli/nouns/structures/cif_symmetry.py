"""Symmetry of a CIF: the operations it means, and the images of its sites where they are beyond doubt."""

from __future__ import annotations

from functools import lru_cache

import gemmi
import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError

MAX_OPERATIONS = 192
"""No space group has more in its conventional cell."""
MAX_IMAGES = 2_000_000
SAME, APART = 1e-3, 0.5
"""Å. Images of one site nearer than SAME are one atom, farther than APART are two; between lies doubt."""
_LISTED = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MAGNETIC = ("_space_group_symop_magn_operation.xyz", "_space_group_symop_magn_operation_xyz")
_NAMES = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m")
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")

Operations = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Rotations (k, 3, 3) and translations (k, 3), fractional."""


class DoubtfulError(Exception):
    """Images of a site that are neither clearly one atom nor clearly two."""


def operations(block: cif.Block) -> tuple[Operations | None, list[str]]:
    """Operations of the block, none for the identity alone, and warnings.

    Listed operations win over a Hall symbol, and that over the name of the group, which stands for its standard ones.

    Raises:
        InputError: too many operations, one that is none, or a group that nobody knows.
    """
    listed = next((v for v in map(block.find_values, _LISTED) if len(v)), None)
    name, number = _first(block, _NAMES), _first(block, _NUMBERS)
    if listed is not None:
        return _listed(listed, name)
    if any(len(block.find_values(t)) for t in _MAGNETIC):
        raise InputError("magnetic symmetry only (magCIF); crystal reads ordinary CIF", code="symmetry")
    hall = _first(block, _HALL)
    group_operations = _of_hall(hall) if hall else None
    if group_operations is not None:
        return group_operations, []
    return _named(block, name or hall, number)


def _listed(listed: cif.Column, name: str) -> tuple[Operations | None, list[str]]:
    if len(listed) > MAX_OPERATIONS:
        raise InputError(f"{len(listed)} symmetry operations, > {MAX_OPERATIONS}", code="symmetry")
    texts = tuple(cif.as_string(t) for t in listed)
    group = _group(name) if name else None
    warnings = []
    if group is not None and len(group.operations()) != len(set(texts)):
        warnings.append(
            f"lists {len(set(texts))} symmetry operations, '{name}' has {len(group.operations())}; the list counts"
        )
    if len(texts) == 1 and texts[0].replace(" ", "").lower() in ("x,y,z", "+x,+y,+z"):
        return None, warnings
    return _parsed(texts), warnings


@lru_cache(maxsize=256)
def _parsed(texts: tuple[str, ...]) -> Operations:
    ops = []
    for text in texts:
        try:
            op = gemmi.Op(text.lower())
        except (RuntimeError, ValueError):
            cut = text.count(",") < 2
            cure = ": cut at a blank; its quotes are missing" if cut else ": not of the kind x,y+1/2,-z"
            raise InputError(f"bad symmetry operation '{text}'{cure}", code="symmetry") from None
        if abs(op.det_rot()) != op.DEN**3 or set("hkluvw") & set(text.lower()):
            raise InputError(f"bad symmetry operation '{text}': no isometry", code="symmetry")
        ops.append(op)
    if gemmi.Op("x,y,z") not in ops:
        raise InputError("the list of symmetry operations has no identity", code="symmetry")
    _refuse_incomplete(ops)
    return _arrays(ops)


def _refuse_incomplete(ops: list[gemmi.Op]) -> None:
    """A list that lacks the product of two of its operations would make a crystal that lacks atoms."""
    rotations, translations = np.array([o.rot for o in ops]), np.array([o.tran for o in ops])
    den = gemmi.Op.DEN
    products = np.einsum("aij,bjk->abik", rotations, rotations) // den
    shifts = (np.einsum("aij,bj->abi", rotations, translations) // den + translations[:, None]) % den
    there = {_key(r, t % den) for r, t in zip(rotations, translations, strict=True)}
    made = zip(products.reshape(-1, 3, 3), shifts.reshape(-1, 3), strict=True)
    if any(_key(r, t) not in there for r, t in made):
        raise InputError("the symmetry operations listed make no group; some are missing", code="symmetry")


def _key(rotation: NDArray[np.int64], translation: NDArray[np.int64]) -> bytes:
    return rotation.tobytes() + translation.tobytes()


def _arrays(ops: list[gemmi.Op]) -> Operations:
    den = float(gemmi.Op.DEN)
    return np.array([o.rot for o in ops]) / den, np.array([o.tran for o in ops]) / den


def _of_hall(symbol: str) -> Operations | None:
    """Operations of a Hall symbol, which leaves no choice of setting; none if nobody knows it."""
    try:
        ops = list(gemmi.symops_from_hall(symbol))
    except (RuntimeError, ValueError):
        return None
    return _arrays(ops)


def _named(block: cif.Block, name: str, number: str) -> tuple[Operations | None, list[str]]:
    if not name and not number:
        return None, ["no symmetry given; taken as P 1"]
    angles = [cif.as_number(block.find_value(f"_cell_angle_{a}") or "90") for a in ("alpha", "gamma")]
    group = _group(name, *angles) if name else None
    warnings = []
    if group is None and number.isdigit():
        group = gemmi.find_spacegroup_by_number(int(number))
        if group is not None and group.number > 1:
            warnings.append(f"no symmetry operations listed; standard setting of group {number} taken")
    if group is None:
        raise InputError(f"unknown space group '{name or number}' and no operations listed", code="symmetry")
    ops = list(group.operations())
    return (None if len(ops) == 1 else _arrays(ops)), warnings


def _group(name: str, alpha: float = 0.0, gamma: float = 0.0) -> gemmi.SpaceGroup | None:
    try:
        return gemmi.find_spacegroup_by_name(name, alpha, gamma)
    except (RuntimeError, ValueError):
        return None


def _first(block: cif.Block, tags: tuple[str, ...]) -> str:
    texts = (cif.as_string(t) for t in map(block.find_value, tags) if t is not None and t not in ("?", "."))
    return next(texts, "").strip()


def expand(
    fractional: NDArray[np.float64], ops: Operations, cell: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All images of the sites: index of the site (N,) and fractional coordinates (N, 3) in [0, 1), each image once.

    Raises:
        DoubtfulError: two images of a site lie between SAME and APART of each other.
    """
    rotations, translations = ops
    if len(fractional) * len(rotations) > MAX_IMAGES:
        raise InputError(f"{len(fractional)} sites times {len(rotations)} operations are too many", code="too-large")
    which: list[NDArray[np.int64]] = []
    where: list[NDArray[np.float64]] = []
    for k, site in enumerate(fractional):
        images = rotations @ site + translations
        images -= np.floor(images)
        delta = images[:, None] - images[None]
        delta -= np.rint(delta)
        delta = delta @ cell
        distance = np.sqrt((delta * delta).sum(-1))
        same = distance < SAME
        unclear = ~same & (distance < APART)
        if unclear.any():
            raise DoubtfulError(f"images of site {k + 1} are {distance[unclear].min():.2g} Å apart")
        first = same.argmax(1) == np.arange(len(images))
        which.append(np.full(int(first.sum()), k, dtype=np.int64))
        where.append(images[first])
    return np.concatenate(which), np.concatenate(where)
