import numpy as np

from crystalcli.engine.data.leaks import Leak, shared_by_all
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
