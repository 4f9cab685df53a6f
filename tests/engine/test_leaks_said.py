from pathlib import Path

import ase.build
import numpy as np
import pytest
from common import small_cache

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.leaks import Leak, shapes, shared_by_all
from crystalcli.engine.data.splits import Split

SPLIT = Split(np.arange(6), np.arange(6, 8), np.arange(8, 10), "by hand")
PAIRS = (("train", "val", 2), ("train", "test", 2), ("val", "test", 2))


def test_what_every_structure_of_every_part_shares_is_one_thing() -> None:
    formulas = [Leak("formula", (a, b), n, "x") for a, b, n in PAIRS]
    assert shared_by_all(formulas, SPLIT) == ["formula"]
    assert shared_by_all([*formulas, *(Leak("run", (a, b), n, "x") for a, b, n in PAIRS)], SPLIT) == ["formula", "run"]


def test_one_structure_less_or_one_pair_less_is_a_leak_of_its_own() -> None:
    assert shared_by_all([Leak("run", (a, b), 1, "x") for a, b, n in PAIRS], SPLIT) == []
    assert shared_by_all([Leak("run", (a, b), n, "x") for a, b, n in PAIRS[:2]], SPLIT) == []
    assert shared_by_all([Leak("copy", (a, b), n, "x") for a, b, n in PAIRS], SPLIT) == []


@pytest.mark.parametrize("neighbors", [12, 16])
@pytest.mark.parametrize(("lattice", "cells"), [("fcc", 2), ("bcc", 3)])
def test_other_orders_on_one_lattice_are_no_copies(lattice: str, cells: int, neighbors: int, tmp_path: Path) -> None:
    """Turned and permuted they are, though the last shell is cut by the order of atoms (the second of bcc has 6)."""
    order = ase.build.bulk("Cu", lattice, a=3.6, cubic=True) * (cells, cells, cells)
    rng = np.random.default_rng(0)
    made = []
    for _ in range(6):
        order.numbers = rng.permutation(np.repeat([29, 47], len(order) // 2))
        made.append(order.copy())
    copies = [a[rng.permutation(len(a))] for a in made]
    for a in copies:
        a.rotate(31, (1, 2, 3), rotate_cell=True)
    options: dict[str, object] = {**small_cache.OPTIONS, "cutoff": 5.0, "max_neighbors": neighbors}
    cache = small_cache.write(tmp_path / "g.h5", structures=[*made, *copies], options=options)
    found = shapes(GraphDataset.open([cache]), np.arange(12)).tolist()
    assert found[:6] == found[6:]
    assert len(set(found)) == 6
