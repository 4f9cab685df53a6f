"""Our convolution against arithmetic by hand and against the plain twin that concatenates and pads."""

import math
from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from reference.cgcnn import PlainConvolution, gaussians, like, padded

from crystalcli.contracts.modules import Features, Labels
from crystalcli.contracts.nn.convolution import GatedConvolution
from crystalcli.contracts.nn.edge_plan import plan_for
from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.vocabulary.quantities import Quantity


@pytest.fixture(autouse=True)
def one_thread():
    """Small batches are slower, not faster, with two threads on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


FLOAT32 = 2e-5
"""Largest relative difference of two orders of float32 arithmetic over three convolutions."""


def model_of(architecture: str = "cgcnn", **options: object) -> CrystalModel:
    torch.manual_seed(3)
    spec = ModelSpec(
        PartChoice("cgcnn"),
        PartChoice("cgcnn"),
        PartChoice(architecture, options),
        PartChoice("crystal"),
        (Quantity("target"),),
        Statistics(),
    )
    return CrystalModel(spec)


def graph_of(dtype: torch.dtype, max_neighbors: int = 12):
    """Crystals with 12 neighbors everywhere, with fewer, and with none; enough for several blocks."""
    many = [crystals.rattled(k).repeat((2, 2, 2)) for k in range(6)]
    atoms = [*crystals.all_crystals(), *many, crystals.one_atom().repeat((4, 4, 4)), crystals.isolated()]
    return collate([build_graph(a, cutoff=8.0, max_neighbors=max_neighbors) for a in atoms], dtype)


def test_a_convolution_by_hand() -> None:
    """Two atoms, one edge each way, F = 1, K = 1: numbers worked out with a pocket calculator's functions."""
    arrays = GraphArrays(
        positions=np.zeros((2, 3)),
        cell=np.eye(3),
        pbc=np.ones(3, bool),
        atomic_numbers=np.array([1, 2]),
        edge_index=np.array([[0, 1], [1, 0]]),
        cell_shifts=np.zeros((2, 3), int),
    )
    graph = collate([arrays], torch.float64)
    convolution = GatedConvolution(1, 1, norm="none", outer=False).double()
    with torch.no_grad():
        convolution.linear.weight.copy_(torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]]).double())
        convolution.linear.bias.copy_(torch.tensor([0.1, -0.2], dtype=torch.float64))
    nodes, edges = torch.tensor([[1.0], [2.0]]).double(), torch.tensor([[0.3], [0.7]], dtype=torch.float64)
    # atom 0: p = 0.5·1 − 1·2 + 2·0.3 + 0.1 = −0.8, q = 1.5·1 + 0.25·2 − 0.5·0.3 − 0.2 = 1.65
    # atom 1: p = 0.5·2 − 1·1 + 2·0.7 + 0.1 = 1.5,  q = 1.5·2 + 0.25·1 − 0.5·0.7 − 0.2 = 2.7
    expected = [
        1.0 + math.log(1 + math.exp(1.65)) / (1 + math.exp(0.8)),
        2.0 + math.log(1 + math.exp(2.7)) / (1 + math.exp(-1.5)),
    ]
    assert convolution(graph, nodes, Features(nodes, edges)).flatten().tolist() == pytest.approx(expected, rel=1e-12)
    halved = convolution(graph, nodes, Features(nodes, edges, torch.tensor([0.5, 0.0]).double())).flatten().tolist()
    assert halved == pytest.approx([1.0 + (expected[0] - 1.0) / 2, 2.0], rel=1e-12)


def test_parameters() -> None:
    assert sum(p.numel() for p in model_of().parameters() if p.requires_grad) == 80_833


@pytest.mark.parametrize("training", [True, False])
def test_the_twin_in_float64(training: bool) -> None:
    """Concatenating and padding gives the same numbers, gradients and running statistics."""
    graph, model = graph_of(torch.float64), model_of().double()
    twin = like(model)
    model.train(training)
    twin.train(training)
    found = model.head.layers(model.head.pooled(graph, model.architecture(graph, model.features(graph)).nodes))[:, 0]
    table, distance, mask = padded(graph, 12)
    atoms = model.features.elements(graph.atomic_numbers)
    expected = twin(atoms, table, gaussians(distance), graph.atom_counts.tolist(), mask)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)
    (found**2).sum().backward()
    (expected**2).sum().backward()
    compare_gradients(model, twin, 1e-7)
    ours, theirs = model.architecture.convolutions[1].norm_edges, twin.convolutions[1].norm_edges
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"norm": "none", "outer_activation": False, "message_scale": "neighbors"}])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_blocks_in_float32(training: bool, options: dict[str, object], threads: int) -> None:
    """The planned sums of float32 equal the plain ones of float64: values, gradients, running statistics."""
    torch.set_num_threads(threads)
    fast, exact = model_of(**options).train(training), model_of(**options).double().train(training)
    single, double = graph_of(torch.float32), graph_of(torch.float64)
    plan = plan_for(single, fast.features(single))
    assert plan is not None
    assert len(plan.blocks) > 1
    assert plan.first is not None
    assert plan.first.plan.n_gates < plan.n_gates == plan.n_edges
    assert plan_for(double, exact.features(double)) is None
    found, expected = (m.architecture(g, m.features(g)).nodes for m, g in ((fast, single), (exact, double)))
    torch.testing.assert_close(
        found.double(), expected, rtol=FLOAT32, atol=FLOAT32 * float(expected.detach().abs().max())
    )
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (found.double() * weights).sum().backward()
    (expected * weights).sum().backward()
    compare_gradients(fast.architecture, exact.architecture, 2e-3)
    for ours, theirs in zip(fast.buffers(), exact.buffers(), strict=True):
        if ours.is_floating_point() and ours.numel():
            torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-4, atol=1e-5)


