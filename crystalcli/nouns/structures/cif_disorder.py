"""Alternatives that a CIF lists side by side: of the groups of an assembly only one is there at a time."""

from __future__ import annotations

import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from crystalcli.nouns.structures.cif_sites import Sites
from crystalcli.vocabulary.errors import InputError

_CODE = "partial-occupancy"
_COMPARED = 1_000
"""Sites of a group, of the first two, among which the nearest pair is looked for."""
_CURE = "make an ordered structure of it first"


def refuse_alternatives(sites: Sites, cell: NDArray[np.float64]) -> tuple[str, ...]:
    """Warn of alternatives that stand alone; refuse sites that cannot all be there, whatever their occupancy says.

    Groups of one assembly exclude each other; where no assembly is named, all groups count as those of one. A negative
    group is one whose images by symmetry exclude each other.

    Args:
        sites: of the asymmetric unit.
        cell: rows (3, 3), Å.

    Raises:
        InputError: two groups of one assembly (the nearest two sites are named), a negative group, or several sites of
            an assembly that are in no group.
    """
    if "disorder_group" not in sites.columns and "disorder_assembly" not in sites.columns:
        return ()
    members = _members(sites)
    for assembly, groups in members.items():
        negative = next((g for g in groups if g.startswith("-")), None)
        if negative is not None:
            name = sites.labels[groups[negative][0]]
            raise InputError(
                f"disordered: {name} is of group {negative}, its images by symmetry exclude each other; {_CURE}",
                code=_CODE,
            )
        if len(groups) > 1:
            raise InputError(f"disordered: {_nearest(sites, cell, assembly, groups)}; {_CURE}", code=_CODE)
        ((group, rows),) = groups.items()
        if not group and len(rows) > 1:
            a, b = (sites.labels[k] for k in rows[:2])
            raise InputError(f"disordered: {a} and {b} are of assembly {assembly}, of no group; {_CURE}", code=_CODE)
    names = [sites.labels[rows[0]] for groups in members.values() for rows in groups.values()]
    if not names:
        return ()
    return (f"{names[0]} is one of several alternatives by its disorder group; no other is listed, taken as full",)


def _members(sites: Sites) -> dict[str, dict[str, list[int]]]:
    """Rows of the sites in each group of each assembly; ordered sites are in none."""
    unknown = ["."] * len(sites.labels)
    groups, assemblies = (sites.columns.get(f"disorder_{t}", unknown) for t in ("group", "assembly"))
    members: dict[str, dict[str, list[int]]] = {}
    for k, marks in enumerate(zip(assemblies, groups, strict=True)):
        assembly, group = map(cif.as_string, marks)
        if assembly or group not in ("", "0"):
            members.setdefault(assembly, {}).setdefault(group, []).append(k)
    return members


def _nearest(sites: Sites, cell: NDArray[np.float64], assembly: str, groups: dict[str, list[int]]) -> str:
    """The two sites of two groups that are nearest to each other within the cell and its neighbours."""
    compared = [members[:_COMPARED] for members in groups.values()][:2]
    rows = [k for members in compared for k in members]
    of = np.array([g for g, members in enumerate(compared) for _ in members])
    delta = sites.fractional[rows][:, None] - sites.fractional[rows][None]
    distance = np.linalg.norm((delta - np.rint(delta)) @ cell, axis=-1)
    distance[of[:, None] == of[None]] = np.inf
    i, j = sorted(map(int, np.unravel_index(distance.argmin(), distance.shape)))
    names, said = [sites.labels[rows[k]] for k in (i, j)], [list(groups)[of[k]] or "none" for k in (i, j)]
    where = f"of assembly {assembly}" if assembly else "of disorder"
    return f"{names[0]} and {names[1]} are groups {said[0]} and {said[1]} {where}, {distance[i, j]:.2g} Å apart"
