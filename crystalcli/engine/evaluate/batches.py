"""Structures on their way to the model: out of caches, into batches, and predictions cut apart again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts.modules import Prediction
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.structures.site_fields import put_back

MOST_EDGES = 400_000
"""A batch is closed when its graphs have this many edges, however few they are."""


@dataclass(frozen=True)
class Known:
    """One structure ready for the model."""

    id: str
    source: str
    atoms: ase.Atoms
    graph: GraphArrays
    labels: Mapping[str, Any]


def from_cache(data: GraphDataset, index: NDArray[np.int64], columns: Mapping[str, Column]) -> Iterator[Known]:
    """Structures of a cache as they would come from files; ``columns`` are the labels by target."""
    batch = data.batch(index, dtype=torch.float64)
    places = data.atoms_of(index)
    g = batch.graph
    atoms = np.concatenate([[0], np.cumsum(g.atom_counts.numpy())])
    edges = g.row_pointers.numpy()[atoms]
    sources = data.sources
    for k, i in enumerate(index.tolist()):
        a, b, e, f = atoms[k], atoms[k + 1], edges[k], edges[k + 1]
        graph = GraphArrays(
            positions=g.positions.numpy()[a:b],
            cell=g.cell.numpy()[k],
            pbc=g.pbc.numpy()[k],
            atomic_numbers=g.atomic_numbers.numpy()[a:b],
            edge_index=g.edge_index.numpy()[:, e:f] - a,
            cell_shifts=g.cell_shifts.numpy()[e:f].astype(np.int64),
            fields={n: v.numpy()[a:b] for n, v in g.fields.items()},
        )
        made = ase.Atoms(graph.atomic_numbers, graph.positions, cell=graph.cell, pbc=graph.pbc)
        put_back(made, graph.fields)
        found = {name: _label(column, i, places[a:b]) for name, column in columns.items()}
        labels = {name: value for name, value in found.items() if value is not None}
        yield Known(data.ids[i], sources[i], made, graph, labels)


def _label(column: Column, structure: int, sites: NDArray[np.int64]) -> Any:
    """The label of a structure, or of its ``sites``, NaN where one is missing; none where all are."""
    index: Any = sites if column.quantity.level == "site" else structure
    mask, value = np.asarray(column.mask[index]), np.asarray(column.values[index], dtype=np.float64)
    if not mask.any():
        return None
    value = np.where(mask[(..., *[None] * (value.ndim - mask.ndim))], value, np.nan)
    return value if value.ndim else float(value)


def batches(items: Sequence[Known], size: int) -> Iterator[list[Known]]:
    """Cut into batches of at most ``size`` structures and about :data:`MOST_EDGES` edges."""
    batch: list[Known] = []
    edges = 0
    for item in items:
        if batch and (len(batch) == size or edges + item.graph.n_edges > MOST_EDGES):
            yield batch
            batch, edges = [], 0
        batch.append(item)
        edges += item.graph.n_edges
    if batch:
        yield batch


UNCERTAINTIES = {"sigma": "sigma", "aleatoric": "sigma_a", "epistemic": "sigma_e"}
"""What a prediction may know of its uncertainty, and what users call it."""


def pieces(prediction: Prediction, graph: CrystalGraph) -> tuple[list[Any], dict[str, list[Any]]]:
    """Values of every structure, and by name the uncertainties that there are."""

    def cut(t: torch.Tensor) -> list[Any]:
        array = t.cpu().numpy().astype(np.float64)
        if prediction.quantity.level == "site":
            return np.split(array, np.cumsum(graph.atom_counts.cpu().numpy())[:-1])
        return list(array)

    known = {said: getattr(prediction, name) for name, said in UNCERTAINTIES.items()}
    for level, width in prediction.half_widths.items():
        known[f"low_{percent(level)}"] = prediction.value - width
        known[f"high_{percent(level)}"] = prediction.value + width
    return cut(prediction.value), {said: cut(t) for said, t in known.items() if t is not None}


def percent(level: str) -> str:
    """``"0.9"`` as ``90``."""
    return f"{100 * float(level):g}"
