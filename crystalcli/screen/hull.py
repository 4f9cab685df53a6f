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
"""eV/atom: a phase this near to the hull is on it, where energies are known."""
ON_PREDICTED_HULL = 1e-5
"""eV/atom: the same where they are predicted. Networks work in float32: one crystal in cells of several sizes, or in
other batches, has energies that differ by as much."""


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


def distances(
    candidates: Sequence[Phase], competing: Sequence[bool], references: Sequence[Phase], *, near: float = ON_HULL
) -> list[Distance]:
    """Distance of every candidate to the hull of the references, the competing candidates and the elements.

    Elements with formation energy 0 are always there, whatever the references are.

    Args:
        candidates: in any order, of any chemical systems.
        competing: whether a candidate takes part in the hull (one with a wild prediction should not).
        references: phases whose energies are known.
        near: what is as near to the hull, eV/atom, is on it, at 0.
    """
    members: dict[frozenset[str], list[int]] = defaultdict(list)
    for k, c in enumerate(candidates):
        members[_elements(c)].append(k)
    pool: dict[frozenset[str], list[Phase]] = defaultdict(list)
    for p in [*references, *(c for c, takes_part in zip(candidates, competing, strict=True) if takes_part)]:
        pool[_elements(p)].append(p)
    found: dict[int, Distance] = {}
    for elements, those in members.items():
        inside = [p for system, phases in pool.items() if system <= elements for p in phases]
        found |= zip(those, _in_system(sorted(elements), inside, [candidates[k] for k in those], near), strict=True)
    return [found[k] for k in range(len(candidates))]


def stable(phases: Sequence[Phase]) -> list[bool]:
    """Whether each of ``phases`` is on their common hull; of equal compositions only the lowest can be."""
    return [d.above <= ON_HULL for d in distances(phases, [True] * len(phases), [])]


def _elements(phase: Phase) -> frozenset[str]:
    return frozenset(s for s, n in phase.amounts.items() if n > 0)


def _in_system(elements: list[str], inside: Sequence[Phase], members: Sequence[Phase], near: float) -> list[Distance]:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition, Element

    lowest = _lowest(elements, inside)
    entries = [PDEntry(Composition(p.amounts), p.energy * sum(p.amounts.values()), name=p.name or None) for p in lowest]
    entries += [PDEntry(Composition({s: 1}), 0.0, name=s) for s in elements]
    diagram = PhaseDiagram(entries, elements=[Element(s) for s in elements])
    corners = diagram.qhull_entries
    x = np.array([[e.composition.get_atomic_fraction(s) for s in elements] for e in corners])
    energy = np.array([e.energy_per_atom for e in corners])
    facet, share = _facets_of(fractions(members, elements), x, [np.asarray(f) for f in diagram.facets])
    above = np.array([m.energy for m in members]) - (share * energy[facet]).sum(1)
    above[np.abs(above) < near] = 0.0
    names = np.array([e.name for e in corners], dtype=object)
    return [
        Distance(float(height), tuple(names[f[s > ON_HULL]])) for height, f, s in zip(above, facet, share, strict=True)
    ]


def _lowest(elements: Sequence[str], phases: Sequence[Phase]) -> list[Phase]:
    """Of every composition the phase of lowest energy, if it is below that of the elements: no other shapes a hull."""
    below = [p for p in phases if p.energy < 0.0]
    if not below:
        return []
    _, composition = np.unique(fractions(below, elements).round(10), axis=0, return_inverse=True)
    best: dict[int, Phase] = {}
    for k, p in zip(composition.ravel().tolist(), below, strict=True):
        if k not in best or (p.energy, p.name) < (best[k].energy, best[k].name):
            best[k] = p
    return list(best.values())


def fractions(phases: Sequence[Phase], elements: Sequence[str]) -> Floats:
    """Atomic fractions in the order of ``elements``, (n, d)."""
    rows = np.array([[p.amounts.get(s, 0.0) for s in elements] for p in phases], dtype=np.float64)
    found: Floats = rows / rows.sum(1, keepdims=True)
    return found


def _facets_of(x: Floats, corners: Floats, facets: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], Floats]:
    """Corners of the facet in which every composition ``x`` (n, d) lies, (n, d), and their shares, (n, d).

    The facet is the one whose least share is largest: of those that meet at ``x`` any, and never a sliver beside it.
    """
    facet = np.zeros((len(x), len(facets[0])), dtype=np.int64)
    share, best = np.zeros(facet.shape), np.full(len(x), -np.inf)
    for corner in facets:
        found = np.linalg.solve(corners[corner].T, x.T).T
        better = found.min(1) > best + ON_HULL
        facet[better], share[better], best[better] = corner, found[better], found.min(1)[better]
    return facet, share
