"""How like a trajectory is to one of another theory, as the finite-temperature task of Matbench Discovery defines it.

Its measures (janosh/matbench-discovery, pull request 344, ``metrics/md.py`` of July 2026), in percent but for two:

- ``rdf_error``: ∫|g − g_ref| dr / ∫|g_ref − 1| dr over 500 bins up to half of the shortest lattice vector; all pairs
  together. 100 is as far off as an ideal gas, and the most that is given.
- ``adf_error``: first Wasserstein distance of the distributions of bond angles over that of the reference to sin θ; 180
  bins; bonds are pairs nearer than 1.25 of the sum of ASE's covalent radii; at most 100.
- ``pressure_mae``, ``pressure_wasserstein`` (GPa), ``pressure_error``: |difference of the means|, first Wasserstein
  distance, and half of the L1 distance of the histograms over 80 common bins; pressures are −tr(stress)/3, without
  what is kinetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np
from ase.data import covalent_radii
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from crystalcli.nouns.distributions import Frames, pair_distribution
from crystalcli.nouns.neighbors import neighbor_list
from crystalcli.vocabulary.units import GPA

Floats = NDArray[np.float64]
RDF_BINS, ADF_BINS, PRESSURE_BINS = 500, 180, 80
BONDED = 1.25
MEASURES = {
    "rdf_error": "%", "adf_error": "%", "pressure_mae": "GPa", "pressure_wasserstein": "GPa", "pressure_error": "%",
}  # fmt: skip


def likeness(images: Sequence[ase.Atoms], references: Sequence[ase.Atoms]) -> dict[str, float | None]:
    """The measures of frames beside reference frames of the same atoms, periodic in three directions.

    A measure is none where one side has no angles, or no stress.
    """
    reach = min(shortest_vector(a.cell.array) for a in (*images, *references)) / 2
    edges = np.linspace(0.0, 180.0, ADF_BINS + 1)
    angles, theirs = (np.histogram(_angles(some, reach), edges)[0].astype(float) for some in (images, references))
    found: dict[str, float | None] = dict.fromkeys(MEASURES)
    found["rdf_error"] = rdf_error(_rdf(images, reach), _rdf(references, reach))
    if angles.any() and theirs.any():
        found["adf_error"] = adf_error(angles, theirs)
    pressures, wanted = _pressures(images), _pressures(references)
    if pressures is not None and wanted is not None:
        found |= pressure_errors(pressures, wanted)
    return found


def shortest_vector(cell: Floats) -> float:
    """Length of the shortest lattice vector, Å."""
    reduced, _ = minkowski_reduce(cell)
    return float(np.linalg.norm(reduced, axis=1).min())


def rdf_error(g: Floats, reference: Floats) -> float:
    """Percent, of g(r) on one even grid, by trapezoids."""
    off, whole = (float(np.trapezoid(np.abs(y))) for y in (g - reference, reference - 1.0))
    return 100.0 if whole == 0.0 else 100.0 * min(1.0, off / whole)


def adf_error(angles: Floats, reference: Floats) -> float:
    """Percent, of histograms of angles on one even grid over 180°."""
    middles = (np.arange(len(angles)) + 0.5) * 180.0 / len(angles)
    whole = _wasserstein(reference, np.sin(np.radians(middles)))
    return 100.0 if whole <= 0.0 else 100.0 * min(1.0, _wasserstein(angles, reference) / whole)


def pressure_errors(pressures: Floats, references: Floats) -> dict[str, float]:
    """Of pressures in GPa."""
    from scipy.stats import wasserstein_distance

    low, high = (float(f([f(pressures), f(references)])) for f in (np.min, np.max))
    error = 0.0
    if high > low:
        shares = [np.histogram(p, PRESSURE_BINS, (low, high))[0] / len(p) for p in (pressures, references)]
        error = 50.0 * float(np.abs(shares[0] - shares[1]).sum())
    return {
        "pressure_mae": abs(float(pressures.mean()) - float(references.mean())),
        "pressure_wasserstein": float(wasserstein_distance(pressures, references)),
        "pressure_error": error,
    }


def _wasserstein(one: Floats, other: Floats) -> float:
    """First Wasserstein distance of two histograms on one even grid, in bins."""
    return float(np.abs(np.cumsum(one / one.sum() - other / other.sum())).sum())


def _rdf(images: Sequence[ase.Atoms], reach: float) -> Floats:
    frames = Frames.of(images, times=np.arange(len(images), dtype=np.float64).tolist())
    return pair_distribution(frames, r_max=reach, bins=RDF_BINS, most=len(images)).total


def _angles(images: Sequence[ase.Atoms], reach: float) -> Floats:
    """All angles between two bonds of an atom, degrees."""
    found = [np.zeros(0)]
    for atoms in images:
        radii = BONDED * covalent_radii[atoms.numbers]
        (i, j), shifts, lengths = neighbor_list(atoms, min(2.0 * float(radii.max()), reach))
        near = lengths <= np.minimum(radii[i] + radii[j], reach)
        at = atoms.positions
        vectors = (at[j] + shifts @ atoms.cell.array - at[i])[near] / lengths[near, None]
        for mine in np.split(vectors, np.cumsum(np.bincount(i[near], minlength=len(atoms)))[:-1]):
            a, b = np.triu_indices(len(mine), 1)
            found.append(np.degrees(np.arccos(np.clip((mine[a] * mine[b]).sum(1), -1.0, 1.0))))
    return np.concatenate(found)


def _pressures(images: Sequence[ase.Atoms]) -> Floats | None:
    stresses = [None if a.calc is None else a.calc.results.get("stress") for a in images]
    if any(s is None for s in stresses):
        return None
    return np.array([-float(_full(np.asarray(s)).trace()) / (3.0 * GPA) for s in stresses])


def _full(stress: Floats) -> Floats:
    return stress if stress.shape == (3, 3) else np.diag(stress[:3])
