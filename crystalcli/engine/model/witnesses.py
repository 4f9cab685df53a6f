"""Small crystals that any model of given elements can be asked about: low symmetry, close and far neighbors.

They are no materials. Whoever asks twice only wants the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import ase
import numpy as np
import torch
from ase.data import covalent_radii
from numpy.typing import NDArray

from crystalcli.contracts import options as opt
from crystalcli.engine.model.model_fields import fields_of
from crystalcli.engine.model.model_parts import parts
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.structures.site_fields import SiteField

MOST_ELEMENTS = 12
"""Elements asked about; of more an even choice."""
ATOMS = 4
"""Of each crystal, at most."""
NEAREST = (0.9, 1.0, 1.15)
"""Shortest distance of each crystal, of the shortest in training or the sum of the covalent radii: once near enough
for what holds atoms apart."""
MOST_EDGES = 3000
"""Of all crystals after the first, so that a large cutoff costs no more."""
Floats = NDArray[np.float64]
UNSAID = (8, 14, 29)
"""Elements of a model that does not know which it has seen."""

_CELL = np.array([[1.0, 0.07, -0.05], [0.11, 1.08, 0.04], [-0.03, 0.09, 0.93]])
_PLACES = np.array([[0.03, 0.07, 0.11], [0.52, 0.47, 0.08], [0.45, 0.09, 0.56], [0.08, 0.55, 0.49]])


def made_up(spec: ModelSpec) -> CrystalGraph:
    """Up to three crystals of elements that a model of ``spec`` has seen, with its edges; float64."""
    featurizer, _, head = parts(spec)
    build = featurizer.build(opt.make(featurizer.options, spec.graph.options, owner=f"featurizer {featurizer.name}"))
    names = head.inputs(opt.make(head.options, spec.head.options, owner=f"head {head.name}"))
    wanted = [SiteField.parse(f) for f in fields_of(spec)]
    found: list[Any] = []
    for atoms in crystals(spec.statistics.elements or UNSAID, spec.statistics.shortest):
        graph = build(atoms)
        if found and sum(g.n_edges for g in found) + graph.n_edges > MOST_EDGES:
            break
        given: dict[str, Floats] = {n: np.ones(graph.n_atoms) for n in names if n not in graph.fields}
        for k, f in enumerate(wanted):  # 0 and 1 in turn: what is fixed and what is free
            rows: Floats = np.where((np.arange(graph.n_atoms) + k) % 2 == 1, 1.0, 0.0)
            given[f.name] = rows if f.width == 1 else np.repeat(rows[:, None], f.width, axis=1)
        found.append(replace(graph, fields={**graph.fields, **given}))
    return collate(found, torch.float64)


def crystals(elements: Sequence[int], shortest: Sequence[tuple[int, int, float]] = ()) -> list[ase.Atoms]:
    """Crystals of three or four atoms, periodic, no two distances alike; one after the other less dense.

    Args:
        elements: atomic numbers.
        shortest: (Z, Z', Å) of the training, as far as it is known.
    """
    places = np.linspace(0, len(elements) - 1, min(len(elements), MOST_ELEMENTS)).round().astype(int)
    kinds = [elements[k] for k in places]
    groups = [kinds[k : k + ATOMS] for k in range(0, len(kinds), ATOMS)]
    if len(groups) == 1:
        groups.append(kinds[::-1])
    near = covalent_radii[:, None] + covalent_radii
    for a, b, distance in shortest:
        near[a, b] = near[b, a] = distance
    return [_crystal(g, share, near) for g, share in zip(groups, NEAREST, strict=False)]


def _crystal(kinds: Sequence[int], share: float, near: Floats) -> ase.Atoms:
    numbers = np.array([kinds[k % len(kinds)] for k in range(max(3, len(kinds)))])
    fractional = _PLACES[: len(numbers)]
    images = np.array(list(product((-1, 0, 1), repeat=3)))
    lengths = np.linalg.norm((fractional[:, None, None] - fractional[None, :, None] + images) @ _CELL, axis=3)
    shares = lengths / near[numbers[:, None], numbers][:, :, None]
    size = share / shares[shares > 0.0].min()
    return ase.Atoms(numbers, scaled_positions=fractional, cell=size * _CELL, pbc=True)