def compare_gradients(ours: torch.nn.Module, theirs: torch.nn.Module, tolerance: float) -> None:
    largest = max(float(p.grad.norm()) for p in theirs.parameters() if p.grad is not None)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        difference = float((p.grad.double() - q.grad.double()).norm())
        assert difference <= tolerance * max(float(q.grad.norm()), 1e-3 * largest), name


def test_the_blocks_give_the_same_bits_again() -> None:
    graph = graph_of(torch.float32)
    gradients = []
    for _ in range(2):
        model = model_of()
        model.architecture(graph, model.features(graph)).nodes.sum().backward()
        gradients.append([p.grad for p in model.architecture.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_sharing_gates_changes_nothing() -> None:
    """The first convolution by kinds of atoms gives what the plan with a gate for every edge gives."""
    graph, model = graph_of(torch.float32), model_of()
    results = []
    for shared in (True, False):
        features = model.features(graph)
        features.kinds = features.kinds if shared else None
        plan = plan_for(graph, features)
        assert plan is not None
        assert (plan.first is not None) == shared
        model.zero_grad()
        nodes = model.architecture(graph, features).nodes
        (nodes**2).sum().backward()
        results.append([nodes.detach(), *(p.grad.clone() for p in model.architecture.parameters())])
    for a, b in zip(*results, strict=True):
        assert float((a - b).norm()) <= 2e-3 * float(b.norm()) + 1e-3


def test_large_numbers_do_not_overflow() -> None:
    """softplus(q) of a very negative q is 0, not the logarithm of 0."""
    graph, model = graph_of(torch.float32), model_of(norm="none", n_conv=1)
    with torch.no_grad():
        model.architecture.convolutions[0].linear.bias[64:] = -500.0
    nodes = model.architecture(graph, model.features(graph)).nodes
    nodes.sum().backward()
    assert bool(torch.isfinite(nodes).all())
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.architecture.parameters())


def test_padding_has_no_effect() -> None:
    """A table with more empty places gives the same."""
    graph = graph_of(torch.float64)
    torch.manual_seed(0)
    convolution, v = PlainConvolution(8, 41, norm=False).double(), torch.randn(graph.n_atoms, 8).double()
    results = []
    for places in (12, 15):
        table, distance, mask = padded(graph, places)
        results.append(convolution(v, table, gaussians(distance), mask))
    torch.testing.assert_close(*results)


def test_one_atom_in_training_mode() -> None:
    """A batch of one atom, and one without edges, have no variance to normalise with."""
    for atoms in (crystals.one_atom(), crystals.isolated()):
        graph, model = collate([build_graph(atoms, cutoff=8.0, max_neighbors=12)]), model_of().train()
        labels = {"target": Labels(torch.ones(1).double(), torch.ones(1, dtype=torch.bool))}
        predictions, loss = model.loss(graph, labels, "l1")
        loss.backward()
        assert bool(torch.isfinite(predictions["target"].value).all())


def test_overfits_ten_structures() -> None:
    """Ten rattled crystals are learned to less than 1 % of the spread of their labels."""
    torch.manual_seed(0)
    graph = collate([build_graph(crystals.rattled(k), cutoff=8.0, max_neighbors=12) for k in range(10)])
    target = torch.randn(10, dtype=torch.float64)
    labels = {"target": Labels(target, torch.ones(10, dtype=torch.bool))}
    model = model_of()
    steps = 250
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        predictions, loss = model.loss(graph, labels, "l1")
        loss.backward()
        optimizer.step()
        schedule.step()
    error = (predictions["target"].value - target).abs().mean().detach()
    assert float(error) < 0.01 * float(target.std())


def test_a_distance_gradient_takes_the_plain_way() -> None:
    graph = graph_of(torch.float32)
    positions = graph.positions.clone().requires_grad_(True)
    features = model_of().features(replace(graph, positions=positions))
    assert features.distinct is None
    assert features.edges is not None
    assert features.edges.requires_grad


def test_symmetry_copies_share_a_row() -> None:
    graph = collate([build_graph(ase.Atoms("Cu", cell=np.eye(3) * 2.5, pbc=True), cutoff=8.0, max_neighbors=12)])
    distinct = model_of().features(graph).distinct
    assert distinct is not None
    assert distinct.counts.tolist() == [2]
    assert len(distinct.index) == 12
