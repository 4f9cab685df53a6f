"""Pieces of ``nequip``: equivariance of every order and parity, mirrors, options, gates, self-connections."""

import ase.build
import numpy as np
import pytest
import torch
from crystal_nequip.architecture import Interaction, Nequip, channels_by_kind
from crystal_nequip.blocks import Blocks
from crystal_nequip.layers import SILU, TANH, Gate, Linear, SpeciesLinear
from crystal_nequip.options import NequipOptions
from crystal_nequip.sums import neighbor_sums
from torch import Tensor

from crystalcli.contracts.irreps import Irreps, Term
from crystalcli.contracts.nn.harmonics import spherical_harmonics
from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.nouns.graph import collate, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.rotations import representation, rotation
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

PARITIES = {"natural": "4x0e+3x1o+2x2e+2x3o", "even": "4x0e+3x1e+2x2e+2x3e", "full": "3x0e+2x0o+2x1e+2x1o+1x2e+1x2o"}


def turned(x: dict[str, Tensor], q: np.ndarray) -> dict[str, Tensor]:
    """Features by kind of a crystal that was turned by ``q``."""
    return {k: representation(Irreps((Term(1, k, 0),)), q).to(v) @ v for k, v in x.items()}


@pytest.mark.parametrize("parity", PARITIES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_interactions_are_equivariant_in_every_order(parity: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    irreps = Irreps.parse(PARITIES[parity])
    channels = {t.kind: t.count for t in irreps.terms}
    options = NequipOptions(l_max=max(t.degree for t in irreps.terms), parity=parity, radial_width=6)
    layer = Interaction(irreps, tuple(channels), channels, options, (8, 22, 38), 0.2).to(dtype)
    atoms = crystals.rattled(0)
    graph = collate([build_graph(atoms, cutoff=4.0)], torch.float64)
    h = {t.kind: torch.randn(len(atoms), t.size, t.count).to(dtype) for t in irreps.terms}
    basis = torch.randn(graph.n_edges, options.bessel).to(dtype)

    def out(features: dict[str, Tensor], q: np.ndarray) -> dict[str, Tensor]:
        vectors = edge_vectors(graph) @ torch.as_tensor(q).T
        y = spherical_harmonics(vectors / vectors.norm(dim=1, keepdim=True), options.l_max).to(dtype)
        return layer(features, graph.atomic_numbers, basis, y, Blocks(graph))

    plain = out(h, np.eye(3))
    assert set(plain) == set(channels)
    mirror = np.diag([1.0, 1.0, -1.0]) @ rotation(3)
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    for q in (rotation(2), mirror):
        if parity == "even" and np.linalg.det(q) < 0:
            continue
        found, expected = out(turned(h, q), q), turned(plain, q)
        for kind, value in expected.items():
            size = float(value.detach().abs().max())
            assert float((found[kind] - value).detach().abs().max()) < tolerance * size, (kind, parity)


def energy(parity: str, atoms: object) -> float:
    torch.manual_seed(1)
    spec = ModelSpec(
        PartChoice("radius", {"cutoff": 4.0}),
        PartChoice("radius"),
        PartChoice("nequip", {"channels": "8-6-4", "parity": parity}),
        PartChoice("energy"),
        (Quantity("energy", "eV", extensive=True),),
        Statistics(30.0, (1, 6, 7, 8, 9, 17)),
    )
    graph = collate([build_graph(atoms, cutoff=4.0)], torch.float64)
    return float(CrystalModel(spec).double().eval()(graph)["energy"].value.detach())


@pytest.mark.parametrize("parity", ["natural", "full", "even"])
def test_mirror_images_have_one_energy_unless_all_is_even(parity: str) -> None:
    """A carbon with four different neighbors has a left and a right hand."""
    import ase

    hand = ase.Atoms("CHFClN", [[0, 0, 0], [0.6, 0.7, 0.6], [-0.8, -0.8, 0.7], [-1.0, 1.0, -1.0], [0.9, -0.8, -0.8]])
    other = hand.copy()
    other.positions *= [1, 1, -1]
    difference = abs(energy(parity, hand) - energy(parity, other))
    assert (difference > 1e-6) if parity == "even" else (difference < 1e-10)


def test_sums_are_divided_by_the_root_of_the_mean_number_of_neighbors() -> None:
    torch.manual_seed(0)
    options = NequipOptions(n_layers=1, channels="4", self_connection="linear")
    net = Nequip(3, options, Statistics(16.0, (8,)))
    other = Nequip(3, options, Statistics(64.0, (8,)))
    graph = collate([build_graph(crystals.rattled(0), cutoff=4.0)])
    y = torch.randn(graph.n_edges, 9)
    basis, h = torch.randn(graph.n_edges, options.bessel), {"0e": torch.randn(graph.n_atoms, 1, 4)}
    found = []
    for layer in (net.layers[0], other.layers[0]):
        layer.load_state_dict(net.layers[0].state_dict() | {"scale": layer.scale})
        sent = layer.before(h)["0e"].flatten(1)
        sums = neighbor_sums(*layer.radial(basis), sent, y, layer.paths, Blocks(graph))
        found.append(layer._products(sums)["0e"])
    torch.testing.assert_close(found[0], 2 * found[1])


def test_gates() -> None:
    gate = Gate(Irreps.parse("2x0e+1x0o+3x1o+1x2e"))
    assert str(gate.into) == "6x0e+1x0o+3x1o+1x2e"
    x = {t.kind: torch.randn(5, t.size, t.count) for t in gate.into.terms}
    found, s = gate(x), SILU * torch.nn.functional.silu(x["0e"])
    assert list(found) == ["0e", "0o", "1o", "2e"]
    torch.testing.assert_close(found["0e"], s[..., :2])
    torch.testing.assert_close(found["0o"], TANH * torch.tanh(x["0o"]))
    torch.testing.assert_close(found["1o"], x["1o"] * s[..., 2:5])
    torch.testing.assert_close(found["2e"], x["2e"] * s[..., 5:6])


def test_activations_keep_the_size_of_numbers() -> None:
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = torch.exp(-x * x / 2) / (2 * torch.pi) ** 0.5
    for factor, f in ((SILU, torch.nn.functional.silu), (TANH, torch.tanh)):
        assert abs(float(torch.trapezoid((factor * f(x)) ** 2 * density, x)) - 1) < 5e-3


def test_linear_maps_and_those_of_elements() -> None:
    into, out = Irreps.parse("4x0e+2x1o"), Irreps.parse("3x0e+2x1o+5x2e")
    x = {"0e": torch.randn(6, 1, 4), "1o": torch.randn(6, 3, 2)}
    plain = Linear(into, out, bias=True)
    with torch.no_grad():
        plain.bias.fill_(0.25)
    found = plain(x)
    assert set(found) == {"0e", "1o"}
    torch.testing.assert_close(found["1o"], x["1o"] @ plain.weights["1o"] / 2**0.5)
    torch.testing.assert_close(found["0e"], x["0e"] @ plain.weights["0e"] / 2 + 0.25)
    species = SpeciesLinear(into, out, (8, 22))
    found = species(x, torch.tensor([8, 22, 8, 5, 22, 8]))
    for k, row in enumerate((0, 1, 0, None, 1, 0)):
        expected = torch.zeros(3, 2) if row is None else x["1o"][k] @ species.weights["1o"][row] / 2**0.5
        torch.testing.assert_close(found["1o"][k], expected)


def test_channels() -> None:
    assert channels_by_kind(NequipOptions(l_max=2, channels="8-4-2")) == {"0e": 8, "1o": 4, "2e": 2}
    assert channels_by_kind(NequipOptions(l_max=1, channels="8", parity="full")) == {"0e": 8, "0o": 8, "1e": 8, "1o": 8}
    assert channels_by_kind(NequipOptions(l_max=1, channels="8", parity="even")) == {"0e": 8, "1e": 8}
    assert channels_by_kind(NequipOptions(l_max=3, channels="8-4")) == {"0e": 8, "1o": 4, "2e": 4, "3o": 4}
    assert channels_by_kind(NequipOptions(l_max=1, channels="8-4-2")) == {"0e": 8, "1o": 4}
    for wrong in ("8--4", "", "8-4-0", "8-x-2", "9999", "8-4-2-1-1"):
        with pytest.raises(UsageError, match="is no list of numbers of 1 … 1024"):
            channels_by_kind(NequipOptions(channels=wrong))


@pytest.mark.parametrize("cutoff", [4.0, 6.0])
@pytest.mark.parametrize("lattice", [("Si", "diamond", 5.43), ("Cu", "fcc", 3.61), ("Mo", "bcc", 3.15)])
def test_neighbors_are_heard_from_the_first_step(lattice: tuple[str, str, float], cutoff: float) -> None:
    """In every layer what they say is about as much as what an atom keeps, whatever the cutoff is."""
    name, kind, length = lattice
    atoms = ase.build.bulk(name, kind, a=length, cubic=True).repeat(2)
    atoms.rattle(0.1, seed=1)
    graph = collate([build_graph(atoms, cutoff=cutoff)], torch.float64)
    z = int(atoms.numbers[0])
    statistics = Statistics(graph.n_edges / graph.n_atoms, (z,), {}, {"forces": 1.0}, (), (0.0,))
    parts = PartChoice("radius", {"cutoff": cutoff}), PartChoice("radius"), PartChoice("nequip"), PartChoice("energy")
    torch.manual_seed(0)
    model = CrystalModel(ModelSpec(*parts, (Quantity("energy", "eV", extensive=True),), statistics)).double()
    sizes: list[float] = []

    def listen(_module: torch.nn.Module, _given: object, found: dict[str, Tensor]) -> None:
        sizes.append(float(found["0e"].detach().square().mean().sqrt()))

    for layer in model.architecture.layers:
        layer.after.register_forward_hook(listen)
        layer.keep.register_forward_hook(listen)
    model(graph)
    ratios = [heard / kept for heard, kept in zip(sizes[::2], sizes[1::2], strict=True)]
    assert all(0.1 < r < 10.0 for r in ratios), ratios
    assert max(sizes) < 30.0
