"""Distances that training never had look hardly shorter than the shortest it had, smoothly."""

import ase
import numpy as np
import torch
from crystal_cgcnn.featurizer import SPAN, HeldLengths

from crystalcli.nouns.graph import collate, edge_lengths
from crystalcli.nouns.neighbors import build_graph


def seen(r: float, symbols: str = "AlO") -> float:
    graph = collate([build_graph(ase.Atoms(symbols, [[0, 0, 0], [r, 0, 0]]), cutoff=5.0)], torch.float64)
    return float(HeldLengths([(8, 13, 1.7)]).double()(graph, edge_lengths(graph))[0])


def test_known_distances_are_left_alone_and_others_are_held() -> None:
    for r in (1.7, 1.9, 4.0):
        assert abs(seen(r) - r) < 1e-6
    assert 1.7 - SPAN < seen(0.3) < seen(1.5) < seen(1.65) < 1.7
    assert seen(0.3, "Al2") == 0.3  # no neighbors in training: nothing to hold on to


def test_value_slope_and_curvature_are_continuous() -> None:
    h = 1e-3
    r = 1.7 + h * np.arange(-3, 4)
    values = np.array([seen(x) for x in r])
    slope, curvature = np.diff(values) / h, np.diff(values, 2) / h**2
    assert np.abs(slope - 1.0).max() < 2e-3
    assert np.abs(curvature).max() < 1.0
