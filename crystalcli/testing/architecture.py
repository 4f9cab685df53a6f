"""What every architecture must do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast

import ase
import numpy as np
import torch
from torch import Tensor, nn

from crystalcli.contracts import options as opt
from crystalcli.contracts.irreps import Irreps
from crystalcli.contracts.modules import Distances, Features, shape_of
from crystalcli.contracts.nn.basis import GaussianBasis, polynomial
from crystalcli.contracts.records import Architecture, Statistics
from crystalcli.nouns.graph import CrystalGraph, collate, edge_vectors
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import compare, crystals
from crystalcli.testing.compare import check_elsewhere, check_gradient, check_save_load, same
from crystalcli.testing.elements import check_carried, check_tables, with_elements
from crystalcli.testing.embeddings import with_fields
from crystalcli.testing.rotations import representation, rotation


class PlainFeatures(nn.Module):
    """Features to try architectures with: a fixed random row per element, Gaussians, a smooth cutoff."""

    def __init__(self, node_dim: int, cutoff: float) -> None:
        super().__init__()
        self.rows: Tensor
        self.register_buffer("rows", torch.randn(119, node_dim, generator=torch.Generator().manual_seed(5)).double())
        self.basis = GaussianBasis(0.0, cutoff, 0.5)
        self.cutoff, self.node_dim, self.edge_dim = cutoff, node_dim, self.basis.dim

    def forward(self, graph: CrystalGraph) -> Features:
        """Features of a batch."""
        vectors = edge_vectors(graph)
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        rows = self.rows.index_select(0, graph.atomic_numbers).to(lengths.dtype)
        envelope = polynomial(lengths / self.cutoff)
        return Features(rows, self.basis(lengths), envelope, distances=Distances(lengths, self.cutoff, vectors))


class ArchitectureContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    Graphs have all edges within ``cutoff`` and a smooth envelope, so that nothing but the architecture can jump.
    """

    part: ClassVar[Architecture]
    options: ClassVar[Mapping[str, Any]] = {}
    statistics: ClassVar[Statistics] = Statistics()
    cutoff: ClassVar[float] = 4.5
    node_dim: ClassVar[int] = 7

    def features(self) -> PlainFeatures:
        """Features to try the part with; override for one that needs others."""
        return PlainFeatures(self.node_dim, self.cutoff)

    def graph(self, *atoms: ase.Atoms, dtype: torch.dtype = torch.float64) -> CrystalGraph:
        """Batch of ``atoms`` with all edges within the cutoff, and the fields that the part reads."""
        fields = self.part.fields(opt.make(self.part.options, self.options, owner=self.part.name))
        return collate([with_fields(build_graph(a, cutoff=self.cutoff), fields) for a in atoms], dtype)

    def build(self, elements: tuple[int, ...] = ()) -> Any:
        """A fresh module in float64; of a training split with ``elements``."""
        plain = self.features()
        options: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        statistics = with_elements(self.statistics, elements) if elements else self.statistics
        return cast(nn.Module, self.part.build(options, plain.node_dim, plain.edge_dim, statistics)).double()

    def module(self) -> Any:
        """The same module in every call, in evaluation mode."""
        torch.manual_seed(0)
        return self.build().eval()

    def run(self, module: nn.Module, graph: CrystalGraph) -> Tensor:
        """Embedding of every atom, (N, F)."""
        return cast(Tensor, module(graph, self.features()(graph)).nodes)

    def embed(self, *atoms: ase.Atoms) -> Tensor:
        """Embedding of the atoms of a batch, (N, F)."""
        return self.run(self.module(), self.graph(*atoms)).detach()

    def test_declared_dimensions(self) -> None:
        """embedding_dim, edge_dim and irreps tell the truth."""
        graph, module = self.graph(*crystals.all_crystals()), self.module()
        assert self.run(module, graph).shape == (graph.n_atoms, module.embedding_dim), (
            "nodes are not (N, embedding_dim)"
        )
        shape, found = shape_of(module), module(graph, self.features()(graph))
        edges = None if found.edges is None else tuple(found.edges.shape)
        expected = (graph.n_edges, shape.edge_dim) if shape.edge_dim else None
        assert edges == expected, f"edges are {edges}, expected {expected} (edge_dim {shape.edge_dim})"
        carried = found.irreps or Irreps.scalars(module.embedding_dim)
        assert carried == shape.irreps, f"embeddings carry irreps {carried}, the module says {shape.irreps}"

    def test_finite(self) -> None:
        """Finite for every crystal."""
        for atoms in crystals.all_crystals():
            assert torch.isfinite(self.embed(atoms)).all(), f"{atoms.symbols}: embedding is not finite"

    def test_edgeless_atoms(self) -> None:
        """No edges at all: finite embedding, finite gradients."""
        graph, module = self.graph(crystals.isolated()), self.module()
        out = self.run(module, graph)
        assert out.shape[0] == 1
        assert torch.isfinite(out).all(), "embedding of an isolated atom is not finite"
        torch.autograd.backward(out.sum())
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        assert all(torch.isfinite(g).all() for g in gradients), "gradient of an isolated atom is not finite"

    def test_translation(self) -> None:
        """Moving all atoms changes nothing."""
        atoms = crystals.rattled()
        same(self.embed(crystals.translated(atoms)), self.embed(atoms), "translation")

    def test_rotation(self) -> None:
        """Turning crystal and cell changes no scalar; vectors and tensors turn with them, as the irreps say."""
        for atoms in (crystals.rattled(), crystals.slab()):
            turn = representation(shape_of(self.module()).irreps, rotation())
            same(self.embed(crystals.rotated(atoms)), self.embed(atoms) @ turn.T, "rotation")

    def test_mirror(self) -> None:
        """What is declared odd changes its sign in a mirror, what is declared even does not (if anything is odd)."""
        irreps = shape_of(self.module()).irreps
        if not any(kind.endswith("o") for kind in irreps.kinds):
            return  # scalars may know left from right; even-only tensors mix both
        atoms = crystals.rattled()
        mirrored = atoms.copy()
        mirrored.set_cell(-atoms.cell.array, scale_atoms=False)
        mirrored.positions = -atoms.positions
        turn = representation(irreps, -np.eye(3))
        same(self.embed(mirrored), self.embed(atoms) @ turn.T, "mirror")

    def test_edges(self) -> None:
        """Features of edges are scalars: nothing that moves or turns the whole, and no other crystal, changes them."""
        if not shape_of(self.module()).edge_dim:
            return
        atoms, module = crystals.rattled(), self.module()

        def edges(*some: ase.Atoms) -> Tensor:
            graph = self.graph(*some)
            return cast(Tensor, module(graph, self.features()(graph)).edges).detach()

        alone = edges(atoms)
        assert torch.isfinite(edges(*crystals.all_crystals())).all(), "edges are not finite"
        same(edges(crystals.rotated(atoms)), alone, "rotation of edges")
        same(edges(crystals.translated(atoms)), alone, "translation of edges")
        same(edges(crystals.slab(), atoms)[-len(alone) :], alone, "edges in a batch")

    def test_permutation(self) -> None:
        """Another order of the atoms is another order of the embedding."""
        moved, order = crystals.permuted(crystals.rattled())
        same(self.embed(moved), self.embed(crystals.rattled())[torch.as_tensor(order)], "permutation")

    def test_rewrapping(self) -> None:
        """Atoms may lie in any image of the cell."""
        atoms = crystals.rattled()
        same(self.embed(crystals.rewrapped(atoms)), self.embed(atoms), "re-wrapping")

    def test_supercell(self) -> None:
        """Every atom of a supercell has the embedding of its copy."""
        atoms = crystals.rattled()
        same(self.embed(atoms.repeat((1, 2, 1))), self.embed(atoms).repeat(2, 1), "supercell")
        one = crystals.one_atom()
        same(self.embed(one.repeat((2, 2, 2))), self.embed(one).repeat(8, 1), "supercell of one atom")

    def test_batch(self) -> None:
        """In evaluation mode a batch of k is k batches of one."""
        alone = torch.cat([self.embed(a) for a in crystals.all_crystals()])
        same(self.embed(*crystals.all_crystals()), alone, "batch")

    def test_order_of_edges(self) -> None:
        """The neighbors of an atom have no order."""
        graph, module = self.graph(crystals.rattled()), self.module()
        shuffled = torch.randperm(graph.n_edges, generator=torch.Generator().manual_seed(0))
        order = shuffled[torch.sort(graph.edge_index[0][shuffled], stable=True).indices]
        other = replace(graph, edge_index=graph.edge_index[:, order], cell_shifts=graph.cell_shifts[order])
        same(self.run(module, other), self.run(module, graph), "order of the edges")

    def test_gradient(self) -> None:
        """The embedding can be differentiated with respect to positions."""
        graph, module = self.graph(crystals.rattled(), crystals.slab()), self.module()
        weights = torch.randn(
            graph.n_atoms, module.embedding_dim, generator=torch.Generator().manual_seed(3), dtype=torch.float64
        )
        check_gradient(
            lambda x: (self.run(module, replace(graph, positions=x)) * weights).sum(),
            graph.positions,
            f"embedding of {self.part.name}",
        )

    def test_smooth_cutoff(self) -> None:
        """With an envelope, an edge comes and goes without a jump."""
        inside = self.embed(crystals.pair(self.cutoff - compare.ACROSS))
        outside = self.embed(crystals.pair(self.cutoff + compare.ACROSS))
        same(inside, outside, "an edge at the cutoff", compare.SMOOTH)

    def test_sees_its_neighbors(self) -> None:
        """Moving an atom within the cutoff changes the embedding of its neighbor."""
        near, far = self.embed(crystals.pair(2.0)), self.embed(crystals.pair(2.5))
        assert float((near - far).abs().max()) > compare.SMOOTH, "the embedding does not depend on distances"

    def test_training_step(self) -> None:
        """In training mode every parameter gets a finite gradient."""
        graph, module = self.graph(*crystals.all_crystals()), self.module().train()
        torch.autograd.backward((self.run(module, graph) ** 2).sum())
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, f"parameter '{name}' has no gradient"
            assert torch.isfinite(parameter.grad).all(), f"gradient of '{name}' is not finite"

    def test_reproducible(self) -> None:
        """One seed, one module."""
        first, second = self.module().state_dict(), self.module().state_dict()
        assert all(torch.equal(first[k], second[k]) for k in first), "weights differ for one seed"

    def test_precision(self) -> None:
        """float32 is near float64."""
        atoms = crystals.all_crystals()
        expected = self.embed(*atoms)
        graph = self.graph(*atoms, dtype=torch.float32)
        features = self.features().float()
        found = self.module().float()(graph, features(graph)).nodes
        assert found.dtype == torch.float32, "embedding of float32 features is not float32"
        same(found, expected, "float32 against float64", compare.SINGLE_PRECISION)

    def test_save_load(self) -> None:
        """Everything that matters is in the state."""
        graph = self.graph(*crystals.all_crystals())
        check_save_load(self.build, lambda m: self.run(m, graph), f"architecture {self.part.name}")

    def test_same_elsewhere(self) -> None:
        """Saved here, it says the same with other threads and where decompositions come out otherwise."""
        graph = self.graph(*crystals.all_crystals())
        check_elsewhere(self.build, lambda m: self.run(m, graph), f"architecture {self.part.name}")

    def test_element_tables(self) -> None:
        """Every shape that hangs on the number of elements is declared."""
        check_tables(self.build, f"architecture {self.part.name}")

    def test_other_elements(self) -> None:
        """Trained on with other elements, crystals of those that stay have the same embedding."""
        check_carried(self.build, lambda m, atoms: self.run(m, self.graph(atoms)), f"architecture {self.part.name}")
