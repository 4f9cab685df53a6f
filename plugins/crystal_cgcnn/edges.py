"""Edges of the featurizers ``cgcnn`` and ``symmetry`` (nearest neighbors) and ``radius`` (all). Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import ase
import numpy as np

from crystal_cgcnn.options import KnnOptions, RadiusOptions, SymmetryOptions
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.orbits import ORBIT, orbits


def build_nearest(options: KnnOptions) -> Callable[[ase.Atoms], GraphArrays]:
    """Return the function that builds one graph of the nearest neighbors."""

    def one(atoms: ase.Atoms) -> GraphArrays:
        return build_graph(atoms, cutoff=options.cutoff, max_neighbors=options.max_neighbors, ties=options.ties)

    return one


def build_symmetry(options: SymmetryOptions) -> Callable[[ase.Atoms], GraphArrays]:
    """Return the function that builds one graph of the nearest neighbors, with the field ``orbit``."""
    nearest = build_nearest(options)

    def one(atoms: ase.Atoms) -> GraphArrays:
        graph = nearest(atoms)
        return replace(graph, fields={**graph.fields, ORBIT: orbits(atoms, options.symprec).astype(np.float64)})

    return one


def build_radius(options: RadiusOptions) -> Callable[[ase.Atoms], GraphArrays]:
    """Return the function that builds one graph of all neighbors within the cutoff."""

    def one(atoms: ase.Atoms) -> GraphArrays:
        return build_graph(atoms, cutoff=options.cutoff)

    return one
