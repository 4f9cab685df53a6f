"""Statistics of the training split that parts may know: neighbor counts, elements, mean and scale of each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Statistics
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.graph import edge_lengths
from crystalcli.nouns.images import minimum_image
from crystalcli.nouns.magnitudes import largest

ALMOST_CONSTANT = 1e-12
"""Times the largest label: what varies less than this is rounding."""
STILL = 1e-6
"""Å: positions that are moved by less are the same."""
BLOCK = 64
"""Structures whose distances are looked at together."""


def target_statistics(
    dataset: GraphDataset,
    targets: Sequence[str],
    train_index: NDArray[np.int64],
    baseline_values: Mapping[str, NDArray[np.float64]] | None = None,
) -> Statistics:
    """Statistics of structures ``train_index``; of the residual for targets with a baseline.

    Means and scales of a total are per atom: a head with extensive values multiplies with the number of atoms, and one
    with intensive ones has them by :meth:`Statistics.normaliser`. Vectors
    and tensors have mean 0 and the root mean square of a component as scale; positions that of a component of what the
    atoms are moved by.

    Args:
        dataset: where the structures and labels are.
        targets: labels to be learned; classes get mean 0 and scale 1.
        train_index: the training split; nothing else is looked at.
        baseline_values: values of the baselines for *all* structures of ``dataset``, by target.
    """
    baseline_values = baseline_values or {}
    atoms, edges = dataset.atom_counts(), dataset.edge_counts()
    mean, scale = {}, {}
    for name in targets:
        mean[name], scale[name] = _mean_and_scale(dataset, name, train_index, baseline_values.get(name))
    sizes = np.unique(atoms[train_index])
    return Statistics(
        mean_neighbors=float(edges[train_index].sum() / max(atoms[train_index].sum(), 1)),
        elements=tuple(dataset.elements(train_index)),
        target_mean=mean,
        target_scale=scale,
        residual=tuple(n for n in targets if n in baseline_values),
        atoms=int(sizes[0]) if len(sizes) == 1 else 0,
    )


def _mean_and_scale(
    dataset: GraphDataset, name: str, index: NDArray[np.int64], baseline_values: NDArray[np.float64] | None
) -> tuple[float, float]:
    column = dataset.columns[name]
    if column.quantity.classes:
        return 0.0, 1.0
    if column.quantity.meaning == "position":
        return 0.0, _moved(dataset, name, index)
    vector = column.quantity.shape != ()
    if column.quantity.level == "site":
        pointers = np.concatenate([[0], np.cumsum(dataset.atom_counts())])
        index = np.concatenate([np.arange(pointers[i], pointers[i + 1]) for i in index])
    index = index[column.mask[index]]
    values = column.values[index] if baseline_values is None else column.values[index] - baseline_values[index]
    total = column.quantity.extensive and column.quantity.level == "structure"
    atoms = dataset.atom_counts()[index] if total else 1.0
    values = values / atoms
    if len(values) == 0:
        return 0.0, 1.0
    # a vector has no preferred direction: its mean is zero, its scale the root mean square of a component
    mean = 0.0 if vector else float(values.mean())
    scale = float(np.sqrt(np.mean(np.square(values)))) if vector else float(values.std())
    return mean, scale if scale > ALMOST_CONSTANT * largest(column.values[index] / atoms) else 1.0


def _moved(dataset: GraphDataset, name: str, index: NDArray[np.int64]) -> float:
    """Root mean square of a component of what positions ``name`` are moved by from those of the structures, Å."""
    squares, n = 0.0, 0
    for start in range(0, len(index), BLOCK):
        batch = dataset.batch(index[start : start + BLOCK], [name], dtype=torch.float64)
        label = batch.labels[name]
        moved = minimum_image(batch.graph, label.value - batch.graph.positions)[label.mask]
        squares, n = squares + float(moved.square().sum()), n + moved.numel()
    scale = float(np.sqrt(squares / n)) if n else 1.0
    return scale if scale > STILL else 1.0


def with_references(
    statistics: Statistics,
    dataset: GraphDataset,
    train_index: NDArray[np.int64],
    held: Statistics | None = None,
    explained: NDArray[np.float64] | None = None,
) -> Statistics:
    """Add energies of atoms to ``statistics``: those of isolated atoms, else least squares on the counts of elements.

    Every structure counts per atom; where compositions do not fix the answer (always Al₂O₃) the smallest one is taken.
    Mean and scale of ``energy`` become those of what is left. Without labels ``energy`` all references are zero.

    Args:
        statistics: of the training part.
        dataset: where it is.
        train_index: its structures.
        held: of a model that is trained on: its references and its mean stay, those of further elements are fitted to
            what they leave.
        explained: of every structure of ``dataset``, what a network that goes on gives beside references and mean, eV;
            they are fitted to what it leaves.
    """
    elements = list(statistics.elements)
    column = dataset.columns.get("energy")
    here = train_index if column is None else train_index[column.mask[train_index]]
    stay = dict(zip(held.elements, held.references, strict=True)) if held and held.references else {}
    references = np.array([stay.get(z, 0.0) for z in elements])
    if column is None or "energy" not in statistics.target_mean or not len(here):
        return replace(statistics, references=tuple(references.tolist()))
    atoms = dataset.atom_counts()
    owner = np.repeat(np.arange(len(dataset)), atoms)
    counts = np.zeros((len(dataset), 120))
    np.add.at(counts, (owner, dataset.atomic_numbers()), 1.0)
    shares = counts[here][:, elements] / atoms[here, None]
    values = column.values if explained is None else column.values - explained
    per_atom = values[here] / atoms[here]
    pinned = {} if stay else isolated_atoms(dataset, here, explained)
    references += np.array([pinned.get(z, 0.0) for z in elements])
    free = np.array([z not in stay and z not in pinned for z in elements])
    bound = (atoms[here] > 1) | (dataset.edge_counts()[here] > 0)
    if not bound.any():
        bound[:] = True
    shares, per_atom = shares[bound], per_atom[bound]
    # beside pinned elements the others have, as those do, a reference without the energy that binds all
    binding = np.ones((len(shares), 1 if pinned else 0))
    left = per_atom - shares @ references - (held.target_mean.get("energy", 0.0) if held and stay else 0.0)
    # the shortest of all solutions is one; it is kept in the model
    references[free] = np.linalg.lstsq(np.hstack([shares[:, free], binding]), left, rcond=1e-8)[0][: free.sum()]
    left = per_atom - shares @ references
    scale = float(left.std())
    return replace(
        statistics,
        references=tuple(references.tolist()),
        target_mean={**statistics.target_mean, "energy": float(left.mean())},
        target_scale={
            **statistics.target_scale,
            "energy": scale if scale > ALMOST_CONSTANT * largest(per_atom) else 1.0,
        },
    )


def isolated_atoms(
    dataset: GraphDataset, index: NDArray[np.int64], explained: NDArray[np.float64] | None = None
) -> dict[int, float]:
    """``energy`` of each element, eV, of which ``index`` has an atom without neighbors; the lowest one.

    Less what is ``explained`` by something else, eV for every structure.
    """
    column = dataset.columns["energy"]
    alone = (dataset.atom_counts()[index] == 1) & (dataset.edge_counts()[index] == 0) & column.mask[index]
    found: dict[int, float] = {}
    for k in index[alone]:
        z, energy = dataset.elements(np.array([k]))[0], float(column.values[k])
        found[z] = min(energy - (0.0 if explained is None else float(explained[k])), found.get(z, np.inf))
    return found


def with_force_per_area(statistics: Statistics, dataset: GraphDataset, train_index: NDArray[np.int64]) -> Statistics:
    """Measure ``pressure`` against the root mean square force on the area of an atom, ``F (N/V)^(2/3)``.

    Its own deviation says nothing of what an error counts: in a run in one box it is a hundred times smaller.
    """
    scale = statistics.target_scale
    if "pressure" not in scale or "forces" not in scale:
        return statistics
    blocks = (train_index[k : k + BLOCK] for k in range(0, len(train_index), BLOCK))
    box = sum(float(torch.linalg.det(dataset.batch(b).graph.cell.double()).abs().sum()) for b in blocks)
    if box == 0.0:
        return statistics
    density = dataset.atom_counts()[train_index].sum() / box
    return replace(statistics, target_scale={**scale, "pressure": scale["forces"] * float(density) ** (2 / 3)})


def with_shortest(statistics: Statistics, dataset: GraphDataset, train_index: NDArray[np.int64]) -> Statistics:
    """Add the shortest edge of every pair of elements in the training split, and the length that no edge exceeds."""
    shortest = torch.full((120 * 120,), torch.inf, dtype=torch.float64)
    for start in range(0, len(train_index), BLOCK):
        graph = dataset.batch(train_index[start : start + BLOCK], dtype=torch.float64).graph
        zi, zj = (graph.atomic_numbers.index_select(0, end) for end in graph.edge_index)
        pair = torch.minimum(zi, zj) * 120 + torch.maximum(zi, zj)
        shortest.scatter_reduce_(0, pair, edge_lengths(graph), "amin")
    found = torch.isfinite(shortest).nonzero().flatten().tolist()
    nearest = tuple((k // 120, k % 120, float(shortest[k])) for k in found)
    return replace(statistics, shortest=nearest, cutoff=_cutoff(dataset))


def _cutoff(dataset: GraphDataset) -> float:
    """Å, how far edges go at most; 0 where the featurizer's options do not say."""
    part = registry().get("featurizer", dataset.recipe.featurizer)
    return float(getattr(opt.make(part.options, dataset.recipe.options, owner=part.name), "cutoff", 0.0))
