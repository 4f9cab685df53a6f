"""The gated sum against a naive twin, and its first and second derivatives in float64: with and without an envelope."""

import numpy as np
import pytest
import torch
from reference import force_field as twin

from crystalcli.contracts.nn import edge_blocks
from crystalcli.contracts.nn import gate_sum as kernel
from crystalcli.contracts.nn.edge_blocks import Gates, stable_order
from crystalcli.contracts.nn.edge_plan import EdgePlan, plan_of_edges
from crystalcli.contracts.nn.gate_sum import gate_sum
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals

SIZES = (3, 5, 2, 4)
"""Atoms of the structures; the last atom of each has no edges of its own."""


def edges(per_structure: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, EdgePlan]:
    """Edges sorted by centre, within structures, and their plan."""
    rng, first, centres, neighbors = np.random.default_rng(seed), 0, [], []
    for n in SIZES:
        centres.append(first + np.sort(rng.integers(0, n - 1, per_structure)))
        neighbors.append(first + rng.integers(0, n, per_structure))
        first += n
    i, j = np.concatenate(centres), np.concatenate(neighbors)
    pointers = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=first))])
    atoms = np.cumsum(SIZES)
    ends = np.stack([atoms, atoms, *[pointers[atoms]] * 3]).T
    gates = Gates(i, j, None, None, pointers, ends)
    return i, j, EdgePlan(None, gates, first, len(i), spread=None, make_sums=None)


def inputs(n_edges: int, f: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    shapes = [(sum(SIZES), 4 * f), (n_edges, 2 * f)]
    made = [2 * torch.randn(s, generator=rng, dtype=dtype) for s in shapes]
    return [t.requires_grad_() for t in [*made, torch.rand(n_edges, generator=rng, dtype=dtype)]]


def by_twin(values: list[torch.Tensor], i: np.ndarray, j: np.ndarray) -> torch.Tensor:
    return twin.gated_messages(*values, torch.from_numpy(i), torch.from_numpy(j))


@pytest.mark.parametrize("most", [1, 25, 3072])
def test_sums_are_those_of_the_twin(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_blocks, "BLOCK_GATES", most)
    i, j, plan = edges(11)
    assert len(plan.blocks) == {1: 4, 25: 2, 3072: 1}[most]
    ab, rows, envelope = values = inputs(44, 3)
    found = gate_sum(ab, rows, plan, envelope)
    torch.testing.assert_close(found, by_twin(values, i, j), rtol=1e-12, atol=1e-12)
    assert found[[2, 7, 9, 13]].abs().max() == 0.0
    ones = torch.ones(44, dtype=torch.float64)
    torch.testing.assert_close(gate_sum(ab, rows, plan), by_twin([ab, rows, ones], i, j), rtol=1e-12, atol=1e-12)


def test_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_blocks, "BLOCK_GATES", 9)
    monkeypatch.setattr(kernel, "STRETCH", 3)
    _, _, plan = edges(4)
    assert len(plan.blocks) == 2
    values = inputs(16, 2)

    def summed(ab: torch.Tensor, rows: torch.Tensor, envelope: torch.Tensor) -> torch.Tensor:
        return gate_sum(ab, rows, plan, envelope)

    assert torch.autograd.gradcheck(summed, values)
    assert torch.autograd.gradgradcheck(summed, values)


def second_derivatives(
    plan: EdgePlan, leaves: list[torch.Tensor], i: np.ndarray, j: np.ndarray, *, ours: bool
) -> list[torch.Tensor]:
    """Gradients of a function of the gradients, of a plan with a basis and gates that are shared."""
    ab, w = leaves
    if ours:
        out = gate_sum(ab, w, plan)
    else:
        rows = plan.basis[torch.from_numpy(plan.gates.distance[plan.gates.gate])] @ w
        out = by_twin([ab, rows, torch.ones(len(rows), dtype=rows.dtype)], i, j)
    first = torch.autograd.grad(out.square().sum(), leaves, create_graph=True)
    (first[0].sin().sum() + first[1].square().sum() + out.sum()).backward()
    found = [*first, *(leaf.grad for leaf in leaves)]
    for leaf in leaves:
        leaf.grad = None
    return found


