"""Irreps: how they are read, and how their numbers turn."""

import numpy as np
import pytest
import torch

from crystalcli.contracts.irreps import EmbeddingShape, Irreps
from crystalcli.nouns.graph import collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import crystals
from crystalcli.testing.embeddings import embedding_of, made_up_shape
from crystalcli.testing.rotations import harmonics, representation, rotation
from crystalcli.vocabulary.errors import UsageError


def test_irreps_are_read_and_said() -> None:
    irreps = Irreps.parse("4x0e + 2x1o+2e")
    assert str(irreps) == "4x0e+2x1o+1x2e"
    assert irreps.dim == 4 + 6 + 5
    assert irreps.columns({"1o"}) == [4, 5, 6, 7, 8, 9]
    assert str(irreps.only({"0e", "2e"})) == "4x0e+1x2e"
    assert irreps.kinds == {"0e", "1o", "2e"}
    assert EmbeddingShape(irreps, 3).node_dim == 15
    for bad in ("", "4x", "0x0e", "1x1", "4x0e,2x1o", "1x1p"):
        with pytest.raises(UsageError, match="not like 8x0e"):
            Irreps.parse(bad)


def test_vectors_are_x_y_z_and_the_second_degree_as_in_e3nn() -> None:
    v = np.random.default_rng(0).normal(size=(9, 3))
    v /= np.linalg.norm(v, axis=1)[:, None]
    x, y, z = v.T
    np.testing.assert_allclose(harmonics(1, v), np.sqrt(3 / (4 * np.pi)) * v, atol=1e-12)
    s = np.sqrt(3)
    second = np.stack([s * x * z, s * x * y, y**2 - (x**2 + z**2) / 2, s * y * z, s / 2 * (z**2 - x**2)], 1)
    np.testing.assert_allclose(harmonics(2, v), np.sqrt(5 / (4 * np.pi)) * second, atol=1e-12)


@pytest.mark.parametrize("degree", range(5))
def test_representations_are_orthogonal_and_multiply(degree: int) -> None:
    irreps = Irreps.parse(f"2x{degree}e")
    a, b = rotation(1), rotation(2)
    one, two, both = (representation(irreps, r) for r in (a, b, a @ b))
    torch.testing.assert_close(one @ one.T, torch.eye(irreps.dim, dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close(one @ two, both, atol=1e-10, rtol=0)


def test_mirrors() -> None:
    assert torch.allclose(representation(Irreps.parse("1o"), -np.eye(3)), -torch.eye(3).double())
    assert torch.allclose(representation(Irreps.parse("1e"), -np.eye(3)), torch.eye(3).double())
    assert float(representation(Irreps.parse("0o"), -np.eye(3))) == pytest.approx(-1.0)


@pytest.mark.parametrize("kinds", [("0e", "1o", "2e", "3o"), ("0e", "0o", "1e")])
def test_made_up_embeddings_turn_and_repeat_as_they_say(kinds: tuple[str, ...]) -> None:
    shape = made_up_shape(kinds, 3)

    def of(atoms):
        return embedding_of(collate([build_graph(atoms, cutoff=3.5)], torch.float64), shape)

    atoms = crystals.rattled()
    one = of(atoms)
    assert one.edges is not None
    assert one.edges.shape[1] == 3
    assert float(one.nodes.std(0).min()) > 1e-4
    turned = one.nodes @ representation(shape.irreps, rotation()).T
    torch.testing.assert_close(of(crystals.rotated(atoms)).nodes, turned, atol=1e-9, rtol=0)
    torch.testing.assert_close(of(atoms.repeat((1, 2, 1))).nodes, one.nodes.repeat(2, 1), atol=1e-9, rtol=0)
    torch.testing.assert_close(of(crystals.rewrapped(atoms)).nodes, one.nodes, atol=1e-9, rtol=0)
