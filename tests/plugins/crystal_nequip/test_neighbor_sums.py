"""Sums over neighbors: against a naive twin and e3nn, first and second derivatives, blocks of every size."""

from collections.abc import Iterator

import pytest
import torch
from crystal_nequip import blocks as blocks_module
from crystal_nequip.architecture import Interaction
from crystal_nequip.blocks import Blocks
from crystal_nequip.clebsch_gordan import coefficients
from crystal_nequip.options import NequipOptions
from crystal_nequip.paths import Paths
from crystal_nequip.sums import neighbor_sums
from reference.nequip import by_kind, messages, weights_of_paths
from torch import Tensor

from crystalcli.contracts.irreps import Irreps
from crystalcli.contracts.nn.harmonics import spherical_harmonics
from crystalcli.nouns.graph import CrystalGraph, collate, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals

CASES = {
    "natural": Paths(Irreps.parse("3x0e+2x1o+4x2e"), 2, ("0e", "1o", "2e"), False),
    "even": Paths(Irreps.parse("3x0e+2x1e+4x2e"), 2, ("0e", "1e", "2e"), True),
    "both": Paths(Irreps.parse("2x0e+1x0o+2x1o+3x1e"), 1, ("0e", "0o", "1o", "1e"), False),
    "order three": Paths(Irreps.parse("2x0e+1x1e+1x2e+2x3e"), 3, ("0e", "1e", "2e", "3e"), True),
    "first": Paths(Irreps.scalars(3), 2, ("0e", "1o", "2e"), False),
    "last": Paths(Irreps.parse("2x0e+2x1e+2x1o"), 1, ("0e",), False),
    "alone": Paths(Irreps.scalars(3), 2, ("0e",), False),
}


def graph(cutoff: float = 3.2) -> CrystalGraph:
    """Atoms with 0 … some dozen neighbors, many of them with different numbers."""
    some = (crystals.rattled(0), crystals.with_isolated(), crystals.slab(), crystals.isolated())
    return collate([build_graph(a, cutoff=cutoff) for a in some], torch.float64)


def inputs(g: CrystalGraph, paths: Paths, width: int = 5) -> list[torch.Tensor]:
    torch.manual_seed(0)
    vectors = edge_vectors(g)
    y = spherical_harmonics(vectors / vectors.norm(dim=1, keepdim=True), paths.l_max)
    shapes = ((g.n_edges, width), (width, paths.n_weights), (g.n_atoms, paths.source.dim))
    return [*(torch.randn(s, dtype=torch.float64) for s in shapes), y]


def interaction(paths: Paths) -> Interaction:
    """One that couples sums of ``paths``."""
    counts = {t.kind: t.count for t in paths.source.terms} | dict.fromkeys(paths.kinds, 1)
    options = NequipOptions(l_max=paths.l_max, parity="even" if paths.even else "full")
    return Interaction(paths.source, paths.kinds, counts, options, (8,), 1.0).double()


@pytest.mark.parametrize("case", CASES)
def test_sums_and_couplings_are_those_of_the_naive_twin(case: str) -> None:
    paths, g = CASES[case], graph()
    h, w, x, y = inputs(g, paths)
    found = interaction(paths)._products(neighbor_sums(h, w, x, y, paths, Blocks(g)))
    expected = messages(by_kind(x, paths.source), y, weights_of_paths(h @ w, paths), paths, g.edge_index, coefficients)
    assert found.keys() == expected.keys()
    for kind, value in expected.items():
        torch.testing.assert_close(found[kind], value, rtol=0, atol=1e-12 * float(value.abs().max()))


@pytest.mark.parametrize("case", ["natural", "even", "both"])
def test_products_are_those_of_e3nn(case: str) -> None:
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed: pip install 'crystal-graphs[dev]'")
    paths, g = CASES[case], graph()
    h, w, x, y = inputs(g, paths)
    terms = paths.source.terms
    out = [(source.count, kind) for source, _, kind in paths.by_source]
    instructions = [(terms.index(s), order, k, "uvu", True) for k, (s, order, _) in enumerate(paths.by_source)]
    letters = "eeee" if paths.even else "eoeo"
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # e3nn rounds its tables to it
    try:
        product = o3.TensorProduct(
            str(paths.source),
            "+".join(f"1x{k}{letters[k]}" for k in range(paths.l_max + 1)),
            o3.Irreps(out),
            instructions,
            shared_weights=False,
            internal_weights=False,
        )
    finally:
        torch.set_default_dtype(before)
    rows = torch.cat([v.mT.flatten(1) for v in by_kind(x, paths.source).values()], 1)  # channel by channel
    weights = torch.cat(weights_of_paths(h @ w, paths), 1)
    messages_ = product(rows[g.edge_index[1]], y, weights)
    summed = torch.zeros(g.n_atoms, messages_.shape[1], dtype=torch.float64).index_add(0, g.edge_index[0], messages_)
    found = interaction(paths)._products(neighbor_sums(h, w, x, y, paths, Blocks(g)))
    begin, parts = 0, {k: [] for k in paths.products.kinds}
    for (count, kind), _ in zip(out, instructions, strict=True):
        size = 2 * int(kind[:-1]) + 1
        parts[kind].append(summed[:, begin : begin + count * size].view(-1, count, size).mT)
        begin += count * size
    for kind, value in parts.items():
        whole = torch.cat(value, 2)
        torch.testing.assert_close(found[kind], whole, rtol=0, atol=1e-12 * float(whole.abs().max()))


