"""Distances to the convex hull of formation energies, for candidates of any chemical systems.

``E_hull(c) = E_f(c) − min_λ {Σ λ_k E_f(k) : Σ λ_k x_k = x_c, Σ λ_k = 1, λ ≥ 0}`` with atomic fractions x; the hull is
pymatgen's (S. P. Ong et al., Chem. Mater. 20, 1798 (2008), doi:10.1021/cm702327g), one for every chemical system.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Amounts = Mapping[str, float]
"""Symbol → number of atoms."""
Floats = NDArray[np.float64]
ON_HULL = 1e-8
"""eV/atom: a phase this near to the hull is on it."""


@dataclass(frozen=True)
class Phase:
    """A phase that others may decompose into.

    Args:
        amounts: composition. energy: formation energy, eV/atom. name: for the list of decomposition products.
    """

    amounts: Amounts
    energy: float
    name: str = ""


@dataclass(frozen=True)
class Distance:
    """How far a candidate is above the hull.

    Args:
        above: eV/atom, 0 on the hull; negative only for one that does not compete and lies below it.
        products: names of the competing phases that are stable at its composition.
    """

    above: float
    products: tuple[str, ...]


def distances(candidates: Sequence[Phase], competing: Sequence[bool], references: Sequence[Phase]) -> list[Distance]:
    """Distance of every candidate to the hull of the references, the competing candidates and the elements.

    Elements with formation energy 0 are always there, whatever the references are.

    Args:
        candidates: in any order, of any chemical systems.
        competing: whether a candidate takes part in the hull (one with a wild prediction should not).
        references: phases whose energies are known.
    """
    by_system: dict[frozenset[str], list[int]] = defaultdict(list)
    for k, c in enumerate(candidates):
        by_system[_elements(c)].append(k)
    pool = [*references, *(c for c, takes_part in zip(candidates, competing, strict=True) if takes_part)]
    systems = [(_elements(p), p) for p in pool]
    found: dict[int, Distance] = {}
    for elements, members in by_system.items():
        inside = [p for s, p in systems if s <= elements]
        for k, distance in zip(members, _in_system(elements, inside, [candidates[k] for k in members]), strict=True):
            found[k] = distance
    return [found[k] for k in range(len(candidates))]


def stable(phases: Sequence[Phase]) -> list[bool]:
    """Whether each of ``phases`` is on their common hull; of equal compositions only the lowest can be."""
    return [d.above <= ON_HULL for d in distances(phases, [True] * len(phases), [])]


def _elements(phase: Phase) -> frozenset[str]:
    return frozenset(s for s, n in phase.amounts.items() if n > 0)


def _in_system(elements: frozenset[str], inside: Sequence[Phase], members: Sequence[Phase]) -> list[Distance]:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition, Element

    entries = [PDEntry(Composition(p.amounts), p.energy * sum(p.amounts.values()), name=p.name or None) for p in inside]
    entries += [PDEntry(Composition({s: 1}), 0.0, name=s) for s in sorted(elements)]
    diagram = PhaseDiagram(entries, elements=[Element(s) for s in sorted(elements)])
    made = []
    for member in members:
        composition = Composition(member.amounts)
        products = diagram.get_decomposition(composition)
        floor = sum(share * entry.energy_per_atom for entry, share in products.items())
        above = member.energy - floor
        made.append(Distance(0.0 if abs(above) < ON_HULL else above, tuple(e.name for e in products)))
    return made
