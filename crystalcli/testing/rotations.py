"""How numbers of every kind turn with a crystal: matrices for irreps, from spherical harmonics that scipy gives."""

from __future__ import annotations

from math import factorial, pi

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.special import lpmv
from torch import Tensor

from crystalcli.contracts.irreps import Irreps

Floats = NDArray[np.float64]


def harmonics(degree: int, vectors: Floats) -> Floats:
    """Real spherical harmonics of the directions of ``vectors`` (n, 3), (n, 2l + 1), as in :mod:`.contracts.irreps`.

    The textbook's polar axis z is e3nn's y: the textbook's (x, y, z) is here (z, x, y).
    """
    x, y, z = vectors[:, 2], vectors[:, 0], vectors[:, 1]
    cosine, angle = z / np.linalg.norm(vectors, axis=1), np.arctan2(y, x)
    found = []
    for m in range(-degree, degree + 1):
        k = abs(m)
        norm = np.sqrt((2 * degree + 1) / (4 * pi) * factorial(degree - k) / factorial(degree + k))
        around = np.sqrt(2) * np.sin(k * angle) if m < 0 else np.sqrt(2) * np.cos(k * angle) if m else 1.0
        found.append((-1) ** k * norm * lpmv(k, degree, cosine) * around)
    return np.stack(found, axis=1)


def representation(irreps: Irreps, rotation: Floats) -> Tensor:
    """D, (F, F) float64, with ``v' = v Dᵀ`` for numbers v of a crystal that was turned by ``r' = r Rᵀ``.

    ``rotation`` R may be a reflection; kinds ``o`` change their sign under the inversion in it.
    """
    proper = np.linalg.det(rotation) > 0
    turn = rotation if proper else -rotation
    directions = np.random.default_rng(0).normal(size=(64, 3))
    blocks = []
    for term in irreps.terms:
        before, after = (harmonics(term.degree, v) for v in (directions, directions @ turn.T))
        one = np.linalg.lstsq(before, after, rcond=None)[0].T
        blocks += [one * (-1.0 if not proper and term.kind.endswith("o") else 1.0)] * term.count
    return torch.as_tensor(block_diag(*blocks))


def rotation(seed: int = 0) -> Floats:
    """A random proper rotation, that of :func:`crystalcli.testing.crystals.rotated`."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    found: Floats = q
    return found
