"""Stillinger–Weber as PRB 31, 5262 writes it: a loop over pairs and one over triplets, of one element."""

import itertools
import math

import ase
import numpy as np
from ase.neighborlist import neighbor_list

SETS = {"Si": (2.1682, 2.0951, 21.0), "Ge": (1.93, 2.181, 31.0)}


def energy(atoms: ase.Atoms, three_body: float = 1.0) -> float:
    """eV, of the whole structure; images included."""
    epsilon, sigma, strength = SETS[atoms.get_chemical_symbols()[0]]
    a, gamma = 1.80, 1.20
    total = 0.0
    around: dict[int, list[np.ndarray]] = {k: [] for k in range(len(atoms))}
    for i, d in zip(*neighbor_list("iD", atoms, a * sigma), strict=True):
        around[i].append(d / sigma)
    for vectors in around.values():
        for d in vectors:
            r = np.linalg.norm(d)
            total += 0.5 * epsilon * 7.049556277 * (0.6022245584 * r**-4 - 1.0) * math.exp(1.0 / (r - a))
        for one, two in itertools.combinations(vectors, 2):
            r, s = np.linalg.norm(one), np.linalg.norm(two)
            cosine = one @ two / (r * s)
            fall = math.exp(gamma / (r - a) + gamma / (s - a))
            total += epsilon * three_body * strength * fall * (cosine + 1.0 / 3.0) ** 2
    return total
