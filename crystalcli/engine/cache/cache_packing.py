"""One graph in the narrow numbers of the cache, checked at the door, with its hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.nouns.arrays import GraphArrays
from crystalcli.vocabulary.errors import InputError

COUNTS: tuple[type[np.integer[Any]], ...] = (np.uint16, np.int32, np.int64)
"""Types for what is never negative, narrow first."""
SHIFTS: tuple[type[np.integer[Any]], ...] = (np.int8, np.int16, np.int32, np.int64)
"""Types for cell shifts, narrow first."""
_RANGES = {kind: (np.iinfo(kind).min, np.iinfo(kind).max) for kind in (*COUNTS, *SHIFTS)}


@dataclass(frozen=True)
class PackedGraph:
    """A graph as the cache stores it; arrays as in :mod:`crystalcli.engine.cache.cache`."""

    cell: NDArray[np.float64]
    pbc: NDArray[np.uint8]
    positions: NDArray[np.float64]
    atomic_numbers: NDArray[np.uint8]
    degree: NDArray[Any]
    neighbor: NDArray[Any]
    shift: NDArray[Any]
    fields: dict[str, NDArray[np.float64]]
    sha256: bytes
    graph_sha256: bytes


def narrow(values: NDArray[Any], types: tuple[type[np.integer[Any]], ...]) -> NDArray[Any]:
    """``values`` in the first of ``types`` that holds them all."""
    if not values.size:
        return values.astype(types[0])
    low, high = values.min(), values.max()
    for kind in types:
        least, most = _RANGES[kind]
        if least <= low and high <= most:
            return values.astype(kind)
    raise InputError(f"a number of the graph is too large: {max(-low, high)}")


def pack(graph: GraphArrays) -> PackedGraph:
    """Check and narrow ``graph``.

    Raises:
        InputError: what the featurizer made is not a graph: wrong shapes, edges not sorted by centre, an index that
            is no atom, an atom that is its own neighbor without a shift.
    """
    n, edges, shifts = graph.n_atoms, np.asarray(graph.edge_index), np.asarray(graph.cell_shifts)
    _check(graph, edges, shifts)
    degree = np.bincount(edges[0], minlength=n)
    packed_neighbor, packed_shift = narrow(edges[1], COUNTS), narrow(shifts, SHIFTS)
    return PackedGraph(
        cell=np.asarray(graph.cell, dtype=np.float64),
        pbc=np.asarray(graph.pbc).astype(np.uint8),
        positions=np.ascontiguousarray(graph.positions, dtype=np.float64),
        atomic_numbers=np.asarray(graph.atomic_numbers).astype(np.uint8),
        degree=narrow(degree, COUNTS),
        neighbor=packed_neighbor,
        shift=packed_shift,
        fields={k: np.asarray(v, dtype=np.float64) for k, v in graph.fields.items()},
        sha256=structure_hash(graph.atomic_numbers, graph.positions, graph.cell, graph.pbc),
        graph_sha256=graph_hash(degree, packed_neighbor, packed_shift),
    )


def structure_hash(numbers: NDArray[Any], positions: NDArray[Any], cell: NDArray[Any], pbc: NDArray[Any]) -> bytes:
    """sha256 of the numbers that make a structure: species (uint8), positions, cell (float64), pbc (uint8)."""
    return _hash((numbers, np.uint8), (positions, np.float64), (cell, np.float64), (pbc, np.uint8))


def graph_hash(degree: NDArray[Any], neighbor: NDArray[Any], shift: NDArray[Any]) -> bytes:
    """sha256 of the numbers that make the edges, as int32 (int64 shifts are cut)."""
    return _hash((degree, np.int32), (neighbor, np.int32), (shift, np.int32))


def _hash(*arrays: tuple[NDArray[Any], type[np.generic]]) -> bytes:
    h = hashlib.sha256()
    for values, kind in arrays:
        h.update(np.ascontiguousarray(values, dtype=kind).data)
    return h.digest()


def _check(graph: GraphArrays, edges: NDArray[Any], shifts: NDArray[Any]) -> None:
    n = graph.n_atoms
    for name, found, wanted in (
        ("positions", graph.positions.shape, (n, 3)),
        ("cell", graph.cell.shape, (3, 3)),
        ("pbc", graph.pbc.shape, (3,)),
        ("edge_index", edges.shape, (2, edges.shape[-1])),
        ("cell_shifts", shifts.shape, (edges.shape[-1], 3)),
    ):
        if found != wanted:
            raise InputError(f"the featurizer made {name} of shape {found}, expected {wanted}", code="bad-graph")
    if edges.size and (edges.min() < 0 or edges.max() >= n):
        raise InputError(f"the featurizer made an edge to atom {edges.max()} of {n}", code="bad-graph")
    centre, neighbor = edges
    if (centre[1:] < centre[:-1]).any():
        raise InputError("the featurizer made edges that are not sorted by centre", code="bad-graph")
    own = np.flatnonzero(centre == neighbor)
    if not shifts[own].any(axis=1).all():
        raise InputError("the featurizer made an atom its own neighbor", code="bad-graph")
    for name, values in graph.fields.items():
        if np.shape(values)[:1] != (n,):
            raise InputError(f"the featurizer made field {name} of shape {np.shape(values)} for {n} atoms")
