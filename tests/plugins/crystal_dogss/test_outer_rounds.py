"""Outer rounds of a whole model: what is predicted where the last round led is what a new question there would give."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from crystal_dogss import POSITIONS

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.embeddings import with_fields

NAME = POSITIONS.name


def graph_of(count: int = 3) -> CrystalGraph:
    made = [with_fields(build_graph(a, cutoff=3.2), ("fixed", "tags")) for a in crystals.all_crystals()[:count]]
    return collate(made, torch.float64)


def model(rounds: int, seed: int = 2) -> CrystalModel:
    spec = ModelSpec(
        PartChoice("cgcnn"),
        PartChoice("cgcnn"),
        PartChoice("dogss", {"width": 8, "n_conv": 2, "vectors": 2}),
        PartChoice("springs", {"hidden": 8, "n_hidden": 1, "outer_rounds": rounds}),
        (POSITIONS,),
        Statistics(target_scale={NAME: 0.1}),
    )
    torch.manual_seed(seed)
    made = CrystalModel(spec).double().eval()
    with torch.no_grad():
        for parameter in made.head.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


@torch.no_grad()
@pytest.mark.parametrize("members", [1, 2])
def test_three_rounds_are_three_questions(members: int) -> None:
    def asked(rounds: int, graph: CrystalGraph, member: int) -> torch.Tensor:
        return model(rounds, member)(graph)[NAME].value

    graph, ends = graph_of(), []
    for member in range(members):
        there = graph
        for _ in range(3):
            there = replace(there, positions=asked(1, there, member))
        ends.append(there.positions)
        assert float((there.positions - asked(1, graph, member)).abs().max()) > 1e-3  # the later rounds move atoms
    models = [model(3, member) for member in range(members)]
    whole = models[0] if members == 1 else Ensemble(models, {NAME: 0.1})
    torch.testing.assert_close(whole(graph)[NAME].value, torch.stack(ends).mean(0))


@torch.no_grad()
def test_a_structure_goes_its_rounds_whatever_shares_its_batch() -> None:
    graph, alone, made = graph_of(), graph_of(1), model(2)
    torch.testing.assert_close(made(alone)[NAME].value, made(graph)[NAME].value[: alone.n_atoms])


def test_the_surface_is_that_of_the_last_round() -> None:
    graph, made = graph_of(), model(3)
    with torch.no_grad():
        places = made(graph)[NAME].value
    energy = made.surface_energy(graph)
    places.requires_grad_()
    (slope,) = torch.autograd.grad(energy(replace(graph, positions=places)).sum(), places)
    free = (1.0 - graph.fields["fixed"])[:, None]
    assert float((slope * free).abs().max()) < 5e-3
    start = graph.positions.clone().requires_grad_()
    (before,) = torch.autograd.grad(energy(replace(graph, positions=start)).sum(), start)
    assert float((before * free).abs().max()) > 5e-2
