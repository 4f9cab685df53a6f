"""Symmetry of a CIF: the operations that it means, checked against its cell and against what else it says of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import gemmi
import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns.structures.cif_groups import arrays, rows_of_code, triplets_of
from crystalcli.nouns.structures.cif_images import Operations, misfits, squared
from crystalcli.nouns.structures.cif_settings import FITS, Said, in_words, setting, what_is_said
from crystalcli.nouns.structures.cif_sites import Sites
from crystalcli.vocabulary.errors import InputError

MAX_OPERATIONS = 192
"""No space group has more in its conventional cell."""
FITS_WELL = 1e-3
"""Misfit of operations and cell from which a warning is due: an angle of 90.06° called a right one."""
_LISTED = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop.operation_xyz",
)
_MAGNETIC = "magnetic symmetry only (magCIF)"
_OF_ANOTHER_KIND = {
    "_space_group_symop_magn_": _MAGNETIC,
    "_space_group_symop_ssg_": "symmetry of superspace only (a modulated structure)",
}
"""Beginnings of the names of operations that are no ordinary ones, with ``_`` where dictionaries also write ``.``."""
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall", "_space_group.name_hall")

Triplets = tuple[str, ...]


def operations(block: cif.Block, cell: NDArray[np.float64], sites: Sites) -> tuple[Operations | None, list[str]]:
    """Operations of the block, none for the identity alone, and warnings.

    Listed operations win over a Hall symbol, and that over names, numbers and codes of the setting.

    Raises:
        InputError: too many operations, one that is none, operations that the cell cannot have, a group that nobody
            knows, or statements that contradict each other.
    """
    listed = next((v for v in map(block.find_values, _LISTED) if len(v)), None)
    if listed is not None:
        if len(listed) > MAX_OPERATIONS:
            raise InputError(f"{len(listed)} symmetry operations, > {MAX_OPERATIONS}", code="symmetry")
        texts = tuple(cif.as_string(t) for t in listed)
        return _fitting(*_listed(texts, what_is_said(block)), cell)
    other = _of_another_kind(block)
    if other == _MAGNETIC or (other and not (what_is_said(block).statements or any(map(block.find_value, _HALL)))):
        raise InputError(f"{other}; crystal reads ordinary CIF", code="symmetry")
    hall = next((cif.as_string(t).strip() for t in map(block.find_value, _HALL) if t and t not in "?."), "")
    texts = _of_hall(hall) if hall else ()
    if texts:
        return _fitting(_group(texts), _hall_against(hall, what_is_said(block)), cell)
    if hall and not what_is_said(block).exact:
        raise InputError(f"unknown space group '{hall}' (Hall symbol) and no operations listed", code="symmetry")
    row, doubts = setting(block, cell, sites)
    said = (f"Hall symbol '{hall}' not understood", *doubts) if hall else tuple(doubts)
    return (None, list(said)) if row is None else _fitting(_group(triplets_of(row)), said, cell)


def _of_another_kind(block: cif.Block) -> str:
    """What the block lists in place of ordinary operations, in words; empty if nothing. Without any it would be P 1."""
    names = [tag.lower().replace(".", "_") for item in block if item.loop for tag in item.loop.tags]
    return next((said for start, said in _OF_ANOTHER_KIND.items() if any(n.startswith(start) for n in names)), "")


@dataclass(frozen=True)
class Group:
    """Operations, and those with different rotations (of R and -R one, so 24 at most), squared and as texts."""

    operations: Operations
    squares: NDArray[np.float64]
    texts: Triplets


def _fitting(group: Group, said: Triplets, cell: NDArray[np.float64]) -> tuple[Operations | None, list[str]]:
    """The operations, none for the identity alone, if the cell can have them, and warnings.

    Operations of another setting than the cell's would make sheared images, whose distances mean nothing.
    """
    if len(group.operations[0]) == 1:
        return None, list(said)
    misfit = misfits(group.squares, cell)
    worst = int(misfit.argmax())
    if misfit[worst] > FITS:
        what = f"symmetry operation '{group.texts[worst]}' does not fit the cell ({in_words(cell)})"
        raise InputError(f"{what}; correct one of them", code="symmetry")
    if misfit[worst] > FITS_WELL:
        said = (*said, f"the cell ({in_words(cell)}) has the symmetry only within {100 * misfit[worst]:.1g} %")
    return group.operations, list(said)


@lru_cache(maxsize=256)
def _listed(texts: Triplets, said: Said) -> tuple[Group, Triplets]:
    """The group that is listed, and warnings where the list contradicts the names: the list counts."""
    found = _group(texts)
    warnings = [f"space group name '{name}' not understood; the operations listed count" for name in said.unknown]
    shown, name = _other_group(texts, said)
    if shown:
        those = f"those of '{name}', not of" if name else "not those of"
        warnings.append(f"the {len(set(texts))} symmetry operations listed are {those} {shown}; the list counts")
    return found, tuple(warnings)


@lru_cache(maxsize=256)
def _group(texts: Triplets) -> Group:
    ops = arrays(_parsed(texts))
    flat = ops[0].reshape(-1, 9)
    upright = flat * np.sign(flat[np.arange(len(flat)), (flat != 0).argmax(1)])[:, None]
    which = np.sort(np.unique(upright, axis=0, return_index=True)[1])
    return Group(ops, squared(ops[0][which]), tuple(texts[k] for k in which))


def _parsed(texts: Triplets) -> list[gemmi.Op]:
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
    return ops


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


@lru_cache(maxsize=256)
def _of_hall(symbol: str) -> Triplets:
    """Operations of a Hall symbol, which leaves no choice of setting; none if nobody knows it."""
    try:
        return tuple(op.triplet() for op in gemmi.symops_from_hall(symbol))
    except (RuntimeError, ValueError):
        return ()


@lru_cache(maxsize=256)
def _hall_against(hall: str, said: Said) -> Triplets:
    shown, name = _other_group(_of_hall(hall), said)
    return (f"Hall symbol '{hall}' is that of '{name or '?'}', not of {shown}; the symbol counts",) if shown else ()


def _other_group(texts: Triplets, said: Said) -> tuple[str, str]:
    """The first statement that these operations contradict, empty if there is none, and a name of their group.

    Operations that the tables do not have (another origin, other axes) are compared by the kinds of their rotations.
    """
    if not said.statements:
        return "", ""
    ops = [gemmi.Op(text.lower()).wrap() for text in texts]
    listed = {op.triplet() for op in ops}
    group = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(ops))
    name = str(group.xhm()) if group else ""
    for shown, rows in said.statements:
        same = tuple(k for k in rows if listed == set(triplets_of(k)))
        if same and said.code and rows_of_code(same, said.code) == ():
            return f"the code '{said.code}'", name
        if not same and (group is not None or all(_kinds(texts) != _kinds(triplets_of(k)) for k in rows)):
            return shown, name
    return "", ""


def _kinds(texts: Triplets) -> dict[tuple[int, int], float]:
    """Share of every kind of rotation, told by determinant and trace, among operations."""
    ops = [gemmi.Op(text.lower()) for text in texts]
    kinds = Counter((op.det_rot(), sum(op.rot[k][k] for k in range(3))) for op in ops)
    return {kind: n / len(ops) for kind, n in kinds.items()}
