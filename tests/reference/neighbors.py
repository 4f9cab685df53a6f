"""Neighbor search by brute force: every image of every atom that could be in reach, one distance each."""

from __future__ import annotations

import ase
import numpy as np

Edge = tuple[int, int, int, int, int]


def all_pairs(atoms: ase.Atoms, cutoff: float) -> dict[Edge, float]:
    """Edges (i, j, Sx, Sy, Sz) with d = r_j + S·A − r_i within ``cutoff`` + 1e-6 Å, and their lengths.

    Images −n … n with n = ceil(cutoff·|b_k|) suffice for atoms inside the cell, so the atoms are wrapped first and
    the shifts converted back.
    """
    pbc = atoms.pbc
    cell = ase.cell.Cell(np.where(pbc[:, None], atoms.cell.array, 0.0)).complete().array
    inverse = np.linalg.inv(cell)
    moved = np.where(pbc, np.floor(atoms.positions @ inverse), 0).astype(int)
    wrapped = atoms.positions - moved @ cell
    reach = np.where(pbc, np.ceil((cutoff + 1e-6) * np.linalg.norm(inverse, axis=0)), 0).astype(int)
    images = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    edges = {}
    for i in range(len(atoms)):
        vectors = wrapped[None] + (images @ cell)[:, None] - wrapped[i]
        lengths = np.linalg.norm(vectors, axis=-1)
        for s, j in zip(*np.nonzero(lengths <= cutoff + 1e-6), strict=True):
            if j == i and not images[s].any():
                continue
            shift = images[s] - moved[j] + moved[i]
            edges[i, int(j), int(shift[0]), int(shift[1]), int(shift[2])] = float(lengths[s, j])
    return edges


def nearest(pairs: dict[Edge, float], n_atoms: int, count: int, ties: str) -> list[set[Edge]]:
    """For every atom its ``count`` shortest edges; tied with the last one (chains of 1e-6 Å): all, or lower j, S."""
    chosen = []
    for i in range(n_atoms):
        mine = sorted((length, edge) for edge, length in pairs.items() if edge[0] == i)
        shells: list[list[Edge]] = []
        before = -np.inf
        for length, edge in mine:
            if length - before > 1e-6:
                shells.append([])
            shells[-1].append(edge)
            before = length
        kept: list[Edge] = []
        for shell in shells:
            if len(kept) >= count:
                break
            kept += sorted(shell)
        chosen.append(set(kept if ties == "keep" else kept[:count]))
    return chosen
