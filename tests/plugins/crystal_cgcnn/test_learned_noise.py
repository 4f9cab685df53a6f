"""A head that learns the noise of its labels: known noises are found, and where there is none nothing breaks."""

import math
from dataclasses import replace

import ase
import pytest
import torch
from crystal_cgcnn.head import SMALLEST_NOISE, CrystalHead
from crystal_cgcnn.options import CrystalHeadOptions
from torch import Tensor

from crystalcli.contracts.modules import Embedding, Labels
from crystalcli.contracts.nn.losses import masked_error, masked_noise_likelihood
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

GAP = Quantity("gap", "eV")
N = 3000


def atoms_alone(n: int) -> CrystalGraph:
    """``n`` crystals of one atom: the embedding of the atom is all that the head sees."""
    return collate([build_graph(ase.Atoms("H", cell=[9.0] * 3, pbc=True), cutoff=3.0)] * n, torch.float64)


def head(scale: float = 1.0, mean: float = 0.0, quantity: Quantity = GAP, **options: object) -> CrystalHead:
    torch.manual_seed(0)
    statistics = Statistics(12.0, (1,), {quantity.name: mean}, {quantity.name: scale})
    return CrystalHead(CrystalHeadOptions(noise="learned", hidden=32, **options), 2, (quantity,), statistics).double()


def data(kind: str) -> tuple[Embedding, Tensor, Tensor]:
    """Features, labels whose noise grows tenfold with the second feature, and the noise."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(N, 2, generator=generator, dtype=torch.float64) * 4.0 - 2.0
    sigma = 0.36 + 0.15 * x[:, 1]
    drawn = torch.randn(N, generator=generator, dtype=torch.float64)
    if kind == "l1":  # Laplace of variance 1
        flat = torch.rand(N, generator=generator, dtype=torch.float64) - 0.5
        drawn = -flat.sign() * torch.log1p(-2.0 * flat.abs()) / math.sqrt(2.0)
    return Embedding(x), 0.5 * x[:, 0] + sigma * drawn, sigma


def taught(kind: str, model: CrystalHead, embedding: Embedding, labels: Tensor, steps: int = 400) -> Tensor:
    """σ of every structure after training; refuses gradients that are not finite."""
    graph = atoms_alone(N)
    known = {GAP.name: Labels(labels, torch.ones(N, dtype=torch.bool))}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(model(graph, embedding), known, graph, kind).backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters())
        optimizer.step()
    found = model(graph, embedding)[GAP.name].sigma
    assert found is not None
    return found.detach()


@pytest.mark.parametrize("kind", ["l1", "mse"])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_noise_is_found_where_it_is(kind: str, beta: float) -> None:
    embedding, labels, sigma = data(kind)
    found = taught(kind, head(noise_beta=beta), embedding, labels)
    for low in (0.06, 0.21, 0.36, 0.51):
        inside = (sigma >= low) & (sigma < low + 0.15)  # some 750 labels, which know their noise to 3 %
        assert float(found[inside].mean()) == pytest.approx(float(sigma[inside].mean()), rel=0.15)


@pytest.mark.parametrize("kind", ["l1", "mse"])
def test_labels_without_noise_end_near_the_smallest(kind: str) -> None:
    embedding, _, _ = data(kind)
    exact = 0.3 * embedding.nodes[:, 0]
    found = taught(kind, head(), embedding, exact, steps=600)
    assert float(found.min()) >= SMALLEST_NOISE
    assert float(found.mean()) < 0.05


def test_sigma_is_in_the_unit_of_the_label() -> None:
    embedding, labels, _ = data("mse")
    one = taught("mse", head(), embedding, labels, steps=30)
    other = taught("mse", head(scale=1000.0, mean=7.0), embedding, 1000.0 * labels + 7.0, steps=30)
    torch.testing.assert_close(other, 1000.0 * one, rtol=1e-6, atol=0.0)


def test_a_total_of_twice_the_crystal_is_twice_as_uncertain() -> None:
    energy = Quantity("energy", "eV", extensive=True)
    model = head(quantity=energy, pool="sum", scale=2.0, mean=-3.0)
    with torch.no_grad():
        model.layers[-1].weight.normal_()
    single = ase.Atoms("H", cell=[9.0] * 3, pbc=True)
    graph = collate([build_graph(a, cutoff=3.0) for a in (single, single * (2, 1, 1))], torch.float64)
    found = model(graph, Embedding(torch.full((3, 2), 0.3, dtype=torch.float64)))["energy"]
    for values in (found.value, found.sigma):
        one, two = values.tolist()
        assert two == pytest.approx(2.0 * one)


@pytest.mark.parametrize("kind", ["l1", "mse"])
def test_missing_labels_and_weights(kind: str) -> None:
    value = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    sigma = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    labels = Labels(torch.tensor([0.0, torch.nan, 7.0]), torch.tensor([True, False, True]))
    unit = torch.tensor(2.0)
    loss = masked_noise_likelihood(value, sigma, labels, unit, kind, beta=1.0)
    loss.backward()
    assert value.grad is not None
    pull = value.grad.clone()
    assert pull[1] == 0.0 == sigma.grad[1]
    value.grad = None
    masked_error(value, labels, unit, kind).backward()
    # β = 1: noisy labels pull on the value as they do without a noise (the square here is halved)
    torch.testing.assert_close(pull, value.grad * (1.0 if kind == "l1" else 0.5))
    none = replace(labels, mask=torch.zeros(3, dtype=torch.bool))
    assert masked_noise_likelihood(value, sigma, none, unit, kind, beta=0.5).item() == 0.0


def test_what_has_no_noise_is_refused() -> None:
    with pytest.raises(UsageError, match="use --loss l1 or mse"):
        masked_noise_likelihood(
            torch.ones(1), torch.ones(1), Labels(torch.ones(1), torch.ones(1) > 0), torch.ones(()), "huber", beta=0.5
        )
    with pytest.raises(UsageError, match="probabilities"):
        head(quantity=Quantity("kind", classes=2))
