"""What the heads make of an embedding: both ways of an edge, likelihood of lengths, errors, units."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from crystal_dogss import POSITIONS, SPRINGS, STRAIN
from crystal_dogss.head import Relaxed, SpringsHead, both_ways
from crystal_dogss.moved import error_vectors, nearest
from crystal_dogss.options import SpringsOptions
from crystal_dogss.springs import Springs

from crystalcli.contracts.irreps import EmbeddingShape, Irreps
from crystalcli.contracts.modules import Embedding, Labels
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, collate, edge_lengths, edge_vectors, with_edges
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.embeddings import with_fields
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

SHAPE = EmbeddingShape(Irreps.parse("4x0e"), 2)
UNIT = Statistics(target_scale={POSITIONS.name: 0.1})


def batch(of: int = 1) -> CrystalGraph:
    return collate([with_fields(build_graph(crystals.rattled(), cutoff=3.0), ("fixed",))] * of, torch.float64)


def known(graph: CrystalGraph, shift: float = 0.0) -> Labels:
    return Labels(graph.positions + shift, torch.ones(graph.n_atoms, dtype=torch.bool))


def test_both_ways_of_an_edge_are_the_same_edge() -> None:
    graph = batch()
    length = edge_lengths(graph)
    torch.testing.assert_close(both_ways(graph, length), length)
    assert float(both_ways(graph, edge_vectors(graph)[:, 0]).abs().max()) < 1e-12  # the way back has the other sign


def test_the_likelihood_of_lengths_is_best_at_the_stiffness_of_their_scatter() -> None:
    graph = batch()
    head = SpringsHead(SpringsOptions(lengths=1.0), SHAPE, (POSITIONS,), UNIT).double()
    degree = graph.row_pointers.diff().index_select(0, graph.edge_index[0])

    def value(kappa: float) -> float:
        springs = Springs.of(graph, kappa / degree.double(), edge_lengths(graph) + 0.05, "harmonic")
        return float(head._likelihood(springs, graph, {"relaxed_positions": known(graph)}))

    low, best, high = (value(k) for k in (2.0, 4.0, 8.0))  # 1/(0.05/0.1)² = 4
    assert best < min(low, high)


def test_a_shift_of_all_atoms_is_no_error_but_beside_a_held_one_it_is() -> None:
    graph = batch(2)
    n = graph.n_atoms // 2
    fixed = torch.zeros(graph.n_atoms).double()
    fixed[0] = 1.0
    graph = replace(graph, fields={"fixed": fixed})
    error = error_vectors(graph, graph.positions, known(graph, 0.2))
    torch.testing.assert_close(error[1:n], torch.full((n - 1, 3), -0.2).double())
    assert float(error[0].abs().max()) == 0.0
    assert float(error[n:].abs().max()) < 1e-12


def test_a_crystal_that_moved_by_half_its_cell_is_compared_beside_that() -> None:
    large = with_fields(build_graph(crystals.rattled().repeat((2, 2, 1)), cutoff=3.0), ("fixed",))
    graph = collate([large] * 2, torch.float64)
    n = graph.n_atoms // 2
    graph = replace(graph, fields={"fixed": torch.zeros(graph.n_atoms).double()})
    rattle = 0.1 * torch.randn(graph.n_atoms, 3, generator=torch.Generator().manual_seed(0)).double()
    far = graph.cell[1, 0].double() * torch.tensor([[0.3], [-0.25]])  # from each other by more than half of the cell
    rattle[[n, n + 1]] += far
    half = 0.5 * graph.cell[1].double().sum(0)  # atoms fall on either side
    shift = torch.cat([torch.zeros(n, 3).double(), half.expand(n, 3)])
    labels = Labels(graph.positions + rattle + shift, torch.ones(graph.n_atoms, dtype=torch.bool))
    error = error_vectors(graph, graph.positions, labels)
    expected = -torch.cat([r - r.mean(0) for r in rattle.split(n)])
    torch.testing.assert_close(error, expected, atol=1e-12, rtol=0)
    apart = nearest(graph, labels) - graph.positions - shift
    for part, true in zip(apart.split(n), rattle.split(n), strict=True):
        torch.testing.assert_close(part - part.mean(0), true - true.mean(0), atol=1e-12, rtol=0)


def test_errors_of_the_strain_alone_are_not_those_of_positions() -> None:
    head = SPRINGS.build(SpringsOptions(), SHAPE, (POSITIONS, STRAIN), UNIT)
    assert head.errors({STRAIN.name: None}, {STRAIN.name: None}, batch()) == {}  # type: ignore[dict-item]


@pytest.mark.parametrize("gradient", ["implicit", "truncated"])
def test_the_way_is_learned_from_where_it_is_remembered(gradient: str) -> None:
    with pytest.raises(UsageError, match=f"--gradient {gradient} knows the end only; use unrolled"):
        SpringsHead(SpringsOptions(path=True, gradient=gradient), SHAPE, (POSITIONS,), UNIT)  # type: ignore[arg-type]


def test_all_steps_are_learned_from_where_cells_relax_or_the_way_counts() -> None:
    def way(targets: tuple[Quantity, ...], **options: Any) -> str:
        return SPRINGS.build(SpringsOptions(**options), SHAPE, targets, UNIT).options.gradient

    assert way((POSITIONS,)) == "implicit"
    assert way((POSITIONS, STRAIN)) == way((POSITIONS,), path=True) == "unrolled"
    assert way((POSITIONS, STRAIN), gradient="truncated") == "truncated"
    with pytest.raises(UsageError, match="alone is nothing to learn"):
        way((STRAIN,))


def test_a_round_begins_where_the_last_one_led_and_learns_from_its_own_end() -> None:
    graph = batch()
    held = torch.zeros(graph.n_atoms).double()
    held[0] = 1.0
    graph = replace(graph, fields={"fixed": held})
    one, two = (springs_head(outer_rounds=r) for r in (1, 2))
    two.load_state_dict(one.state_dict())
    first = one(graph, lengths_embedded(graph))[POSITIONS.name]
    moved = replace(graph, positions=first.value.detach())
    second = one(moved, lengths_embedded(moved))[POSITIONS.name]
    both = two(graph, lengths_embedded(graph))[POSITIONS.name]
    assert float((first.value - graph.positions).detach().abs().max()) > 1e-3
    assert float((second.value - first.value).detach().abs().max()) > 1e-3
    torch.testing.assert_close(both.value, second.value)
    assert isinstance(both, Relaxed)
    label = {POSITIONS.name: known(graph, 0.01)}
    torch.testing.assert_close(
        two.loss({POSITIONS.name: both}, label, graph, "l1"),
        one.loss({POSITIONS.name: first}, label, graph, "l1") + one.loss({POSITIONS.name: second}, label, graph, "l1"),
    )
    surface = two.surface(graph, lengths_embedded(graph))
    places = both.value.detach().requires_grad_()
    (slope,) = torch.autograd.grad(surface(replace(graph, positions=places)).sum(), places)
    assert float((slope * (1 - graph.fields["fixed"])[:, None]).abs().max()) < 1e-4  # its minimum is the prediction


def test_rounds_are_refused_where_cells_relax() -> None:
    with pytest.raises(UsageError, match="--outer-rounds 2 is for atoms in a cell that stays"):
        SPRINGS.build(SpringsOptions(outer_rounds=2), SHAPE, (POSITIONS, STRAIN), UNIT)


def test_no_derivative_goes_from_a_round_to_the_one_before() -> None:
    graph = batch()
    found = springs_head(outer_rounds=2)(graph, lengths_embedded(graph))[POSITIONS.name]
    assert isinstance(found, Relaxed)
    rests = [springs.rest for springs, _ in found.rounds]
    first, second = torch.autograd.grad(found.value.sum(), rests, allow_unused=True)
    assert first is None
    assert second is not None


def test_the_likelihood_of_lengths_counts_as_much_as_is_asked_for() -> None:
    graph = batch()
    label = {POSITIONS.name: known(graph, 0.01)}

    def loss(weight: float) -> torch.Tensor:
        head = springs_head(lengths=weight)
        return head.loss(head(graph, lengths_embedded(graph)), label, graph, "l1")

    bare, half, whole = (loss(w).detach() for w in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half, 0.5 * (bare + whole))
    assert abs(float(whole - bare)) > 1e-3


def test_sigma_of_an_atom_is_the_scatter_of_its_edges() -> None:
    graph = with_one_held(batch())
    head = springs_head(lengths=0.1)
    found = head(graph, lengths_embedded(graph))[POSITIONS.name]
    assert isinstance(found, Relaxed)
    assert found.sigma is not None
    springs = found.rounds[-1][0]
    degree = graph.row_pointers.diff()
    variances: list[list[float]] = [[] for _ in range(graph.n_atoms)]
    for i, j, k in zip(*(t.tolist() for t in (springs.centre, springs.neighbor, springs.stiffness)), strict=True):
        for end in (i, j):
            variances[end].append(0.1**2 / (k * int(degree[i])))
    expected = torch.tensor([(0.5 * sum(v) / len(v)) ** 0.5 for v in variances]).double()
    expected[0] = 0.0  # held
    torch.testing.assert_close(found.sigma, expected[:, None].expand(-1, 3))
    assert springs_head()(graph, lengths_embedded(graph))[POSITIONS.name].sigma is None


def with_one_held(graph: CrystalGraph) -> CrystalGraph:
    """The first atom is held, and its edges are known from one end only: the degrees of atoms differ."""
    fixed = torch.zeros(graph.n_atoms).double()
    fixed[0] = 1.0
    return replace(with_edges(graph, graph.edge_index[0].nonzero().flatten()), fields={"fixed": fixed})


def lengths_embedded(graph: CrystalGraph) -> Embedding:
    """An embedding that knows where the atoms are."""
    length = edge_lengths(graph).double()
    nodes = torch.nn.functional.one_hot(graph.atomic_numbers % 4, 4).double()
    return Embedding(nodes, torch.stack([length, length.square()], 1), again=lengths_embedded)


def springs_head(**options: Any) -> SpringsHead:
    torch.manual_seed(3)
    wished = SpringsOptions(hidden=8, max_steps=600, tolerance=1e-7, gradient="unrolled", **options)
    head = SpringsHead(wished, SHAPE, (POSITIONS,), UNIT).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return head


@pytest.mark.parametrize("raw", [-60.0, 300.0])
def test_springs_do_not_drift_away_together(raw: float) -> None:
    """A common factor of all k moves no minimum: no loss of positions would ever bring it back."""
    graph = batch(2)
    made = springs_head()
    label = {POSITIONS.name: known(graph, 0.01)}
    near = made.loss(made(graph, lengths_embedded(graph)), label, graph, "l1")
    springs = made.springs(graph, lengths_embedded(graph))
    assert float(made._drift(springs, graph).detach()) == 0.0
    with torch.no_grad():
        made.stiffness[-1].bias.add_(raw)
    far = made.loss(made(graph, lengths_embedded(graph)), label, graph, "l1")
    assert float((far - near).detach()) > 0.001
    made.zero_grad()
    far.backward()
    slope = float(made.stiffness[-1].bias.grad)
    assert slope * raw > 0, f"the loss pulls the wrong way: {slope}"


def test_more_steps_at_least_than_at_most_are_refused() -> None:
    with pytest.raises(UsageError, match="--min-steps 200 is more than --max-steps 150"):
        SpringsOptions(min_steps=200)
    assert SpringsOptions(max_steps=5).max_steps == 5  # the least that nobody asked for gives way
