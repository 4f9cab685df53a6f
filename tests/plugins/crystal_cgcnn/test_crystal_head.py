"""Pooling, totals, classes: what the head does beyond its contract."""

import pytest
import torch
from crystal_cgcnn.head import CrystalHead
from crystal_cgcnn.options import CrystalHeadOptions

from crystalcli.contracts.modules import Embedding, Labels
from crystalcli.contracts.nn.basis import GaussianBasis, cosine, polynomial
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY = (Quantity("energy", "eV"),)


def batch(dim: int = 5):
    graph = collate([build_graph(a, cutoff=3.0) for a in crystals.all_crystals()], torch.float64)
    generator = torch.Generator().manual_seed(0)
    return graph, Embedding(torch.randn(graph.n_atoms, dim, generator=generator, dtype=torch.float64) - 3.0)


def head(pool: str, targets: tuple[Quantity, ...] = ENERGY, statistics: Statistics | None = None, **more: object):
    torch.manual_seed(0)
    return CrystalHead(CrystalHeadOptions(pool=pool, **more), 5, targets, statistics or Statistics()).double().eval()


def test_fcmax_with_the_identity_is_max() -> None:
    graph, embedding = batch()
    fcmax, plain = head("fcmax"), head("max")
    with torch.no_grad():
        fcmax.pool_map.weight.copy_(torch.eye(5))
        fcmax.pool_map.bias.zero_()
    assert torch.equal(fcmax.pooled(graph, embedding.nodes), plain.pooled(graph, embedding.nodes))


def test_pools_of_one_atom_and_of_negative_numbers() -> None:
    """The maximum of negative numbers is negative; of one atom every pool is the atom."""
    graph, embedding = batch()
    single = [k for k, n in enumerate(graph.atom_counts.tolist()) if n == 1]
    first = torch.cumsum(graph.atom_counts, 0) - graph.atom_counts
    for pool in ("average", "max"):
        pooled = head(pool).pooled(graph, embedding.nodes)
        torch.testing.assert_close(pooled[single], embedding.nodes[first[single]])
        for k, n in enumerate(graph.atom_counts.tolist()):
            mine = embedding.nodes[first[k] : first[k] + n]
            torch.testing.assert_close(pooled[k], mine.mean(0) if pool == "average" else mine.amax(0))


def test_the_smooth_maximum_is_between_mean_and_maximum() -> None:
    graph, embedding = batch()
    mean, largest = (head(pool).pooled(graph, embedding.nodes) for pool in ("average", "max"))
    several = (graph.atom_counts > 1).nonzero().squeeze(1)
    previous = mean
    for beta in (1e-6, 0.5, 2.0, 10.0, 1e6):
        pooled = head("smoothmax", pool_beta=beta).pooled(graph, embedding.nodes)
        assert (pooled >= previous - 1e-9).all()
        assert (pooled <= largest + 1e-9).all()
        previous = pooled
        if beta == 1e-6:
            torch.testing.assert_close(pooled, mean, rtol=0, atol=1e-4)
    torch.testing.assert_close(previous, largest, rtol=0, atol=1e-4)
    assert (largest[several] > mean[several]).all()


def test_the_smooth_maximum_can_be_differentiated_far_out() -> None:
    graph, embedding = batch()
    nodes = (1e4 * embedding.nodes).requires_grad_()
    (gradient,) = torch.autograd.grad(head("smoothmax").pooled(graph, nodes).sum(), nodes)
    assert torch.isfinite(gradient).all()
    torch.testing.assert_close(gradient.sum(), torch.tensor(5.0 * graph.n_structures, dtype=torch.float64))


def test_the_gradient_of_a_tied_maximum_is_shared() -> None:
    graph = collate([build_graph(crystals.rattled(), cutoff=3.0)], torch.float64)
    nodes = torch.zeros(5, 5, dtype=torch.float64, requires_grad=True)
    head("max").pooled(graph, nodes).sum().backward()
    assert nodes.grad is not None
    torch.testing.assert_close(nodes.grad, torch.full((5, 5), 0.2, dtype=torch.float64))


def test_two_crystals_add_with_the_sum() -> None:
    graph, embedding = batch()
    total = head("sum", (Quantity("energy", "eV", extensive=True),), Statistics(target_mean={"energy": -6.0}))
    whole = total(graph, embedding)["energy"].value.sum()
    joined = collate([build_graph(a, cutoff=3.0) for a in [sum_of(crystals.all_crystals())]], torch.float64)
    torch.testing.assert_close(total(joined, embedding)["energy"].value[0], whole)
    of_max = head("max")  # neither total nor per atom: far clusters do not add
    apart, counts = of_max(graph, embedding)["energy"].value, graph.atom_counts
    together = of_max(joined, embedding)["energy"].value[0]
    assert abs(together * counts.sum() - (apart * counts).sum()) > 0.1


