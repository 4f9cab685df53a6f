"""Coulomb sums of periodic point charges by Ewald's method: energies per atom, forces, stress. Plain numpy.

P. P. Ewald, Ann. Phys. 369, 253 (1921); stress: D. M. Heyes, Phys. Rev. B 49, 755 (1994).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from crystalcli.vocabulary.units import COULOMB

Array = NDArray[np.float64]
ACCURACY = 4.8
"""Both sums are cut where their Gaussian is exp(−4.8²) ≈ 1e-10 of its height."""
_CHUNK = 4_000_000
"""Elements of the (atoms, k-vectors) table that are held at a time."""


@dataclass(frozen=True)
class Sums:
    """What a sum over pairs or waves gives.

    Args:
        energies: (N,) eV; their sum is the energy. forces: (N, 3) eV/Å.
        virial: (3, 3) eV, the derivative of the energy with respect to symmetric strain, ∂E/∂ε.
    """

    energies: Array
    forces: Array
    virial: Array

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.energies + other.energies, self.forces + other.forces, self.virial + other.virial)


@dataclass(frozen=True)
class Pairs:
    """All directed pairs within a cutoff: centres, neighbors (E,), vectors to the neighbor (E, 3), lengths (E,) Å."""

    centre: NDArray[np.int64]
    neighbor: NDArray[np.int64]
    vector: Array
    length: Array

    def sums(self, energy: Array, slope: Array, n_atoms: int) -> Sums:
        """Sums of pair energies (E,) eV and their derivatives ∂E/∂r (E,) eV/Å; both directions of a pair are there."""
        pull = (slope / self.length)[:, None] * self.vector
        columns = (0.5 * energy, *pull.T)
        energies, *forces = (_summed(self.centre, column, n_atoms) for column in columns)
        virial = 0.5 * pull.T @ self.vector
        return Sums(energies, np.stack(forces, axis=1), 0.5 * (virial + virial.T))


def _summed(centre: NDArray[np.int64], values: Array, n_atoms: int) -> Array:
    return np.bincount(centre, values, n_atoms).astype(np.float64)


def splitting(cutoff: float) -> float:
    """α in 1/Å such that what is left of the direct sum beyond ``cutoff`` Å is negligible."""
    return ACCURACY / cutoff


def coulomb_pairs(pairs: Pairs, charges: Array, alpha: float) -> Sums:
    """Direct part: ½ Σ q_i q_j erfc(α r)/r, charges (N,) in e."""
    product = COULOMB * charges[pairs.centre] * charges[pairs.neighbor]
    r = pairs.length
    energy = product * erfc(alpha * r) / r
    slope = -(energy + product * 2.0 * alpha / np.sqrt(np.pi) * np.exp(-((alpha * r) ** 2))) / r
    return pairs.sums(energy, slope, len(charges))


def coulomb_waves(positions: Array, cell: Array, charges: Array, alpha: float) -> Sums:
    """Reciprocal part less the Gaussians' own energy, for charges (N,) that add up to zero.

    E = (2π/V) Σ_k A(k) |S(k)|² − (α/√π) Σ q_i², A = exp(−k²/4α²)/k², S = Σ q_i exp(i k·r_i).
    """
    volume = abs(np.linalg.det(cell))
    waves = _half_of_waves(cell, 2.0 * alpha * ACCURACY)
    squared = (waves**2).sum(1)
    weight = COULOMB * 4.0 * np.pi / volume * np.exp(-squared / (4.0 * alpha**2)) / squared  # k and −k together
    energies = -COULOMB * alpha / np.sqrt(np.pi) * charges**2
    forces, virial = np.zeros_like(positions), np.zeros((3, 3))
    step = max(1, _CHUNK // max(len(charges), 1))
    for start in range(0, len(waves), step):
        k, w, k2 = waves[start : start + step], weight[start : start + step], squared[start : start + step]
        wave = charges[:, None] * np.exp(1j * (positions @ k.T))
        total = wave.sum(0)
        part = np.conj(total) * wave  # (N, K): Re is the share of an atom in |S|², Im gives its force
        energies = energies + part.real @ w
        forces += 2.0 * (part.imag * w) @ k
        power = w * np.abs(total) ** 2
        virial += (2.0 * power * (1.0 / k2 + 1.0 / (4.0 * alpha**2)) * k.T) @ k - power.sum() * np.eye(3)
    return Sums(energies, forces, virial)


def _half_of_waves(cell: Array, longest: float) -> Array:
    """Reciprocal vectors up to ``longest`` 1/Å without zero, one of each pair k, −k; (K, 3)."""
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell).T
    most = np.floor(longest * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int)
    axes = [np.arange(-n, n + 1) for n in most]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    waves = grid[len(grid) // 2 + 1 :] @ reciprocal
    kept: Array = waves[(waves**2).sum(1) <= longest**2]
    return kept
