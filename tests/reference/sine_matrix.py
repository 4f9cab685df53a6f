"""Sine Coulomb matrix and kernel ridge regression, number by number."""

import math
from collections.abc import Sequence

import numpy as np

BOHR = 0.529177210903


def matrix(numbers: Sequence[int], fractional: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """C of Faber et al. 2015, Eq. 10, lengths in bohr."""
    n = len(numbers)
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i == j:
                found[i, j] = 0.5 * numbers[i] ** 2.4
                continue
            vector = np.zeros(3)
            for k in range(3):
                vector += lattice[k] * math.sin(math.pi * (fractional[i, k] - fractional[j, k])) ** 2
            found[i, j] = numbers[i] * numbers[j] / (math.sqrt(float(vector @ vector)) / BOHR)
    return found


def kernel_ridge(
    points: np.ndarray, values: np.ndarray, asked: np.ndarray, length: float, penalty: float, kernel: str
) -> np.ndarray:
    """Predictions at ``asked`` of a fit with the normal equations written out."""

    def similar(a: np.ndarray, b: np.ndarray) -> float:
        if kernel == "laplacian":
            return math.exp(-sum(abs(x - y) for x, y in zip(a, b, strict=True)) / length)
        return math.exp(-sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / (2 * length**2))

    mean = sum(values) / len(values)
    gram = np.array([[similar(a, b) for b in points] for a in points])
    weights = np.linalg.inv(gram + penalty * np.eye(len(points))) @ (values - mean)
    return np.array([mean + sum(w * similar(a, b) for w, b in zip(weights, points, strict=True)) for a in asked])