def naive_sums(paths: Paths, g: CrystalGraph, h: Tensor, w: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
    """The same with every product of every edge written out, for autograd to differentiate."""
    weights, found = h @ w, []
    for order in paths.orders:
        columns = []
        for group in (p for p in paths.groups if p.order == order):
            shape = (1, group.source.size, group.source.count)
            near = x[:, group.source.start : group.source.columns.stop].view(len(x), *shape)[g.edge_index[1]]
            of_paths = weights[:, group.weights : group.weights + group.n_weights].view(len(h), group.n, 1, shape[2])
            columns.append((near * of_paths).flatten(1))
        products = y[:, order**2 : (order + 1) ** 2].unsqueeze(2) * torch.cat(columns, 1).unsqueeze(1)
        found.append(products.new_zeros(len(x), *products.shape[1:]).index_add(0, g.edge_index[0], products))
    return found


@pytest.fixture
def unwritten_is_nan() -> Iterator[None]:
    """Memory that nobody has written to is no number."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("unwritten_is_nan")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("numbers", [1, 30_000, 10_000_000])
@pytest.mark.parametrize("of", [(0, 2, 3), (0, 1, 2, 3), (1,)])
def test_derivatives(case: str, numbers: int, of: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """First and second, of blocks of one atom, of some, of all; the second of some of the first."""
    monkeypatch.setattr(blocks_module, "BLOCK_NUMBERS", numbers)
    paths, g = CASES[case], graph()
    given = [t.requires_grad_() for t in inputs(g, paths)]
    found = []
    for sums in (neighbor_sums(*given, paths, Blocks(g)), naive_sums(paths, g, *given)):
        generator = torch.Generator().manual_seed(1)
        c = [torch.randn(s.shape, generator=generator, dtype=s.dtype) for s in sums]
        whole = sum((a * b).sum() + (a * a * b).sum() for a, b in zip(sums, c, strict=True))
        first = torch.autograd.grad(whole, given, create_graph=True)
        c = [torch.randn(f.shape, generator=generator, dtype=f.dtype) for f in first]
        second = torch.autograd.grad(sum((first[k] * c[k]).sum() for k in of), given)
        found.append([*sums, *first, *second])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * float(b.detach().abs().max()))


def test_the_same_bits_whatever_else_is_worked_on() -> None:
    paths, g = CASES["natural"], graph()
    given = [t.requires_grad_() for t in inputs(g, paths)]
    one, two = Blocks(g), Blocks(g)

    def all_of_it(made: Blocks) -> list[torch.Tensor]:
        sums = neighbor_sums(*given, paths, made)
        first = torch.autograd.grad(sum(s.square().sum() for s in sums), given, create_graph=True)
        return [*sums, *first, *torch.autograd.grad(sum(f.square().sum() for f in first), given)]

    found = [all_of_it(one), all_of_it(one), all_of_it(two)]
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_what_is_no_number_stays_in_its_structure() -> None:
    """Atoms of all structures share blocks, whose empty places belong to none of their neighbors."""
    paths, g = CASES["natural"], graph()
    h, w, x, y = inputs(g, paths)
    bad = g.structure_index == 0
    found = []
    for value in (1.0, torch.nan):
        moved, turned = (t.clone().requires_grad_() for t in (x, y))
        with torch.no_grad():
            moved[bad] *= value
        sums = neighbor_sums(h, w, moved, turned, paths, Blocks(g))
        d_x, d_y = torch.autograd.grad(sum(s.square().sum() for s in sums), (moved, turned))
        found.append([*(s[~bad] for s in sums), d_x[~bad], d_y[~bad[g.edge_index[0]]]])
    assert not any(bool(t.isnan().any()) for t in found[0])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
