"""A random box without overlaps: atoms anywhere, pushed apart as soft spheres.

``U = Σ_{i<j} ½ (1 − r/σ_ij)²`` for r < σ_ij, in arbitrary units with mass 1, goes down by FIRE (E. Bitzek et al., PRL
97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201) until no pair is nearer than 0.95 σ_ij.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ase
import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from crystalcli.nouns.radii import contact
from crystalcli.vocabulary.errors import InputError
from crystalcli.vocabulary.seeds import seed_of

Floats = NDArray[np.float64]
Spheres = Literal["covalent", "published"]
APART = 0.95
"""Of σ: as near as two atoms may be in the end."""
SHARE = 0.85
"""σ_ab of ``covalent`` is this part of the sum of the covalent radii."""
MOST_STEPS, TRIES = 500, 5
"""Of FIRE, and random beginnings before a box is given up."""
SKIN = 1.0
"""Å beyond the widest spheres up to which pairs are listed."""
DT_FIRST, DT_MOST, PATIENCE, FASTER, SLOWER, ALPHA, FADING = 0.1, 0.4, 5, 1.1, 0.5, 0.1, 0.99


@dataclass(frozen=True)
class Packed:
    """A box, with the shortest distance over its σ and the steps that were taken."""

    atoms: ase.Atoms
    nearest: float
    steps: int


def diameters(numbers: NDArray[np.int64], spheres: Spheres) -> Floats:
    """σ of every two of K elements or atoms, (K, K) Å.

    ``published`` is one σ for all pairs: the least sum of two unlike average ionic radii; of one element twice its
    metallic radius, or twice its atomic radius where it is no metal.
    """
    if spheres == "covalent":
        return SHARE * contact(numbers)
    return np.full((len(numbers), len(numbers)), _published(sorted({int(z) for z in numbers})))


def _published(species: list[int]) -> float:
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of elements that have none
        elements = [Element.from_Z(z) for z in species]
        if len(elements) == 1:
            radii = [float(elements[0].metallic_radius or elements[0].atomic_radius or 0.0)] * 2
        else:
            radii = [float(e.average_ionic_radius) for e in elements]
    if none := [e.symbol for e, radius in zip(elements, radii, strict=False) if not radius > 0]:
        raise InputError(f"{none[0]} has no published radius; use --spheres covalent")
    return sum(sorted(radii)[:2])


def room(
    counts: Mapping[str, int], volume: float, spheres: Spheres
) -> tuple[float, NDArray[np.int64], Floats, NDArray[np.int64]]:
    """The length of a cube of ``volume``, numbers of its atoms, σ of every two kinds, and which kind an atom is.

    Raises:
        InputError: whatever their places, these atoms cannot be packed: the cube is too narrow, or a σ is not known.
    """
    numbers = np.repeat([atomic_numbers[s] for s in counts], list(counts.values())).astype(np.int64)
    species, kinds = np.unique(numbers, return_inverse=True)
    length, sigma = volume ** (1 / 3), diameters(species, spheres)
    if sigma.max() > 0.5 * length:
        enough = math.ceil(len(numbers) * (2.0 * float(sigma.max()) / length) ** 3)
        wide = f"a box of {length:.2f} Å is too narrow for atoms {sigma.max():.2f} Å wide"
        raise InputError(f"{wide}; give --atoms {enough} or more", code="narrow")
    return length, numbers, sigma, kinds


def box(counts: Mapping[str, int], volume: float, seed: int, name: str, spheres: Spheres) -> Packed:
    """Pack a cubic box.

    Args:
        counts: atoms by symbol.
        volume: of the whole box, Å³.
        seed: same seed and name, same bytes.
        name: of the box.
        spheres: which diameters.

    Raises:
        InputError: the atoms cannot be got apart in this volume; says how near they stay.
    """
    length, numbers, sigma, kinds = room(counts, volume, spheres)
    best = 0.0
    for beginning in range(TRIES):
        start = np.random.default_rng(seed_of("pack", seed, name, beginning)).random((len(numbers), 3)) * length
        places, nearest, steps = apart(start, length, sigma, kinds)
        if nearest >= APART:
            atoms = ase.Atoms(numbers, places % length, cell=[length] * 3, pbc=True)
            return Packed(atoms, nearest, steps)
        best = max(best, nearest)
    raise InputError(
        f"atoms stay as near as {best:.2f} of their diameters in {volume / len(numbers):.2f} Å³ an atom; "
        "a larger --volume or --expand gives them room",
        code="packing",
    )


def apart(
    places: Floats, length: float, sigma: Floats, kinds: NDArray[np.int64], steps: int = MOST_STEPS
) -> tuple[Floats, float, int]:
    """Go down by FIRE until no pair is nearer than :data:`APART` of its σ.

    Args:
        places: (N, 3) Å in a cube of ``length``.
        length: Å; at least twice the largest σ.
        sigma: (K, K) Å, of every two kinds of atoms.
        kinds: (N,) which kind an atom is.
        steps: at most.

    Returns:
        Places, the least r/σ, and the steps that were taken.
    """
    near = _Near(length, sigma, kinds)
    push, _, nearest = near.pushed(places)
    speed = np.zeros_like(places)
    dt, alpha, downhill = DT_FIRST, ALPHA, 0
    for step in range(steps):
        if nearest >= APART:
            return places, nearest, step
        places = places + dt * speed + 0.5 * dt * dt * push
        before = push
        push, _, nearest = near.pushed(places)
        speed = speed + 0.5 * dt * (before + push)
        power = float((push * speed).sum())
        size = float(np.sqrt((push * push).sum()))
        if size > 0:
            speed = (1 - alpha) * speed + alpha * float(np.sqrt((speed * speed).sum())) * push / size
        if power > 0:
            downhill += 1
            if downhill > PATIENCE:
                dt, alpha = min(dt * FASTER, DT_MOST), alpha * FADING
        else:
            downhill, dt, alpha = 0, dt * SLOWER, ALPHA
            speed = np.zeros_like(speed)
    return places, nearest, steps


class _Near:
    """Pairs that may touch, looked for again when an atom has moved by half of :data:`SKIN` since."""

    def __init__(self, length: float, sigma: Floats, kinds: NDArray[np.int64]) -> None:
        self.length, self.sigma, self.kinds = length, sigma, kinds
        self.reach = float(sigma.max()) + SKIN
        self.at: Floats | None = None

    def pushed(self, places: Floats) -> tuple[Floats, float, float]:
        """As :func:`soft_spheres` says, of all atoms."""
        if self.at is None or 2.0 * float(np.sqrt(((places - self.at) ** 2).sum(1).max())) > SKIN:
            self.at, reach = places, self.reach
            self.i, self.j = pairs_nearer(places, self.length, reach)
            while not len(self.i) and reach < self.length:  # so thin that nothing is near
                reach *= 2.0
                self.i, self.j = pairs_nearer(places, self.length, reach)
            self.wide = self.sigma[self.kinds[self.i], self.kinds[self.j]]
        return soft_spheres(places, self.length, self.i, self.j, self.wide)


def pairs_nearer(places: Floats, length: float, reach: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs i < j of atoms of a periodic cube whose nearest images are nearer than ``reach`` Å, in order."""
    from scipy.spatial import cKDTree

    inside = places % length
    inside[inside >= length] = 0.0  # a tiny negative number has the length for its remainder
    found = cKDTree(inside, boxsize=length).query_pairs(reach, output_type="ndarray").astype(np.int64)
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    return found[:, 0], found[:, 1]


def soft_spheres(
    places: Floats, length: float, i: NDArray[np.int64], j: NDArray[np.int64], sigma: Floats
) -> tuple[Floats, float, float]:
    """Soft spheres in a periodic cube.

    Args:
        places: (N, 3) Å.
        length: of the cube, Å.
        i: (P,) first atoms of the pairs that may touch.
        j: (P,) second ones.
        sigma: (P,) Å.

    Returns:
        Forces (N, 3), energy, and the least r/σ of the pairs; infinite without any.
    """
    d = places[i] - places[j]
    d -= np.rint(d / length) * length
    r = np.sqrt((d * d).sum(1))
    share = r / sigma
    nearest = float(share.min(initial=np.inf))
    touch = share < 1.0
    depth = 1.0 - share
    i, j, d, r, depth, sigma = i[touch], j[touch], d[touch], r[touch], depth[touch], sigma[touch]
    pull = (depth / (sigma * np.where(r > 0, r, 1.0)))[:, None] * d
    n = len(places)
    push = np.stack([np.bincount(i, p, n) - np.bincount(j, p, n) for p in pull.T], 1)
    return push, 0.5 * float((depth * depth).sum()), nearest