@pytest.mark.parametrize("noise", ["none", "learned"])
@pytest.mark.parametrize("pool", ["average", "sum"])
def test_the_other_kind_of_target_of_crystals_of_one_size_is_as_the_right_kind(pool: str, noise: str) -> None:
    """A total under an average, and what is no total under a sum, are what the right kind is, times or over N."""
    same = [crystals.rattled(k) for k in range(4)]
    graph = collate([build_graph(a, cutoff=3.0) for a in same], torch.float64)
    nodes = Embedding(torch.randn(graph.n_atoms, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    n = len(same[0])
    known = Statistics(target_mean={"e": -6.0}, target_scale={"e": 0.1}, atoms=n)
    right, wrong = (Quantity("e", "eV", extensive=of == pool) for of in ("sum", "average"))
    times = n if pool == "average" else 1 / n
    pairs = []
    for target, factor in ((right, 1.0), (wrong, times)):
        module = head(pool, (target,), known, noise=noise)
        found = module(graph, nodes)
        true = factor * torch.linspace(-6.2, -5.8, 4, dtype=torch.float64) * (n if pool == "sum" else 1)
        labels = {"e": Labels(true, torch.ones(4, dtype=torch.bool))}
        pairs.append((found["e"], module.loss(found, labels, graph, "l1"), factor))
    (plain, loss, _), (other, other_loss, factor) = pairs
    torch.testing.assert_close(other.value, factor * plain.value)
    torch.testing.assert_close(other_loss, loss)
    if noise == "learned":
        torch.testing.assert_close(other.sigma, factor * plain.sigma)


def sum_of(parts):
    whole = parts[0].copy()
    for part in parts[1:]:
        whole += part
    return whole


def test_normalising_the_pooled_vector() -> None:
    """Vectors that vary by a thousandth of their mean come out with unit spread; evaluation uses running statistics."""
    graph, embedding = batch()
    embedding = Embedding(4.0 + 1e-3 * embedding.nodes)
    module = head("average", pool_norm="batch").train()
    pooled = module.pooled(graph, embedding.nodes)
    torch.testing.assert_close(pooled.std(0, correction=0), torch.ones(5, dtype=torch.float64), rtol=1e-3, atol=0.0)
    assert module.pool_norm.recalibrate
    module.pool_norm.momentum = None
    module.pool_norm.reset_running_stats()
    module.pooled(graph, embedding.nodes)
    settled = module.eval().pooled(graph, embedding.nodes)
    assert float(settled.detach().std(0).mean()) == pytest.approx(1.0, rel=0.01)


def test_classes_are_learned_by_likelihood() -> None:
    graph, embedding = batch()
    kind = (Quantity("kind", classes=3),)
    module = head("average", kind)
    labels = {"kind": Labels(torch.tensor([0.0, 1, 2, 0, 1, 2, 0]), torch.tensor([True] * 6 + [False]))}
    prediction = module(graph, embedding)
    chosen = prediction["kind"].value[torch.arange(6), torch.tensor([0, 1, 2, 0, 1, 2])]
    torch.testing.assert_close(module.loss(prediction, labels, graph, "l1"), -chosen.log().mean())
    assert any(isinstance(m, torch.nn.Dropout) and m.p == 0.5 for m in module.layers)
    assert not any(isinstance(m, torch.nn.Dropout) for m in head("average").layers)
    with pytest.raises(UsageError, match="cannot be classes"):
        head("sum", kind)


def test_huber_is_between() -> None:
    graph, embedding = batch()
    module = head("average", statistics=Statistics(target_scale={"energy": 2.0}))
    value = module(graph, embedding)["energy"].value.detach()
    prediction = module(graph, embedding)
    for error, huber in ((1.0, 0.125), (8.0, 3.5)):  # 0.5·0.5² and 4 − 0.5 in units of the scale
        labels = {"energy": Labels(value + error, torch.ones(len(value), dtype=torch.bool))}
        assert float(module.loss(prediction, labels, graph, "huber").detach()) == pytest.approx(huber)
        assert float(module.loss(prediction, labels, graph, "l1").detach()) == pytest.approx(error / 2)
        assert float(module.loss(prediction, labels, graph, "mse").detach()) == pytest.approx(error**2 / 4)


def test_gaussians() -> None:
    """41 exact centres, the published form, and no denormal number anywhere."""
    basis = GaussianBasis(0.0, 8.0, 0.2)
    assert basis.dim == 41
    torch.testing.assert_close(basis.centers, torch.arange(41, dtype=torch.float64) / 5, rtol=1e-15, atol=1e-15)
    distance = torch.linspace(0.5, 8.0, 4001)
    found = basis(distance)
    assert not ((found > 0) & (found < 1e-30)).any()
    exact = torch.exp(-(((distance.double().unsqueeze(1) - basis.centers) / 0.2) ** 2))
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=2e-30)
    assert float(basis(torch.tensor([2.1]))[0, 10]) == pytest.approx(0.7788007830714049)


def test_envelopes() -> None:
    """1 at the start, 0 from the cutoff on, with the derivatives that they promise."""
    for envelope, order in ((polynomial, 2), (cosine, 1)):
        x = torch.tensor([0.0, 0.5, 1.0 - 1e-6, 1.0, 1.5], dtype=torch.float64, requires_grad=True)
        value = envelope(x)
        assert value[0] == 1.0
        assert value[3] == value[4] == 0.0
        derivative = value
        for _ in range(order):
            (derivative,) = torch.autograd.grad(derivative.sum(), x, create_graph=True)
            assert abs(float(derivative.detach()[2])) < 1e-3
