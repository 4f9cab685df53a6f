"""Desks that a thread keeps: the same numbers as on new ones, whatever lay on them, and not one for all threads."""

from concurrent.futures import ThreadPoolExecutor

import ase.build
import pytest
import torch
from crystal_nequip import blocks
from crystal_nequip.blocks import Blocks, Workplace
from crystal_nequip.paths import Paths
from crystal_nequip.sums import neighbor_sums
from torch import Tensor

from crystalcli.contracts.irreps import Irreps
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph

PATHS = Paths(Irreps.parse("3x0e+2x1o"), 1, ("0e", "1o"), False)


@pytest.fixture(autouse=True)
def _no_desks() -> None:
    blocks.KEPT.workplace = Workplace()


def graph(seed: int, repeat: int = 2) -> CrystalGraph:
    atoms = ase.build.bulk("Cu", "fcc", a=3.6, cubic=True) * (repeat, 1, 1)
    atoms.rattle(0.2, seed=seed)
    return collate([build_graph(atoms, cutoff=4.0)])


def gradients(g: CrystalGraph, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Of a loss of the sums, twice."""
    rng = torch.Generator().manual_seed(3)
    sizes = ((g.n_edges, 5), (5, PATHS.n_weights), (g.n_atoms, PATHS.source.dim), (g.n_edges, 4))
    given = [torch.randn(s, generator=rng, dtype=dtype).requires_grad_() for s in sizes]
    value = sum(s.pow(2).sum() for s in neighbor_sums(*given, PATHS, Blocks(g)))
    first = torch.autograd.grad(value, given, create_graph=True)
    return list(torch.autograd.grad(sum(f.pow(2).sum() for f in first), given))


def test_used_desks_are_as_good_as_new_ones() -> None:
    fresh = gradients(graph(1))
    for other in (graph(2), graph(3, repeat=3)):
        gradients(other)
        gradients(other, torch.float32)
    kept = len(blocks.KEPT.workplace.desks)
    again = gradients(graph(1))
    assert kept == len(blocks.KEPT.workplace.desks)  # none was made for it
    assert all(torch.equal(a, b) for a, b in zip(fresh, again, strict=True))


def test_they_do_not_become_ever_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "DESKS", 4)
    expected = [gradients(graph(seed)) for seed in range(4)]
    for seed in range(4):
        assert len(blocks.KEPT.workplace.desks) <= 5
        assert all(torch.equal(a, b) for a, b in zip(expected[seed], gradients(graph(seed)), strict=True))


def test_a_larger_block_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One atom alone may need more than blocks do, and more than the memory that is kept has."""
    dimer = collate([build_graph(ase.Atoms("Cu2", [[0, 0, 0], [2.3, 0.1, 0.2]]), cutoff=4.0)])
    expected = [gradients(g) for g in (graph(1), dimer)]
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 10)
    blocks.KEPT.workplace = Workplace()
    for g, known in ((dimer, expected[1]), (graph(1), expected[0]), (dimer, expected[1])):
        assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(known, gradients(g), strict=True))


def test_threads_have_desks_of_their_own() -> None:
    graphs = [graph(seed, repeat=1 + seed % 3) for seed in range(6)]
    expected = [gradients(g) for g in graphs]
    with ThreadPoolExecutor(max_workers=3) as pool:
        for _ in range(5):
            for a, b in zip(expected, pool.map(gradients, graphs), strict=True):
                assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
