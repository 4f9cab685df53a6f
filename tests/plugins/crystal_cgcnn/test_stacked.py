"""Members evaluated together are the members one by one, to rounding; and again after their weights changed."""

import pytest
import torch
from crystal_cgcnn import stacked

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.vocabulary.quantities import Quantity

GAP = Quantity("gap", "eV")
OPTIONS = [
    {},
    {"norm": "none", "outer_activation": False, "n_conv": 1},
    {"message_scale": "neighbors", "edge_gain": 4.0, "width": 24, "n_conv": 2},
]


def graph() -> CrystalGraph:
    """A supercell whose sites are alike (kinds share gates), rattled ones, and an atom alone."""
    lonely = crystals.rattled(2)[:1]
    lonely.set_cell([40.0, 40.0, 40.0])
    shown = [crystals.rattled(0) * (2, 1, 1), crystals.rattled(1), lonely]
    return collate([build_graph(a, cutoff=8.0, max_neighbors=12) for a in shown])


def member(seed: int, options: dict[str, object]) -> CrystalModel:
    torch.manual_seed(seed)
    parts = [PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("cgcnn", options), PartChoice("crystal")]
    model = CrystalModel(ModelSpec(*parts, (GAP,), Statistics(12.0, (), {"gap": 1.0}, {"gap": 0.5})))
    for _ in range(3):
        model(graph())  # norms that have seen something
    return model.eval()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@torch.no_grad()
def test_together_is_one_by_one(options: dict[str, object]) -> None:
    ensemble = Ensemble([member(k, options) for k in range(3)], {"gap": 0.1}).eval()
    features = ensemble.models[0].features(graph())
    assert ensemble.stacked(graph(), features) is not None
    for _ in range(2):
        alone = [m.embed(graph()).nodes for m in ensemble.models]
        for one, other in zip(ensemble.embed(graph()), alone, strict=True):
            torch.testing.assert_close(one.nodes, other, rtol=2e-5, atol=2e-5)
        for p in ensemble.models[1].parameters():  # changed in place: what was put together before is not used
            p.mul_(1.1)


def test_many_edges_or_other_numbers_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = Ensemble([member(k, {}) for k in range(2)], {"gap": 0.1}).eval()
    features = ensemble.models[0].features(graph())
    monkeypatch.setattr(stacked, "MOST_EDGES", 10)
    assert ensemble.stacked(graph(), features) is None
    monkeypatch.undo()
    assert ensemble.double().stacked(graph(), features) is None


def test_gradients_are_those_of_the_members() -> None:
    ensemble = Ensemble([member(k, {}) for k in range(2)], {"gap": 0.1}).eval()
    ensemble(graph())["gap"].value.sum().backward()
    assert all(p.grad is not None for p in ensemble.models[1].architecture.parameters())
