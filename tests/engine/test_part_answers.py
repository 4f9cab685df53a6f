"""A part that gives what no part may give is named, with what it gives; crystal's own parts are not blamed for it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import toy_parts
import toy_slabs
from torch import nn

from crystalcli.contracts.irreps import Irreps
from crystalcli.contracts.modules import Embedding, Features, Labels, Prediction
from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.latent import latent_vectors
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.vocabulary.errors import Exit, PluginFault

OURS = toy_slabs.PLUGIN


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_PLUGINS", str(OURS))
        registry.cache_clear()
        yield
    registry.cache_clear()


def model(architecture: str = "held", seed: int = 0) -> CrystalModel:
    torch.manual_seed(seed)
    statistics = Statistics(elements=(1, 8, 28, 29, 47), target_scale={toy_parts.PLACE.name: 0.1})
    spec = ModelSpec(
        PartChoice("radius", {"cutoff": 4.0}), PartChoice("radius"), PartChoice(architecture), PartChoice("mover"),
        (toy_parts.PLACE,), statistics,
    )  # fmt: skip
    return CrystalModel(spec).double().eval()


def graph() -> CrystalGraph:
    slabs = toy_slabs.slabs(2)
    made = [build_graph(a, cutoff=4.0) for a in slabs]
    return collate(
        [replace(g, fields=of_atoms(a, ["fixed", "tags"])) for g, a in zip(made, slabs, strict=True)], torch.float64
    )


class Spoiled(nn.Module):
    """What ``part`` gives, spoiled."""

    def __init__(self, part: Any, spoil: Callable[[Any], Any]) -> None:
        super().__init__()
        self.part, self.spoil = part, spoil

    def forward(self, *given: Any) -> Any:
        return self.spoil(self.part(*given))


def spoiled(family: str, spoil: Callable[[Any], Any], architecture: str = "held", seed: int = 0) -> CrystalModel:
    made = model(architecture, seed)
    setattr(made, family, Spoiled(getattr(made, family), spoil))
    return made


NAME = toy_parts.PLACE.name
FAULTS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("architecture", lambda _: None, "a NoneType, not an Embedding"),
    ("architecture", lambda e: e.nodes, "a Tensor, not an Embedding"),
    ("architecture", lambda _: Embedding(None), "for nodes a NoneType, not a tensor"),  # type: ignore[arg-type]
    ("architecture", lambda e: Embedding(e.nodes[:, :5]), "nodes of shape ({n}, 5), not ({n}, 8)"),
    ("architecture", lambda e: Embedding(e.nodes[:-1]), "nodes of shape ({n_less}, 8), not ({n}, 8)"),
    ("architecture", lambda e: Embedding(e.nodes, irreps=Irreps.parse("5x0e+1x1o")), "an Embedding with irreps 5x0e+"),
    ("features", lambda _: None, "a NoneType, not Features"),
    ("features", lambda f: Features(f.nodes[:, :-1]), "features of atoms of shape ({n}, "),
    ("head", lambda _: None, "a NoneType, not a dict of Predictions"),
    ("head", lambda _: {}, f"for {NAME} a NoneType, not a Prediction"),
    ("head", lambda p: {NAME: p[NAME].value}, f"for {NAME} a Tensor, not a Prediction"),
    (
        "head",
        lambda p: {NAME: Prediction(p[NAME].value[:, 0], toy_parts.PLACE)},
        f"values of {NAME} of shape ({{n}},), not ({{n}}, 3)",
    ),
    (
        "head",
        lambda p: {NAME: replace(p[NAME], sigma=p[NAME].value[:, 0])},
        f"sigma of {NAME} of shape ({{n}},), not ({{n}}, 3)",
    ),
    ("head", lambda p: {NAME: replace(p[NAME], quantity=None)}, f"for the quantity of {NAME} a NoneType, not a Quan"),
]


@pytest.mark.parametrize(("family", "spoil", "said"), FAULTS)
def test_it_is_named(family: str, spoil: Callable[[Any], Any], said: str) -> None:
    batch = graph()
    with pytest.raises(PluginFault) as raised:
        spoiled(family, spoil)(batch)
    assert raised.value.exit_code == Exit.BUG
    word = "featurizer" if family == "features" else family
    part = {"features": "'radius' of plugin ", "architecture": f"'held' of plugin {OURS}", "head": "'mover' of plugin "}
    assert str(raised.value).startswith(f"{word} {part[family]}")
    assert f" gives {said.format(n=batch.n_atoms, n_less=batch.n_atoms - 1)}" in str(raised.value)
    if family != "head":
        with pytest.raises(PluginFault, match=" gives "):
            latent_vectors(spoiled(family, spoil), batch)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda e: replace(e, edges=None), "for edges a NoneType, not a tensor"),
        (lambda e: replace(e, edges=e.edges[:, :2]), r"edges of shape \(\d+, 2\), not \(\d+, 3\)"),
        (lambda e: replace(e, irreps=None), r"an Embedding with irreps None, not 2x1o\+4x0e"),
    ],
)
def test_edges_and_irreps_that_were_promised(spoil: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(PluginFault, match=rf"^architecture 'arrows' of plugin .* gives {said}"):
        spoiled("architecture", spoil, "arrows").embed(graph())


def test_edges_of_a_featurizer_on_which_an_architecture_fails() -> None:
    """They are made only when they are asked for: it was the architecture that failed."""

    def without_a_column(f: Features) -> Features:
        assert f.edges is not None
        return Features(f.nodes, f.edges[:, 1:], f.envelope, distances=f.distances)

    with pytest.raises(PluginFault, match=r"^featurizer 'radius' of plugin .* gives features of edges of shape"):
        spoiled("features", without_a_column, "arrows")(graph())


def test_members_of_an_ensemble() -> None:
    members = [spoiled("architecture", lambda e: Embedding(e.nodes[:, :5]), seed=k) for k in (0, 1)]
    with pytest.raises(PluginFault, match=r"^architecture 'held' of plugin .* gives nodes of shape"):
        Ensemble(members, {})(graph())
    stacked = Ensemble([model(), model(seed=1)], {}).eval()
    stacked.one_featurizer = True
    stacked.stacked = lambda g, features: [None, None]  # type: ignore[assignment, list-item, misc] # noqa: ARG005
    with torch.no_grad(), pytest.raises(PluginFault, match="gives a NoneType, not an Embedding"):
        stacked(graph())


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (lambda _: None, "for the loss a NoneType, not a tensor"),
        (float, "for the loss a float, not a tensor"),
        (lambda loss: loss.expand(2), r"a loss of shape \(2,\), not one number"),
        (lambda loss: loss.to(torch.complex64), "a loss of torch.complex64, which has no gradient"),
        (lambda loss: loss.detach(), "a loss that hangs on no weight"),
    ],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor")
def test_a_loss(said: Callable[[Any], Any], what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, batch = model().train(), graph()
    labels = {NAME: Labels(batch.positions.double(), torch.ones(batch.n_atoms, dtype=torch.bool))}
    made.loss(batch, labels, "l1")[1].backward()
    loss = made.head.loss
    monkeypatch.setattr(made.head, "loss", lambda *given: said(loss(*given)))
    with pytest.raises(PluginFault, match=f"^head 'mover' of plugin .* gives {what}") as raised:
        made.loss(batch, labels, "l1")
    assert raised.value.exit_code == Exit.BUG


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "a NoneType, not a torch.nn.Module"),
        (nn.Linear(1, 1), "a Linear without a whole number embedding_dim"),
        (nn.Embedding(1, 1), r"a Embedding whose forward\(input: .* cannot be called with 2 arguments"),
    ],
)
def test_what_is_built_is_no_module(made: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = registry().parts["architecture", "held"]
    other = replace(offered, part=replace(offered.part, build=lambda *_: made))  # type: ignore[call-arg]
    monkeypatch.setitem(registry().parts, ("architecture", "held"), other)
    with pytest.raises(PluginFault, match=f"^architecture 'held' of plugin .* gives {said}"):
        model()
