"""Architectures say how wide their edges are and how their numbers turn; heads get what they take, or are refused."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import toy_parts
import toy_slabs

from crystalcli.contracts.irreps import Irreps
from crystalcli.contracts.modules import Embedding, shape_of
from crystalcli.contracts.records import Statistics
from crystalcli.contracts.validation import part_problems
from crystalcli.engine.model.latent import latent_vectors
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.model.out_of_domain import structure_vectors
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.structures.site_fields import of_atoms
from crystalcli.testing import ArchitectureContract, HeadContract
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_PLUGINS", str(toy_slabs.PLUGIN))
        registry.cache_clear()
        yield
    registry.cache_clear()


class TestArrows(ArchitectureContract):
    part = toy_parts.ARROWS


class TestPushes(HeadContract):
    part = toy_parts.PUSHES


def spec(architecture: str, head: str, target: Quantity) -> ModelSpec:
    graph = PartChoice("radius", {"cutoff": 4.0})
    statistics = Statistics(elements=(1, 8, 28, 29, 47), target_scale={target.name: 0.1})
    parts = PartChoice(architecture), PartChoice(head)
    return ModelSpec(graph, PartChoice("radius"), *parts, (target,), statistics)


def model(architecture: str, head: str, target: Quantity = toy_parts.PLACE) -> CrystalModel:
    torch.manual_seed(0)
    return CrystalModel(spec(architecture, head, target)).double().eval()


def graph() -> CrystalGraph:
    slabs = toy_slabs.slabs(2)
    made = [build_graph(a, cutoff=4.0) for a in slabs]
    fields = [of_atoms(a, ("fixed", "tags")) for a in slabs]
    return collate([replace(g, fields=f) for g, f in zip(made, fields, strict=True)], torch.float64)


def test_a_head_gets_the_kinds_that_it_takes() -> None:
    seen: list[Embedding] = []
    for head, target in (("pushes", toy_parts.PLACE), ("crystal", Quantity("gap", "eV")), ("mover", toy_parts.PLACE)):
        made = model("arrows", head, target)
        made.head.register_forward_pre_hook(lambda _m, given: seen.append(given[1]))
        made(graph())
    vectors, scalars, others = seen
    assert str(vectors.irreps) == "2x1o+4x0e"
    assert str(scalars.irreps) == str(others.irreps) == "4x0e"
    assert scalars.nodes.shape[1] == 4
    assert torch.equal(scalars.nodes, model("arrows", "mover").embed(graph()).nodes[:, 6:])
    assert scalars.edges is not None


def test_what_does_not_fit_is_refused_with_the_cure() -> None:
    with pytest.raises(
        UsageError, match=r"head 'pushes' reads edges .* architecture 'held' gives none: choose another"
    ):
        model("held", "pushes")
    part = registry().get("head", "pushes")
    registry().parts["head", "pushes"]  # it is there
    lacking = replace(part, edges=False)
    from crystalcli.engine.model.model_parts import refuse_shape

    held = registry().get("architecture", "held")
    with pytest.raises(UsageError, match="reads 1o of the sites; architecture 'held' gives 8x0e: choose another"):
        refuse_shape(shape_of(model("held", "mover").architecture), held, lacking)


@pytest.mark.parametrize(
    ("irreps", "width", "why"),
    [("4x0e+2x1o", 11, "10 numbers, and a width of 11"), ("2x1o", 6, "gives no scalars"), ("x", 3, "are not like")],
)
def test_irreps_that_cannot_be_are_refused(irreps: str, width: int, why: str) -> None:
    class Odd(torch.nn.Module):
        pass

    module: Any = Odd()
    module.embedding_dim, module.irreps = width, irreps
    with pytest.raises(UsageError, match=why):
        shape_of(module)


def test_a_record_with_wrong_kinds_is_no_record() -> None:
    for kinds in (("1o",), "0e", ("0e", "vector")):
        assert "irreps must be a tuple" in part_problems(replace(toy_parts.PUSHES, irreps=kinds))[0]  # type: ignore[arg-type]


def test_likeness_and_latent_vectors_do_not_turn() -> None:
    made, one = model("arrows", "mover"), graph()
    embedding = made.embed(one)
    assert embedding.irreps == Irreps.parse("2x1o+4x0e")
    assert structure_vectors(one, embedding).shape == (2, 4)
    assert torch.equal(latent_vectors(made, one), embedding.nodes[:, 6:])
    assert torch.equal(embedding.scalars, embedding.nodes[:, 6:])
