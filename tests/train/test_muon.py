"""Optimiser muon beside torch's own, beside AdamW, and through a checkpoint."""

import copy

import pytest
import torch
from torch import Tensor, nn

from crystalcli.contracts.records import Recipe
from crystalcli.engine.run.checkpoint import optimizer_tensors, restore_optimizer
from crystalcli.train.muon import Muon, hidden_matrices, orthogonalized
from crystalcli.train.optimizers import make_optimizer

RECIPE = Recipe(optimizer="muon", lr=0.01, weight_decay=0.2)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(7, 12), nn.LayerNorm(12), nn.Linear(12, 5, bias=False), nn.Linear(5, 12), nn.Linear(12, 1)
    )


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for k in steps:
        torch.manual_seed(k)
        optimizer.zero_grad()
        model(torch.randn(6, 7)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(3, 9, 4), (2, 4, 9), (1, 6, 6)])
def test_orthogonalized_keeps_singular_vectors_and_makes_singular_values_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(1)
    m = torch.randn(shape, dtype=torch.float64)
    left, _, right = torch.linalg.svd(m, full_matrices=False)
    values = left.mT @ orthogonalized(m) @ right.mT
    found = torch.diagonal(values, dim1=-2, dim2=-1)
    assert (values - torch.diag_embed(found)).abs().max() < 1e-12
    assert found.min() > 0.6
    assert found.max() < 1.3


def test_zeros_stay_zeros() -> None:
    assert orthogonalized(torch.zeros(2, 3, 4)).abs().max() == 0


def test_hidden_are_matrices_between_layers() -> None:
    model = nn.ModuleDict({"a": nn.Linear(3, 4), "out": nn.Linear(4, 1), "table": nn.Embedding(5, 3)})
    assert hidden_matrices(model) == {"a.weight"}
    assert hidden_matrices(nn.Linear(2, 2)) == {"weight"}


def test_steps_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.Tensor, "bfloat16", lambda self: self
    )  # whose rounding small singular values do not survive
    ours, theirs = network(), network()
    hidden = hidden_matrices(ours)
    assert hidden == {"0.weight", "2.weight", "3.weight"}
    named = dict(theirs.named_parameters())
    muon = torch.optim.Muon(
        [named[n] for n in sorted(hidden)], lr=0.01, weight_decay=0.2, adjust_lr_fn="match_rms_adamw"
    )
    adamw = torch.optim.AdamW([p for n, p in named.items() if n not in hidden], lr=0.01, weight_decay=0.2)
    mine = make_optimizer(ours, RECIPE, 0.9)
    start = copy.deepcopy(dict(ours.named_parameters()))
    for k in range(8):
        for model, optimizers in ((ours, [mine]), (theirs, [muon, adamw])):
            torch.manual_seed(k)
            model.zero_grad()
            model(torch.randn(6, 7)).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
    for name, p in ours.named_parameters():
        gone = (named[name] - start[name]).abs().max()
        assert (p - named[name]).abs().max() < 1e-4 * gone, name


def test_other_weights_step_by_adamw() -> None:
    model, twin = network(), network()
    for m in (model, twin):
        for n, p in m.named_parameters():
            p.requires_grad_(n not in hidden_matrices(m))
    learn(model, make_optimizer(model, RECIPE, 0.9), range(5))
    learn(twin, torch.optim.AdamW([p for p in twin.parameters() if p.requires_grad], 0.01, weight_decay=0.2), range(5))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_a_rate_of_its_own_for_some_weights() -> None:
    model = network()
    optimizer = make_optimizer(model, RECIPE, 0.9, {"2.weight": 0.0})
    before = copy.deepcopy(dict(model.named_parameters()))
    learn(model, optimizer, range(3))
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == set(before) - {"2.weight"}


def test_goes_on_from_its_state_with_the_same_bits() -> None:
    def states() -> tuple[nn.Module, torch.optim.Optimizer]:
        model = network()
        return model, make_optimizer(model, RECIPE, 0.9)

    whole, optimizer = states()
    learn(whole, optimizer, range(9))
    first, optimizer = states()
    learn(first, optimizer, range(4))
    kept: dict[str, Tensor] = {k: v.clone() for k, v in optimizer_tensors(optimizer).items()}
    second, again = states()
    second.load_state_dict(first.state_dict())
    restore_optimizer(again, kept)
    assert isinstance(again, Muon)
    learn(second, again, range(4, 9))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))
