"""Crystals whose cells relax begin in the size that their composition has in training."""

from __future__ import annotations

from dataclasses import replace

import ase
import numpy as np
import pytest
import torch
from crystal_dogss import POSITIONS, STRAIN
from crystal_dogss.cell_head import CellSpringsHead
from crystal_dogss.moved import free_atoms
from crystal_dogss.options import SpringsOptions
from torch import Tensor

from crystalcli.contracts.irreps import EmbeddingShape, Irreps
from crystalcli.contracts.modules import Embedding, Labels
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, collate, edge_lengths, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.systems import from_voigt, to_voigt
from crystalcli.testing.embeddings import with_fields

SHAPE = EmbeddingShape(Irreps.parse("4x0e"), 2)
VOLUMES = {1: 6.0, 38: 30.0, 41: 14.0}


def crystal(seed: int, growth: float = 1.0) -> ase.Atoms:
    """A few atoms at random in a skew cell of the usual volume times ``growth``."""
    rng = np.random.default_rng(seed)
    numbers = rng.choice(list(VOLUMES), size=int(rng.integers(3, 8)))
    cell = np.eye(3) + rng.normal(0.0, 0.15, (3, 3))
    cell *= (sum(VOLUMES[int(z)] for z in numbers) * growth / abs(np.linalg.det(cell))) ** (1 / 3)
    return ase.Atoms(numbers, scaled_positions=rng.random((len(numbers), 3)), cell=cell, pbc=True)


def graph_of(*atoms: ase.Atoms) -> CrystalGraph:
    return collate([with_fields(build_graph(a, cutoff=4.0), ("fixed",)) for a in atoms], torch.float64)


def head() -> CellSpringsHead:
    made = CellSpringsHead(
        SpringsOptions(), SHAPE, (POSITIONS, STRAIN), Statistics(target_scale={POSITIONS.name: 0.1, STRAIN.name: 0.1})
    )
    return made.double().eval()


def embedded(graph: CrystalGraph) -> Embedding:
    """Something that tells atoms and sizes apart."""
    nodes = graph.atomic_numbers[:, None] * torch.linspace(0.01, 0.04, 4, dtype=torch.float64)
    size = torch.linalg.det(graph.cell).abs().index_select(0, graph.structure_index[graph.edge_index[0]])
    return Embedding(nodes, torch.stack([size, size.sqrt()], 1) * 1e-3, again=embedded)


