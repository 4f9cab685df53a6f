"""The head ``ridge``: its naive twin, its contract with solved weights, missing labels, totals, elements."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from crystal_cgcnn import RIDGE
from crystal_cgcnn.options import RidgeHeadOptions
from crystal_cgcnn.ridge_head import RidgeHead
from reference import ridge_head as twin

from crystalcli.contracts.modules import Embedding, Labels
from crystalcli.contracts.nn.ridge_sums import RidgeSums
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import HeadContract, crystals
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY = (Quantity("energy", "eV"),)
DIM = 4


class Contract(HeadContract):
    """With weights as of a solution: those of a fresh module are zero, which would hide mistakes."""

    part = RIDGE

    def build(self, factor: float = 1.0, elements: tuple[int, ...] = ()) -> Any:
        module = super().build(factor, elements)
        generator = torch.Generator().manual_seed(5)
        for name in ("centre", "weight", "intercept"):
            buffer = getattr(module, name)
            buffer.copy_(torch.randn(buffer.shape, generator=generator, dtype=torch.float64))
        return module


class TestAverage(Contract):
    pass


class TestFcmaxOfAllAtomsAlike(Contract):
    options: ClassVar[Mapping[str, Any]] = {"pool": "fcmax", "by": "crystal"}


class TestMax(Contract):
    options: ClassVar[Mapping[str, Any]] = {"pool": "max", "n_hidden": 2}


class TestSmoothmax(Contract):
    options: ClassVar[Mapping[str, Any]] = {"pool": "smoothmax"}


class TestSum(Contract):
    options: ClassVar[Mapping[str, Any]] = {"pool": "sum"}
    targets = (Quantity("energy", "eV", extensive=True), Quantity("charge", "e", extensive=True))


def graph_of(n: int = 40) -> CrystalGraph:
    """Crystals of five atoms of several elements, a few of them others."""
    made = [crystals.rattled(k) if k % 5 else crystals.all_crystals()[k % 7] for k in range(n)]
    return collate([build_graph(a, cutoff=3.0) for a in made], torch.float64)


def nodes_of(graph: CrystalGraph) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(graph.n_atoms, DIM, generator=generator, dtype=torch.float64)
    return 3.0 + 0.01 * graph.atomic_numbers.unsqueeze(1) + 1e-2 * noise


def built(pool: str, targets: tuple[Quantity, ...] = ENERGY, **more: Any) -> RidgeHead:
    torch.manual_seed(0)
    options = RidgeHeadOptions(pool=pool, hidden=3, **more)  # type: ignore[arg-type]
    names = [t.name for t in targets]
    statistics = Statistics(target_mean=dict.fromkeys(names, -6.0), target_scale=dict.fromkeys(names, 0.5))
    return RidgeHead(options, DIM, targets, statistics).double().eval()


def settle(module: RidgeHead, graph: CrystalGraph, nodes: torch.Tensor, labels: dict[str, Labels]) -> None:
    read_out = module.closed_form(graph.n_structures)
    with torch.no_grad():
        for walk in range(len(read_out.walks)):
            read_out.take(walk, graph, Embedding(nodes), labels)
            read_out.end(walk)


def apart(graph: CrystalGraph, nodes: torch.Tensor) -> list[tuple[Any, Any]]:
    ends = torch.cumsum(graph.atom_counts, 0).tolist()
    return [
        (nodes[e - n : e].numpy(), graph.atomic_numbers[e - n : e].numpy())
        for e, n in zip(ends, graph.atom_counts.tolist(), strict=True)
    ]


def test_a_total_of_crystals_of_one_size_is_measured_in_its_own_unit() -> None:
    known = Statistics(target_mean={"energy": -6.0}, target_scale={"energy": 0.5}, atoms=8)
    total, no_total = Quantity("energy", "eV", extensive=True), Quantity("energy", "eV")
    for pool, target, times in (("average", total, 8.0), ("sum", total, 1.0), ("sum", no_total, 1 / 8)):
        module = RidgeHead(RidgeHeadOptions(pool=pool, hidden=3), DIM, (target,), known)  # type: ignore[arg-type]
        assert (float(module.mean), float(module.scale)) == (-6.0 * times, 0.5 * times)


@pytest.mark.parametrize("pool", ["average", "sum", "max"])
def test_it_is_its_twin(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops and numpy's least squares on the same rows; the penalty is the one that was chosen."""
    graph = graph_of()
    nodes, counts = nodes_of(graph), graph.atom_counts.numpy()
    rng = np.random.default_rng(2)
    per_atom = rng.normal(size=graph.n_structures)
    known = rng.random(graph.n_structures) > 0.1
    module, penalties = built(pool), []
    solve = RidgeSums.solve

    def noted(self: RidgeSums) -> Any:
        found = solve(self)
        penalties.append(found.penalty)
        return found

    monkeypatch.setattr(RidgeSums, "solve", noted)
    values = per_atom * counts if pool == "sum" else per_atom
    label = Labels(torch.as_tensor(np.where(known, values, np.nan)), torch.as_tensor(known))
    settle(module, graph, nodes, {"energy": label})
    elements = sorted(set(graph.atomic_numbers.tolist()))
    x = twin.design(apart(graph, nodes), lambda u: module.layers(torch.as_tensor(u)).detach().numpy(), pool, elements)
    weight, intercept = twin.ridge(x[known], per_atom[known], penalties[0])
    expected = (x @ weight + intercept) * (counts if pool == "sum" else 1)
    with torch.no_grad():
        found = module(graph, Embedding(nodes))["energy"].value.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.std(found) > 1e-3


