"""Edges of the featurizers ``cgcnn`` (nearest neighbors) and ``radius`` (all neighbors). Loads no torch."""

from __future__ import annotations

from collections.abc import Callable

import ase

from crystal_cgcnn.options import KnnOptions, RadiusOptions
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.neighbors import build_graph


def build_nearest(options: KnnOptions) -> Callable[[ase.Atoms], GraphArrays]:
    """Return the function that builds one graph of the nearest neighbors."""

    def one(atoms: ase.Atoms) -> GraphArrays:
        return build_graph(atoms, cutoff=options.cutoff, max_neighbors=options.max_neighbors, ties=options.ties)

    return one


def build_radius(options: RadiusOptions) -> Callable[[ase.Atoms], GraphArrays]:
    """Return the function that builds one graph of all neighbors within the cutoff."""

    def one(atoms: ase.Atoms) -> GraphArrays:
        return build_graph(atoms, cutoff=options.cutoff)

    return one
