"""What the test part of a split shares with the training part and should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import Split
from crystalcli.nouns.graph import CrystalGraph, edge_lengths


@dataclass(frozen=True)
class Leak:
    """Something that two parts share.

    Args:
        kind: structure, copy, formula or run.
        parts: the two.
        n: structures of the second part that are touched.
        example: one of them, by id.
    """

    kind: str
    parts: tuple[str, str]
    n: int
    example: str

    def line(self) -> str:
        """One line for people."""
        a, b = self.parts
        what = {
            "structure": f"are exact copies of {a} structures",
            "copy": f"look like rotated, permuted or repeated copies of {a} structures",
            "formula": f"have the formula of a {a} structure",
            "run": f"come from a run that {a} structures come from too",
        }[self.kind]
        return f"{self.n} {b} structures {what} (e.g. {self.example})"

    def to_json(self) -> dict[str, object]:
        """Plain dictionary."""
        return {"kind": self.kind, "parts": list(self.parts), "n": self.n, "example": self.example}


def shared_by_all(found: Sequence[Leak], split: Split) -> list[str]:
    """Kinds, formula or run, that all structures of every two parts share: no surprise, but worth one line."""
    sizes = {name: len(part) for name, part in split.parts().items()}
    pairs = sum(1 for _ in combinations([n for n, size in sizes.items() if size], 2))
    return [k for k in ("formula", "run") if pairs == sum(x.kind == k and x.n == sizes[x.parts[1]] for x in found)]


def find(split: Split, ids: Sequence[str], keys: dict[str, NDArray[np.int64]]) -> list[Leak]:
    """Leaks of every kind between every two parts.

    Args:
        split: the split.
        ids: names of all structures.
        keys: by kind (structure, copy, formula, run) a number of every structure; equal numbers are the same thing.
    """
    found = []
    for kind, key in keys.items():
        for (a, first), (b, second) in combinations(split.parts().items(), 2):
            shared = second[np.isin(key[second], key[first])]
            if len(shared):
                found.append(Leak(kind, (a, b), len(shared), ids[int(shared[0])]))
    return found


def shapes(data: GraphDataset, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for every structure, equal for crystals that differ by rotation, order of atoms or repetition only.

    Compared are reduced formula, volume per atom, the first three moments of the edge lengths, to 1e-6 Å, and two
    moments of a number of each atom for which element stands how far from which: it tells apart what lies on one
    lattice in another order. They are equal for equal crystals; that two others agree by chance is very unlikely.
    Structures not in ``index`` stand alone.

    Args:
        data: where the structures are, S of them.
        index: those to look at.
    """
    found = np.full((len(data), 7), np.nan)
    found[:, 0] = numbered(data.formulas())
    for k in range(0, len(index), 512):
        part = index[k : k + 512]
        graph = data.batch(part, dtype=torch.float64).graph
        owner = graph.structure_index[graph.edge_index[0]].numpy()
        length = edge_lengths(graph).numpy()
        count = np.maximum(np.bincount(owner, minlength=len(part)), 1)
        volume = np.abs(torch.linalg.det(graph.cell).numpy()) ** (1 / 3)
        atoms = graph.atom_counts.numpy() ** (1 / 3)
        moments = [(np.bincount(owner, length**p, len(part)) / count) ** (1 / p) for p in (1, 2, 3)]
        around = _surroundings(graph, length)
        atom_of, n_atoms = graph.structure_index.numpy(), graph.atom_counts.numpy()
        ordered = [(np.bincount(atom_of, around**p, len(part)) / n_atoms) ** (1 / p) for p in (1, 2)]
        found[part, 1:] = np.stack([volume / atoms, *moments, *ordered], axis=1)
    rows = np.round(found / TOLERANCE) + 0.0
    rows[np.isnan(found).any(1), 0] = -1 - np.flatnonzero(np.isnan(found).any(1))
    return numbered(np.nan_to_num(rows).view(np.uint8))


TOLERANCE, SHELL, ROUNDS = 1e-6, 1e-3, 4
"""Å, Å, edges: lengths that differ by less are equal; of one atom they are one shell; how far an order is looked at."""


def _surroundings(graph: CrystalGraph, length: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) a number for the elements and distances around each atom, as far as :data:`ROUNDS` edges lead."""
    center, other = graph.edge_index.numpy()
    whole = _whole_shells(center, length, graph.n_atoms)
    center, other, length = center[whole], other[whole], length[whole]
    count = np.maximum(np.bincount(center, minlength=graph.n_atoms), 1)
    element = np.sqrt(graph.atomic_numbers.numpy() + 0.5)
    found = element
    for _ in range(ROUNDS):
        found = np.sqrt(element * (1.0 + np.bincount(center, found[other] * length, graph.n_atoms) / count))
    return found


def _whole_shells(center: NDArray[np.int64], length: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    """Edges but those of the last shell of their atom, of which some may be cut, by the order of atoms.

    Of an atom that has no other shell, all.
    """
    last = np.zeros(n)
    np.maximum.at(last, center, length)
    inner = length < last[center] - SHELL
    return inner | ~np.isin(center, center[inner])


def numbered(texts: Sequence[str] | NDArray[np.uint8] | NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for every text, number or row of bytes, equal where they are equal."""
    rows = np.asarray(texts)
    if rows.ndim == 2:
        rows = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()
        known: dict[bytes, int] = {}
        return np.array([known.setdefault(r.tobytes(), len(known)) for r in rows], dtype=np.int64)
    inverse: NDArray[np.int64] = np.unique(rows, return_inverse=True)[1]
    return inverse