def strains(factors: list[float]) -> Labels:
    """Of cells that become longer by these factors, with a shear that keeps the volume."""
    shear = torch.tensor([[1.1, 0.0, 0.0], [0.0, 1 / 1.1, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    six = to_voigt(torch.stack([f * shear - torch.eye(3, dtype=torch.float64) for f in factors]))
    return Labels(six, torch.ones(len(factors), dtype=torch.bool))


def fitted(starts: list[ase.Atoms], factors: list[float]) -> CellSpringsHead:
    made = head()
    fit = made.closed_form(len(starts))
    for k in range(0, len(starts), 7):
        graph = graph_of(*starts[k : k + 7])
        fit.take(0, graph, embedded(graph), {STRAIN.name: strains(factors[k : k + 7])})
    fit.end(0)
    return made


def grown(made: CellSpringsHead, graph: CrystalGraph) -> Tensor:
    return made.growth(graph, free_atoms(graph))


def test_usual_volumes_are_found_and_taken() -> None:
    """From starts whose size says nothing: volumes of the elements, share 1, and new crystals in their usual size."""
    growths = np.random.default_rng(1).uniform(0.6, 1.7, 60)
    made = fitted([crystal(k, g) for k, g in enumerate(growths)], [g ** (-1 / 3) for g in growths])
    found = {z: float(made.volumes[z]) for z in VOLUMES}
    assert found == pytest.approx(VOLUMES, rel=1e-3)
    assert float(made.share) == pytest.approx(1.0, abs=0.01)
    new = graph_of(crystal(100, 1.5), crystal(101, 0.8))
    np.testing.assert_allclose(grown(made, new).numpy(), [1.5 ** (-1 / 3), 0.8 ** (-1 / 3)], rtol=2e-3)
    predicted = made(new, embedded(new))[STRAIN.name].value
    stretch = torch.linalg.det(torch.eye(3, dtype=torch.float64) + from_voigt(predicted))
    np.testing.assert_allclose(stretch.detach().numpy(), [1 / 1.5, 1 / 0.8], rtol=6e-3)  # untrained springs rest there


def test_starts_that_are_right_keep_their_size() -> None:
    """Volumes that hang on more than the composition, all of them right at the start: nothing is to be learned."""
    growths = np.random.default_rng(2).uniform(0.8, 1.25, 60)
    made = fitted([crystal(k, g) for k, g in enumerate(growths)], [1.0] * 60)
    assert float(made.share) == 0.0
    assert grown(made, graph_of(crystal(100, 1.5))).tolist() == [1.0]


def test_what_cannot_or_need_not_grow_does_not() -> None:
    growths = np.random.default_rng(3).uniform(0.6, 1.7, 30)
    made = fitted([crystal(k, g) for k, g in enumerate(growths)], [g ** (-1 / 3) for g in growths])
    slab, stranger, held, plain = (crystal(k, 1.4) for k in range(40, 44))
    slab.pbc = (True, True, False)
    stranger.numbers[0] = 8
    graph = graph_of(slab, stranger, held, plain)
    graph = replace(graph, fields={"fixed": torch.zeros(graph.n_atoms, dtype=torch.float64)})
    graph.fields["fixed"][graph.structure_index == 2] = torch.eye(1, len(held), dtype=torch.float64)[0]
    assert [g == 1.0 for g in grown(made, graph).tolist()] == [True, True, True, False]


def test_positions_stay_in_the_frame_of_the_start() -> None:
    """An untrained head moves no atom, in whatever size its springs are."""
    made = fitted([crystal(k, 1.4) for k in range(30)], [1.4 ** (-1 / 3)] * 30)
    graph = graph_of(crystal(50, 1.4))
    places = made(graph, embedded(graph))[POSITIONS.name].value
    assert not bool((grown(made, graph) == 1.0).any())
    torch.testing.assert_close(places, graph.positions, rtol=0, atol=1e-3)


def test_likely_lengths_are_those_of_the_labels_whatever_size_the_springs_are_seen_in() -> None:
    """Edges through the walls, too: labels are in the frame of the start's cell, and its strain is counted from it."""
    made = fitted([crystal(k, 1.4) for k in range(30)], [1.4 ** (-1 / 3)] * 30)
    graph = graph_of(crystal(50, 1.4))
    ((springs, _),) = made(graph, embedded(graph))[POSITIONS.name].rounds
    assert not bool((grown(made, graph) == 1.0).any())
    assert bool(graph.cell_shifts.any())
    place = Labels(graph.positions + 0.03, torch.ones(graph.n_atoms, dtype=torch.bool))
    strain = strains([0.9])
    found, known = made._true_lengths(springs, graph, {POSITIONS.name: place, STRAIN.name: strain})
    stretch = torch.eye(3, dtype=torch.float64) + from_voigt(strain.value)[0]
    torch.testing.assert_close(found, torch.linalg.vector_norm(edge_vectors(graph) @ stretch, dim=1))
    assert bool(known.all())
    torch.testing.assert_close(made._true_lengths(springs, graph, {POSITIONS.name: place})[0], edge_lengths(graph))


def test_the_size_of_a_start_does_not_matter_where_the_composition_tells_it() -> None:
    """Springs are seen in the usual size: from starts of other sizes the same relaxed cell and fractions."""
    growths = np.linspace(0.6, 1.7, 60)
    made = fitted([crystal(k, g) for k, g in enumerate(growths)], [g ** (-1 / 3) for g in growths])
    made.share.fill_(1.0)
    torch.manual_seed(0)
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    start = crystal(70)
    wide = start.copy()
    wide.set_cell(1.1 * start.cell.array, scale_atoms=True)
    ends = []
    for atoms in (start, wide):
        graph = graph_of(start)  # the same edges
        graph = replace(graph, positions=torch.as_tensor(atoms.positions), cell=torch.as_tensor(atoms.cell.array)[None])
        with torch.no_grad():
            found = made(graph, embedded(graph))
        cell = graph.cell[0] @ (torch.eye(3, dtype=torch.float64) + from_voigt(found[STRAIN.name].value)[0])
        ends.append((cell, found[POSITIONS.name].value @ torch.linalg.inv(graph.cell[0])))
    moved = ends[0][1] - torch.as_tensor(start.get_scaled_positions())
    assert float(moved.abs().max()) > 1e-3
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_the_surface_has_its_minimum_where_positions_and_cell_are_predicted() -> None:
    growths = np.linspace(0.6, 1.7, 60)
    made = fitted([crystal(k, g) for k, g in enumerate(growths)], [g ** (-1 / 3) for g in growths])
    made.options = replace(made.options, max_steps=3000, tolerance=1e-9)
    graph = graph_of(crystal(70, 1.4))
    with torch.no_grad():
        found = made(graph, embedded(graph))
    stretch = torch.eye(3, dtype=torch.float64) + from_voigt(found[STRAIN.name].value)[0]
    cell = (graph.cell[0] @ stretch)[None].requires_grad_()
    places = (found[POSITIONS.name].value @ stretch).requires_grad_()
    energy = made.surface(graph, embedded(graph))(replace(graph, positions=places, cell=cell)).sum()
    for slope in torch.autograd.grad(energy, [places, cell]):
        assert float(slope.abs().max()) < 1e-4
