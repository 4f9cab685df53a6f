"""The gated sums of ``lcgcn-ff`` against a naive twin, and their first and second derivatives in float64."""

import pytest
import torch
from crystal_cgcnn import message_plan
from crystal_cgcnn.gated_messages import gated_messages
from reference import force_field as twin


def edges(n_atoms: int, n_edges: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Edges sorted by centre; the last atom has none."""
    rng = torch.Generator().manual_seed(seed)
    centre = torch.randint(0, n_atoms - 1, (n_edges,), generator=rng).sort().values
    return centre, torch.randint(0, n_atoms, (n_edges,), generator=rng)


def inputs(n_atoms: int, n_edges: int, f: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    shapes = [(n_atoms, 4 * f), (n_edges, 2 * f)]
    made = [2 * torch.randn(s, generator=rng, dtype=dtype) for s in shapes]
    return [t.requires_grad_() for t in [*made, torch.rand(n_edges, generator=rng, dtype=dtype)]]


@pytest.mark.parametrize("stretch", [1, 7, 1024])
def test_gated_messages_are_those_of_the_twin(stretch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_plan, "STRETCH", stretch)
    centre, neighbor = edges(6, 40)
    values = inputs(6, 40, 3)
    plan = message_plan.plan_messages(centre, neighbor, 6)
    assert sum(s.n_edges for s in plan.stretches) == 40
    found, expected = gated_messages(*values, plan), twin.gated_messages(*values, centre, neighbor)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found[-1].abs().max() == 0.0


def test_derivatives_of_gated_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_plan, "STRETCH", 7)
    centre, neighbor = edges(5, 17)
    plan = message_plan.plan_messages(centre, neighbor, 5)
    assert len(plan.stretches) > 1
    values = inputs(5, 17, 2)
    assert torch.autograd.gradcheck(lambda *v: gated_messages(*v, plan), values)
    assert torch.autograd.gradgradcheck(lambda *v: gated_messages(*v, plan), values)


def test_single_precision_and_large_sums() -> None:
    centre, neighbor = edges(4, 9)
    plan = message_plan.plan_messages(centre, neighbor, 4)
    addends, radial, envelope = inputs(4, 9, 2, torch.float32)
    large = (addends.detach() * 8).requires_grad_()
    expected = twin.gated_messages(large.detach(), radial.detach(), envelope.detach(), centre, neighbor)
    torch.testing.assert_close(gated_messages(large, radial, envelope, plan).detach(), expected, rtol=1e-5, atol=1e-5)
    huge = (addends.detach() * 1000).requires_grad_()
    (gradient,) = torch.autograd.grad(gated_messages(huge, radial, envelope, plan).sum(), huge, create_graph=True)
    gradient.square().sum().backward()
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(huge.grad).all()


def test_no_edges() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    plan = message_plan.plan_messages(none, none, 3)
    addends = torch.randn(3, 8, requires_grad=True)
    assert torch.equal(gated_messages(addends, torch.zeros(0, 4), torch.zeros(0), plan), torch.zeros(3, 2))