def test_targets_are_solved_apart() -> None:
    """Labels of one that are missing are nothing to the other, and several targets are what each is alone."""
    graph = graph_of()
    nodes, generator = nodes_of(graph), torch.Generator().manual_seed(3)
    two = (Quantity("energy", "eV"), Quantity("gap", "eV"))
    labels = {
        t.name: Labels(torch.randn(40, generator=generator, dtype=torch.float64), torch.arange(40) % (k + 2) > 0)
        for k, t in enumerate(two)
    }
    both = built("average", two)
    settle(both, graph, nodes, labels)
    for t in two:
        alone = built("average", (t,))
        settle(alone, graph, nodes, labels)
        one, other = (m(graph, Embedding(nodes))[t.name].value.detach() for m in (alone, both))
        assert torch.equal(one, other)


def test_a_fresh_one_answers_the_mean() -> None:
    graph = graph_of()
    found = built("average")(graph, Embedding(nodes_of(graph)))["energy"].value
    assert torch.equal(found, torch.full_like(found, -6.0))


def test_elements_are_weighed_apart() -> None:
    """An atom's energy that hangs on its element and its vector is found to rounding; with all alike it is not."""
    graph = collate([build_graph(crystals.rattled(k), cutoff=3.0) for k in range(100)], torch.float64)
    nodes = nodes_of(graph)
    energies = (
        torch.where(graph.atomic_numbers == graph.atomic_numbers[0], 30.0, -20.0) * nodes[:, 1]
        + graph.atomic_numbers.double()
    )
    total = torch.zeros(100, dtype=torch.float64).index_add(0, graph.structure_index, energies)
    labels = {"energy": Labels(total / graph.atom_counts, torch.ones(100, dtype=torch.bool))}
    errors = []
    for by in ("element", "crystal"):
        module = built("average", by=by)
        settle(module, graph, nodes, labels)
        value = module(graph, Embedding(nodes))["energy"].value.detach()
        errors.append(float((value - labels["energy"].value).abs().mean()))
    assert errors[0] < 1e-3
    assert errors[1] > 0.01


def test_only_numbers_and_not_too_many_features() -> None:
    with pytest.raises(UsageError, match=r"'kind' are classes; use --head crystal"):
        built("average", (Quantity("kind", classes=3),))
    many = Statistics(elements=tuple(range(1, 90)))
    with pytest.raises(UsageError, match=r"17177 features .193 for each of 89.*use --by crystal"):
        RidgeHead(RidgeHeadOptions(by="element"), 64, ENERGY, many)
    RidgeHead(RidgeHeadOptions(by="crystal"), 64, ENERGY, many)
    assert RidgeHead(RidgeHeadOptions(), 64, ENERGY, many).weight.shape[0] == 1, "many elements: all atoms alike"
    assert RidgeHead(RidgeHeadOptions(), 64, ENERGY, Statistics(elements=(8, 13))).weight.shape[0] > 1
    with pytest.raises(UsageError, match="a smaller --hidden"):
        RidgeHead(RidgeHeadOptions(by="crystal", hidden=3000), 64, ENERGY, many)
