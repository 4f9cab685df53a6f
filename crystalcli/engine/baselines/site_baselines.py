"""What the mean label of an element, or of an element with so many neighbors, says of sites; training labels only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.data import covalent_radii
from numpy.typing import NDArray

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.nouns.graph import edge_lengths

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

ELEMENT, COORDINATION = "element mean", "element and coordination mean"
BOND = 1.15
"""Neighbors nearer than this times the sum of the covalent radii are counted."""
BATCH = 256


@dataclass(frozen=True)
class Sites:
    """The sites of some structures, structure by structure.

    Args:
        numbers: (n,) atomic numbers. coordination: (n,) neighbors in bonding distance. value, mask: (n,) labels.
    """

    numbers: Index
    coordination: Index
    value: Floats
    mask: NDArray[np.bool_]


def sites_of(data: GraphDataset, index: Index, target: str) -> Sites:
    """Sites of structures ``index`` with their labels ``target``.

    Neighbors are counted among the edges of the graph: with the 12 nearest there are never more than 12.
    """
    numbers, coordination, values, masks = [], [], [], []
    for start in range(0, len(index), BATCH):
        batch = data.batch(index[start : start + BATCH], [target], torch.float64)
        graph, labels = batch.graph, batch.labels[target]
        z = graph.atomic_numbers.numpy()
        centre, neighbor = graph.edge_index.numpy()
        reach = BOND * (covalent_radii[z[centre]] + covalent_radii[z[neighbor]])
        near = edge_lengths(graph).numpy() < reach
        numbers.append(z)
        coordination.append(np.bincount(centre[near], minlength=len(z)))
        values.append(labels.value.numpy())
        masks.append(labels.mask.numpy())
    return Sites(*(np.concatenate(x) for x in (numbers, coordination, values, masks)))


def means(train: Sites, test: Sites, *, by_coordination: bool = False) -> Floats:
    """Mean label of the training sites like each test site, (n,).

    Like is: the same element, and the same coordination number if asked for; where training has no such site, the
    same element; where it has no such element, any site.
    """
    known = train.mask
    value = train.value[known]
    found = np.full(len(test.numbers), value.mean())
    keys = [(train.numbers[known], test.numbers)]
    if by_coordination:
        keys.append((train.numbers[known] * 1000 + train.coordination[known], test.numbers * 1000 + test.coordination))
    for of_train, of_test in keys:
        means_of_kinds(found, of_train, value, of_test)
    return found


def means_of_kinds(found: Floats, of_train: Index, value: Floats, of_test: Index) -> None:
    """Put into ``found``, (n,), the mean ``value`` of the training sites of the same kind, where there are any.

    Args:
        found: what is known so far.
        of_train: (m,) or (m, k) kinds of the training sites.
        value: (m,) their values.
        of_test: (n,) or (n, k) kinds of the others.
    """
    _, place = np.unique(np.concatenate([of_train, of_test]), axis=0, return_inverse=True)
    mine, theirs = np.split(place.ravel(), [len(of_train)])
    number = np.bincount(mine, minlength=place.max(initial=-1) + 1)
    total = np.bincount(mine, value, len(number))
    met = number[theirs] > 0
    found[met] = (total / np.maximum(number, 1))[theirs[met]]


def predictions(data: GraphDataset, target: str, train: Index, test: Index, *, paper_mode: bool) -> dict[str, Floats]:
    """Values (n,) of the baselines for the sites of structures ``test``, by name.

    With ``paper_mode`` the means are those of all labels, the test part's too, as in J. Karaguesian et al., Table 1.
    """
    known = sites_of(data, np.union1d(train, test) if paper_mode else train, target)
    asked = sites_of(data, test, target)
    return {ELEMENT: means(known, asked), COORDINATION: means(known, asked, by_coordination=True)}
