"""The table of Clebsch–Gordan coefficients: made by its script, equal to e3nn's, and equivariant."""

import importlib.util
from importlib.resources import files
from itertools import product
from pathlib import Path

import pytest
import torch
from crystal_nequip.clebsch_gordan import coefficients

from crystalcli.contracts.irreps import Irreps
from crystalcli.testing.rotations import representation, rotation

TRIANGLES = [t for t in product(range(4), repeat=3) if abs(t[0] - t[1]) <= t[2] <= t[0] + t[1]]


def test_the_script_makes_the_table() -> None:
    path = Path(str(files("crystal_nequip"))) / "make_clebsch_gordan.py"
    spec = importlib.util.spec_from_file_location("make_clebsch_gordan", path)
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.table() == path.with_name("clebsch_gordan.txt").read_text(encoding="utf-8")


def test_coefficients_are_those_of_e3nn() -> None:
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed: pip install 'crystal-graphs[dev]'")
    for triangle in TRIANGLES:
        expected = o3.wigner_3j(*triangle, dtype=torch.float64)
        torch.testing.assert_close(coefficients(*triangle), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("triangle", TRIANGLES)
def test_products_turn_as_their_factors(triangle: tuple[int, int, int]) -> None:
    d1, d2, d3 = (representation(Irreps.parse(f"{k}e"), rotation(4)) for k in triangle)
    c = coefficients(*triangle)
    torch.testing.assert_close(torch.einsum("ijk,ia,jb,kc->abc", c, d1, d2, d3), c, rtol=0, atol=1e-12)
    assert abs(float(c.square().sum()) - 1) < 1e-14


def test_orders_beyond_the_table_are_refused() -> None:
    with pytest.raises(KeyError):
        coefficients(0, 1, 2)
