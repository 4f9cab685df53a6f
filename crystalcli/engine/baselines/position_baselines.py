"""How far atoms like it moved along the normal of the surface: what training says of relaxed positions without a model.

Baseline (2) of a slab: atoms are alike by element, tag and layer.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.engine.baselines.site_baselines import BATCH, means_of_kinds
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import UsageError

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

APART = 1.0
"""Å; free atoms whose heights differ by more, with none between them, are of two levels."""
VACUUM = 6.0
"""Å; a structure that is periodic in three directions and as empty between its atoms along the third is a slab, too."""


@dataclass(frozen=True)
class Atoms:
    """The atoms of some structures where they start, structure by structure.

    Args:
        counts: (S,) atoms of every structure.
        numbers: (N,) atomic numbers.
        start: (N, 3) Å.
        free: (N,) which may move, as the field ``fixed`` says; all without it.
        tags: (N,) the field ``tags``, or none.
        normal: (S, 3) unit vector a×b, on the side to which the third axis points.
        height: (N,) Å along that vector; what a cell's boundary cuts off from a slab is put back.
        surface: (S,) whether a structure is periodic along the first two axes, and not along the third or with a vacuum
            of :data:`VACUUM` at least.
    """

    counts: Index
    numbers: Index
    start: Floats
    free: Mask
    tags: Floats | None
    normal: Floats
    height: Floats
    surface: Mask

    @property
    def owner(self) -> Index:
        """(N,) the structure of every atom."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def atoms_of(data: GraphDataset, index: Index) -> Atoms:
    """The atoms of structures ``index``, one at least."""
    parts = [_of(data.batch(index[k : k + BATCH], dtype=torch.float64).graph) for k in range(0, len(index), BATCH)]

    def together(name: str) -> Any:
        pieces = [getattr(p, name) for p in parts]
        return None if pieces[0] is None else np.concatenate(pieces)

    return Atoms(**{f.name: together(f.name) for f in fields(Atoms)})


def _of(graph: CrystalGraph) -> Atoms:
    pbc, given = graph.pbc.numpy(), {name: values.numpy() for name, values in graph.fields.items()}
    normal = _normals(graph.cell.numpy())
    height, surface = _heights(graph, normal)
    return Atoms(
        graph.atom_counts.numpy(),
        graph.atomic_numbers.numpy(),
        graph.positions.numpy(),
        given["fixed"] < 0.5 if "fixed" in given else np.ones(graph.n_atoms, dtype=bool),
        given.get("tags"),
        normal,
        height,
        pbc[:, 0] & pbc[:, 1] & surface,
    )


def _heights(graph: CrystalGraph, normal: Floats) -> tuple[Floats, Mask]:
    """Height of every atom, (N,) Å, and whether a structure ends along its third axis, (S,)."""
    owner, third = graph.structure_index.numpy(), graph.pbc[:, 2].numpy()
    height: Floats = (graph.positions.numpy() * normal[owner]).sum(1)
    ends = ~third
    period = (graph.cell.numpy()[:, 2] * normal).sum(1)
    pointers = np.concatenate([[0], np.cumsum(graph.atom_counts.numpy())])
    for k in np.flatnonzero(third & (period > VACUUM)):
        mine = slice(pointers[k], pointers[k + 1])
        within = np.mod(height[mine], period[k])
        order = np.sort(within)
        gaps = np.diff(order, append=order[0] + period[k])
        if gaps.max() >= VACUUM:
            lowest = order[(int(gaps.argmax()) + 1) % len(order)]
            # the lowest atoms may come out a rounding below 0, which is the top of the cell
            height[mine] = np.mod(within - lowest + 1e-9, period[k])
            ends[k] = True
    return height, ends


def layers(atoms: Atoms) -> Index:
    """How many levels of free atoms lie above every free atom of its structure, (N,); 0 for held ones."""
    height = atoms.height
    movable = np.flatnonzero(atoms.free)
    order = movable[np.lexsort((-height[movable], atoms.owner[movable]))]  # structure by structure, from the top
    owner = atoms.owner[order]
    another = np.diff(owner, prepend=-1) != 0
    below = ~another & (-np.diff(height[order], prepend=np.inf) > APART)
    number = np.cumsum(below)
    first = np.maximum.accumulate(np.where(another, np.arange(len(order)), 0))
    found = np.zeros(len(height), dtype=np.int64)
    found[order] = number - number[first]
    return found


def mean_displacements(train: Atoms, moved: Floats, known: Mask, asked: Atoms) -> Floats:
    """How far ``asked`` atoms move, (n, 3) Å: along the normal, the mean of the training atoms like each.

    Like is: the same element, tag and layer; where training has no such atom the same element and tag, then the same
    tag, then any; nothing where training knows of none. Held atoms stay, and so do structures without a surface.

    Args:
        train: atoms of the training part.
        moved: (N, 3) Å, their displacements.
        known: (N,) which have a label.
        asked: other atoms.

    Raises:
        UsageError: a training structure is no surface.
    """
    others = int((~train.surface).sum())
    if others:
        raise UsageError(
            "for surfaces only, periodic along the first two axes, and not along the third or with a vacuum of"
            f" {VACUUM:g} Å; {others} of {len(train.surface)} training structures are not"
        )
    along = (moved * train.normal[train.owner]).sum(1)[known]
    found = np.full(len(asked.numbers), along.mean() if len(along) else 0.0)
    of_train, of_asked = _likeness(train)[known], _likeness(asked)
    for columns in (1, 2, 3):  # from coarse to fine
        means_of_kinds(found, of_train[:, :columns], along, of_asked[:, :columns])
    found[~(asked.free & asked.surface[asked.owner])] = 0.0
    pushed: Floats = found[:, None] * asked.normal[asked.owner]
    return pushed


def _likeness(atoms: Atoms) -> Index:
    """Tag, element and layer of every atom, (N, 3)."""
    tags = np.zeros(len(atoms.numbers)) if atoms.tags is None else atoms.tags
    return np.stack([np.rint(tags).astype(np.int64), atoms.numbers, layers(atoms)], axis=1)


def _normals(cell: Floats) -> Floats:
    """Unit vectors normal to the first two axes of (S, 3, 3) cells; zero where those span no plane."""
    across = np.cross(cell[:, 0], cell[:, 1])
    upward = np.where((across * cell[:, 2]).sum(1) < 0, -1.0, 1.0)
    length = np.linalg.norm(across, axis=1)
    found: Floats = (upward / np.where(length > 0, length, 1.0))[:, None] * across
    return found
