"""A random box without overlaps: atoms anywhere, pushed apart as soft spheres.

``U = Σ_{i<j} ½ (1 − r/σ_ij)²`` for r < σ_ij, in arbitrary units with mass 1, goes down by FIRE (E. Bitzek et al., PRL
97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201) until no pair is nearer than 0.95 σ_ij.
"""

from __future__ import annotations

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
DT_FIRST, DT_MOST, PATIENCE, FASTER, SLOWER, ALPHA, FADING = 0.1, 0.4, 5, 1.1, 0.5, 0.1, 0.99


@dataclass(frozen=True)
class Packed:
    """A box, with the shortest distance over its σ, the steps that were taken, and the beginning (0, 1, …)."""

    atoms: ase.Atoms
    nearest: float
    steps: int
    beginning: int


def diameters(numbers: NDArray[np.int64], spheres: Spheres) -> Floats:
    """σ of every two atoms, (N, N) Å.

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
    numbers = np.repeat([atomic_numbers[s] for s in counts], list(counts.values())).astype(np.int64)
    length, sigma = volume ** (1 / 3), diameters(numbers, spheres)
    if sigma.max() > 0.5 * length:
        raise InputError(
            f"{name}: a box of {length:.2f} Å is too narrow for atoms {sigma.max():.2f} Å wide; more --atoms"
        )
    best = 0.0
    for beginning in range(TRIES):
        start = np.random.default_rng(seed_of("pack", seed, name, beginning)).random((len(numbers), 3)) * length
        places, nearest, steps = apart(start, length, sigma)
        if nearest >= APART:
            atoms = ase.Atoms(numbers, places % length, cell=[length] * 3, pbc=True)
            return Packed(atoms, nearest, steps, beginning)
        best = max(best, nearest)
    raise InputError(
        f"{name}: atoms stay as near as {best:.2f} of their diameters in {volume / len(numbers):.2f} Å³ an atom; "
        "a larger --volume or --expand gives them room",
        code="packing",
    )


def apart(places: Floats, length: float, sigma: Floats, steps: int = MOST_STEPS) -> tuple[Floats, float, int]:
    """Go down by FIRE until no pair is nearer than :data:`APART` of its σ.

    Args:
        places: (N, 3) Å in a cube of ``length``.
        length: Å; at least twice the largest σ.
        sigma: (N, N) Å.
        steps: at most.

    Returns:
        Places, the least r/σ, and the steps that were taken.
    """
    push, _, nearest = soft_spheres(places, length, sigma)
    speed = np.zeros_like(places)
    dt, alpha, downhill = DT_FIRST, ALPHA, 0
    for step in range(steps):
        if nearest >= APART:
            return places, nearest, step
        places = places + dt * speed + 0.5 * dt * dt * push
        before = push
        push, _, nearest = soft_spheres(places, length, sigma)
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


def soft_spheres(places: Floats, length: float, sigma: Floats) -> tuple[Floats, float, float]:
    """Forces (N, 3), energy, and the least r/σ (infinite for one atom) of soft spheres in a periodic cube."""
    d = places[:, None] - places[None]
    d -= np.rint(d / length) * length
    r = np.sqrt(np.einsum("ijk,ijk->ij", d, d))
    np.fill_diagonal(r, np.inf)
    share = r / sigma
    close = share < 1.0
    depth = np.where(close, 1.0 - share, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.where(close, depth / (sigma * np.where(r > 0, r, 1.0)), 0.0)
    return np.einsum("ij,ijk->ik", pull, d), 0.25 * float((depth * depth).sum()), float(share.min())
