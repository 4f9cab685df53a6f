"""The 92 element features: spot values of the released table, its known twins, its generator."""

import importlib.util
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from crystal_cgcnn.elements import FixedElements, LearnedElements, load_table

from crystalcli.vocabulary.errors import UsageError

SPOT = {
    1: {1, 19, 30, 36, 46, 64, 73, 78, 86},
    2: {18, 19, 36, 47, 67, 78, 88},
    6: {14, 20, 31, 38, 49, 63, 74, 79, 82},
    8: {16, 20, 34, 37, 51, 64, 74, 79, 86},
    13: {13, 21, 29, 40, 48, 60, 73, 79, 84},
    26: {8, 22, 29, 40, 53, 61, 72, 80, 83},
    57: {0, 24, 27, 42, 47, 60, 73, 81, 87},
    79: {11, 24, 31, 40, 56, 62, 75, 80, 84},
    92: {0, 25, 29, 42, 47, 60, 81, 85},
}
ON_AN_EDGE = {64: 27, 14: 29, 29: 29, 75: 29, 80: 29, 83: 29, 25: 29, 54: 32}
"""Atomic number → index of its electronegativity, where the value lies on the edge of two bins."""


@pytest.mark.parametrize("z", SPOT)
def test_spot_values(z: int) -> None:
    assert set(torch.nonzero(load_table()[z]).flatten().tolist()) == SPOT[z]


def test_values_on_edges() -> None:
    table = load_table()
    for z, index in ON_AN_EDGE.items():
        assert table[z, 26:36].nonzero().flatten().tolist() == [index - 26], z
    assert table[89, 68:78].nonzero().flatten().tolist() == [5]  # Ac, electron affinity 0.35


def test_shape_and_twins() -> None:
    """100 elements; each has one group, period, radius, valence, ionisation energy and block; known equal vectors."""
    table = load_table()
    assert table.shape == (119, 92)
    assert table[0].sum() == 0
    assert table[101:].sum() == 0
    for low, high in ((0, 19), (19, 26), (36, 46), (46, 58), (58, 68), (78, 82)):
        assert (table[1:101, low:high].sum(1) == 1).all()
    for low, high in ((26, 36), (68, 78), (82, 92)):
        assert (table[1:101, low:high].sum(1) <= 1).all()
    twins = [(57, 58), (62, 64), (67, 68), (90, 93), (95, 96), (97, 98), (98, 99), (99, 100)]
    assert all(torch.equal(table[a], table[b]) for a, b in twins)
    assert len(torch.unique(table[1:101], dim=0)) == 100 - len(twins)


@pytest.mark.slow
def test_the_generator_makes_the_table() -> None:
    pytest.importorskip("mendeleev", reason="the element data are needed to make the table again")
    path = Path(str(files("crystal_cgcnn"))) / "make_element_table.py"
    spec = importlib.util.spec_from_file_location("make_element_table", path)
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.table() == path.with_name("elements92.txt").read_text(encoding="utf-8")


def test_elements_without_features_are_named() -> None:
    with pytest.raises(UsageError, match=r"Md, Rf.*--atom-features learned"):
        FixedElements()(torch.tensor([8, 104, 101, 104]))
    assert LearnedElements()(torch.tensor([8, 104])).shape == (2, 92)