def test_gates_that_edges_share_and_a_basis_have_both_derivatives() -> None:
    """Every edge of a structure comes twice, with one gate; distances are products of a basis and weights."""
    i, j, single = edges(5)
    twice = np.repeat(np.arange(len(i)), 2)
    pointers, ends = 2 * single.gates.pointers, single.gates.ends.copy()
    ends[:, 4] *= 2
    gates = Gates(i, j, np.arange(len(i)), twice, pointers, ends)
    basis = torch.randn(len(i), 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    plan = EdgePlan(basis, gates, single.n_atoms, len(twice), spread=None, make_sums=None)
    rng = torch.Generator().manual_seed(6)
    leaves = [torch.randn(s, generator=rng, dtype=torch.float64, requires_grad=True) for s in ((14, 8), (3, 4))]
    found = second_derivatives(plan, leaves, i[twice], j[twice], ours=True)
    expected = second_derivatives(plan, leaves, i[twice], j[twice], ours=False)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_single_precision_and_large_sums() -> None:
    i, j, plan = edges(6)
    ab, rows, envelope = inputs(24, 2, torch.float32)
    large = (ab.detach() * 8).requires_grad_()
    expected = by_twin([large.detach(), rows.detach(), envelope.detach()], i, j)
    torch.testing.assert_close(gate_sum(large, rows, plan, envelope).detach(), expected, rtol=1e-5, atol=1e-5)
    huge = (ab.detach() * 1000).requires_grad_()
    (gradient,) = torch.autograd.grad(gate_sum(huge, rows, plan, envelope).sum(), huge, create_graph=True)
    gradient.square().sum().backward()
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(huge.grad).all()


def test_memory_that_was_given_back_is_not_read_again() -> None:
    """Without an envelope the backward pass runs once, unless it is to be differentiated."""
    _, _, plan = edges(6)
    ab, rows, _ = inputs(24, 2)
    out = gate_sum(ab, rows, plan).sum()
    out.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once per forward"):
        out.backward()
    out = gate_sum(ab, rows, plan).sum()
    (first,) = torch.autograd.grad(out, ab, create_graph=True)
    (again,) = torch.autograd.grad(out, ab, retain_graph=True)
    assert torch.equal(first, again)
    (second,) = torch.autograd.grad(first.square().sum(), ab)
    assert torch.isfinite(second).all()


def test_plan_of_a_graph() -> None:
    graph = collate([build_graph(a, cutoff=3.5) for a in crystals.all_crystals()], torch.float64)
    plan = plan_of_edges(graph)
    assert (plan.n_atoms, plan.n_edges, plan.n_gates) == (graph.n_atoms, graph.n_edges, graph.n_edges)
    rng = torch.Generator().manual_seed(0)
    shapes = (graph.n_atoms, 8), (graph.n_edges, 4), (graph.n_edges,)
    values = [torch.randn(s, generator=rng, dtype=torch.float64) for s in shapes]
    expected = twin.gated_messages(*values, *graph.edge_index)
    torch.testing.assert_close(gate_sum(values[0], values[1], plan, values[2]), expected, rtol=1e-12, atol=1e-12)
    alone = collate([build_graph(crystals.one_atom(), cutoff=0.5)])
    assert plan_of_edges(alone) is None


@pytest.mark.parametrize("bound", [7, 1 << 16, (1 << 16) + 1, 1 << 20])
def test_orders_are_stable(bound: int) -> None:
    values = np.random.default_rng(0).integers(0, bound, 5000).astype(np.int32)
    values[:3] = bound - 1
    np.testing.assert_array_equal(stable_order(values, bound), np.argsort(values, kind="stable"))
