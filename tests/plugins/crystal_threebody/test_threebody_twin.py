"""The network is its formulas; atoms that symmetry makes equal are computed once and are the same."""

from typing import Any

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.spacegroup import crystal
from crystal_cgcnn import SYMMETRY
from crystal_cgcnn.options import EmbedOptions, SymmetryOptions
from crystal_threebody import THREE_BODY
from crystal_threebody.options import ThreeBodyOptions
from reference.three_body import embeddings

from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, collate, distinct_atoms, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.orbits import ORBIT, orbits
from crystalcli.testing import ArchitectureContract, crystals

STATISTICS = Statistics(mean_neighbors=9.0)


def network(width: int = 96, **options: Any) -> Any:
    torch.manual_seed(1)
    built: Any = THREE_BODY.build(ThreeBodyOptions(width=width, **options), 92, 41, STATISTICS)
    with torch.no_grad():
        built.rows.weight.copy_(torch.randn_like(built.rows.weight))
    return built.double().eval()


def embedded(graph: CrystalGraph, module: Any) -> torch.Tensor:
    features: Any = SYMMETRY.embed(EmbedOptions(), SymmetryOptions(), STATISTICS)
    found: torch.Tensor = module(graph, features.double()(graph)).nodes
    return found


def test_formulas() -> None:
    class Contract(ArchitectureContract):
        part = THREE_BODY

    graph = collate([build_graph(crystals.rattled(), cutoff=4.0)], torch.float64)
    plain = Contract().features()
    torch.manual_seed(0)
    options = ThreeBodyOptions(width=5, edge_width=4, angle_channels=2, l_max=3, n_conv=3)
    module: Any = THREE_BODY.build(options, plain.node_dim, plain.edge_dim, STATISTICS)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    module = module.double()
    found = plain(graph)
    expected = embeddings(
        {k: v.numpy() for k, v in module.state_dict().items()},
        graph.atomic_numbers.tolist(),
        found.nodes.numpy(),
        [(i, j) for i, j in graph.edge_index.t().tolist()],
        edge_vectors(graph).numpy(),
        found.edges.numpy(),
        found.envelope.numpy(),
        n_conv=3,
        l_max=3,
        scale=9.0**-0.5,
    )
    np.testing.assert_allclose(module(graph, found).nodes.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def quartz() -> ase.Atoms:
    return crystal(
        ["Si", "O"],
        [(0.4697, 0.0, 1 / 3), (0.4135, 0.2669, 0.1191 + 1 / 3)],
        spacegroup=152,
        cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
    )


def test_orbits() -> None:
    """Quartz has one Si and one O; a supercell has the atoms of its cell; a rattled crystal has each for itself."""
    assert orbits(quartz(), 1e-3).tolist() == [0, 0, 0, 3, 3, 3, 3, 3, 3]
    assert orbits(ase.build.bulk("Cu").repeat(3), 1e-3).tolist() == [0] * 27
    assert orbits(crystals.rattled(), 1e-3).tolist() == list(range(len(crystals.rattled())))
    slab = ase.build.fcc111("Al", (1, 1, 3), vacuum=5.0)
    assert orbits(slab, 1e-3).tolist() == [0, 1, 2], "not periodic along all vectors"


@pytest.mark.parametrize(
    "atoms", [quartz(), quartz().repeat((2, 1, 1)), ase.build.bulk("NaCl", "rocksalt", 5.6, cubic=True)]
)
def test_one_for_all(atoms: ase.Atoms) -> None:
    """With and without orbits, and with another order of the atoms, in a batch with others."""
    build = SYMMETRY.build(SymmetryOptions())
    module = network()
    other = build(crystals.rattled())
    batch = collate([other, build(atoms), other], torch.float64)
    few = distinct_atoms(batch)
    assert few is not None
    assert len(few.atoms) == 2 * other.n_atoms + 2
    assert len(few.edges) < batch.n_edges
    found = embedded(batch, module)
    everything = collate([build_graph(atoms, cutoff=8.0, max_neighbors=12, ties="keep")], torch.float64)
    expected = embedded(everything, module)
    mine = found[other.n_atoms : other.n_atoms + len(atoms)]
    torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)  # positions of a symmetry have rounding errors
    assert float((expected - expected[0]).detach().abs().max()) > 0.1, "atoms do not differ at all"


def test_an_element_never_seen_is_what_the_table_says() -> None:
    """La and Ce have the same 92 numbers: nothing tells them apart before training has."""
    torch.manual_seed(2)
    module: Any = THREE_BODY.build(ThreeBodyOptions(), 92, 41, STATISTICS).double().eval()  # type: ignore[attr-defined]
    build = SYMMETRY.build(SymmetryOptions())
    one, other = (collate([build(ase.build.bulk(x, "fcc", a=5.2))], torch.float64) for x in ("La", "Ce"))
    assert torch.equal(embedded(one, module), embedded(other, module))
    with torch.no_grad():
        module.rows.weight[57] += 1.0
    assert not torch.equal(embedded(one, module), embedded(other, module))


def test_gradients_are_of_all_atoms() -> None:
    """Where positions are differentiated, atoms move one by one: orbits do not count."""
    graph = collate([SYMMETRY.build(SymmetryOptions())(quartz())], torch.float64)
    assert ORBIT in graph.fields
    graph.positions.requires_grad_()
    assert distinct_atoms(graph) is None
    network()(graph, SYMMETRY.embed(EmbedOptions(), SymmetryOptions(), STATISTICS).double()(graph))  # type: ignore[attr-defined]
