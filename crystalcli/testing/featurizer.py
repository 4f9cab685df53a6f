"""What every featurizer must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import ase
import numpy as np
import torch
from torch import Tensor, nn

from crystalcli.contracts import options as opt
from crystalcli.contracts.modules import Features
from crystalcli.contracts.records import Featurizer, Statistics
from crystalcli.nouns.graph import CrystalGraph, collate, edge_lengths, sum_over_neighbors
from crystalcli.testing import compare, crystals
from crystalcli.testing.compare import check_elsewhere, check_gradient, check_save_load, same
from crystalcli.testing.elements import check_carried, check_tables, with_elements
from crystalcli.testing.embeddings import with_fields


class FeaturizerContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    Features of edges are compared as sums over the edges of each atom, so the order of edges is free.
    """

    part: ClassVar[Featurizer]
    options: ClassVar[Mapping[str, Any]] = {}
    embed_options: ClassVar[Mapping[str, Any]] = {}
    statistics: ClassVar[Statistics] = Statistics()

    def crystals(self) -> Sequence[ase.Atoms]:
        """Crystals to try; override for a featurizer of special systems."""
        return crystals.all_crystals()

    def graph(self, *atoms: ase.Atoms, dtype: torch.dtype = torch.float64) -> CrystalGraph:
        """Batch of ``atoms`` as the part builds it."""
        build = self.part.build(opt.make(self.part.options, self.options, owner=self.part.name))
        fields = self.part.fields(opt.make(self.part.embed_options, self.embed_options, owner=self.part.name))
        return collate([with_fields(build(a), fields) for a in atoms], dtype)

    def module(self) -> nn.Module:
        """The part's feature module with weights in float64, the same in every call."""
        torch.manual_seed(0)
        return self.build().eval()

    def build(self, elements: tuple[int, ...] = ()) -> nn.Module:
        """A fresh feature module in float64; of a training split with ``elements``."""
        choices: Any = opt.make(self.part.embed_options, self.embed_options, owner=self.part.name)
        fixed: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        statistics = with_elements(self.statistics, elements) if elements else self.statistics
        return cast(nn.Module, self.part.embed(choices, fixed, statistics)).double()

    def per_atom(self, *atoms: ase.Atoms) -> Tensor:
        """Features of every atom and the sum over its edges, (N, D + K + 1)."""
        graph = self.graph(*atoms)
        return summed(graph, self.module()(graph))

    def test_graph_arrays_are_well_formed(self) -> None:
        """Edges sorted by centre, no atom its own neighbor, integer shifts, nothing out of range."""
        build = self.part.build(opt.make(self.part.options, self.options, owner=self.part.name))
        for atoms in self.crystals():
            a = build(atoms)
            assert a.positions.shape == (len(atoms), 3), "positions are not (N, 3)"
            assert a.edge_index.shape == (2, len(a.cell_shifts)), "edge_index and cell_shifts do not match"
            assert a.edge_index.dtype == np.int64, "edge_index is not int64"
            assert (np.diff(a.edge_index[0]) >= 0).all(), "edges are not sorted by centre"
            assert a.edge_index.size == 0 or (a.edge_index.min() >= 0 and a.edge_index.max() < len(atoms))
            own = (a.edge_index[0] == a.edge_index[1]) & (a.cell_shifts == 0).all(axis=1)
            assert not own.any(), "an atom is its own neighbor in the same cell"
            assert (a.cell_shifts[:, ~np.asarray(atoms.pbc)] == 0).all(), "image along a direction without periodicity"

    def test_declared_dimensions(self) -> None:
        """node_dim, edge_dim and ``provides`` tell the truth."""
        graph, module = self.graph(*self.crystals()), self.module()
        features: Features = module(graph)
        assert features.nodes.shape == (graph.n_atoms, module.node_dim), "nodes are not (N, node_dim)"
        assert ("edge-features" in self.part.provides) == (features.edges is not None), "edge-features against provides"
        if features.edges is not None:
            assert features.edges.shape == (graph.n_edges, module.edge_dim), "edges are not (E, edge_dim)"
        if features.envelope is not None:
            assert features.envelope.shape == (graph.n_edges,), "envelope is not (E,)"
        assert ("smooth-cutoff" in self.part.provides) == (features.envelope is not None), "envelope against provides"

    def test_finite(self) -> None:
        """Finite features for every crystal, without denormal numbers."""
        for atoms in self.crystals():
            found = self.per_atom(atoms)
            assert torch.isfinite(found).all(), f"{atoms.symbols}: features are not finite"
        graph = self.graph(*self.crystals(), dtype=torch.float32)
        edges = self.module().float()(graph).edges
        if edges is not None:
            tiny = (edges != 0) & (edges.abs() < torch.finfo(torch.float32).tiny)
            assert not tiny.any(), "edge features contain denormal numbers, which slow every product"

    def test_edgeless_atoms(self) -> None:
        """A crystal without edges is legal."""
        graph = self.graph(crystals.isolated())
        features = self.module()(graph)
        assert graph.n_edges == 0, "an atom alone in 60 Å has edges"
        assert features.nodes.shape[0] == 1
        assert torch.isfinite(features.nodes).all()

    def test_translation(self) -> None:
        """Moving all atoms changes nothing."""
        for atoms in self.crystals():
            same(self.per_atom(crystals.translated(atoms)), self.per_atom(atoms), f"translation of {atoms.symbols}")

    def test_rotation(self) -> None:
        """Turning crystal and cell changes nothing."""
        atoms = crystals.rattled()
        same(self.per_atom(crystals.rotated(atoms)), self.per_atom(atoms), "rotation")

    def test_permutation(self) -> None:
        """Another order of the atoms is another order of the features."""
        moved, order = crystals.permuted(crystals.rattled())
        same(self.per_atom(moved), self.per_atom(crystals.rattled())[torch.as_tensor(order)], "permutation")

    def test_rewrapping(self) -> None:
        """Atoms may lie in any image of the cell."""
        for atoms in self.crystals():
            same(self.per_atom(crystals.rewrapped(atoms)), self.per_atom(atoms), f"re-wrapping of {atoms.symbols}")

    def test_supercell(self) -> None:
        """Every atom of a supercell has the features of its copy."""
        atoms = crystals.rattled()
        same(self.per_atom(atoms.repeat((2, 1, 1))), self.per_atom(atoms).repeat(2, 1), "supercell")
        one = crystals.one_atom()
        same(self.per_atom(one.repeat((2, 2, 2))), self.per_atom(one).repeat(8, 1), "supercell of one atom")

    def test_batch(self) -> None:
        """A batch of k is k batches of one."""
        alone = torch.cat([self.per_atom(a) for a in self.crystals()])
        same(self.per_atom(*self.crystals()), alone, "batch")

    def test_gradient(self) -> None:
        """Features can be differentiated with respect to positions."""
        graph, module = self.graph(crystals.rattled(), crystals.slab()), self.module()
        weights: list[Tensor] = []

        def projected(positions: Tensor) -> Tensor:
            features = summed(graph, module(replace(graph, positions=positions)))
            if not weights:
                weights.append(torch.randn(features.shape, generator=torch.Generator().manual_seed(3)).double())
            return (features * weights[0]).sum()

        check_gradient(projected, graph.positions, f"features of {self.part.name}")

    def test_precision(self) -> None:
        """float32 graphs give float32 features near those in float64."""
        double, single = self.graph(*self.crystals()), self.graph(*self.crystals(), dtype=torch.float32)
        module = self.module()
        expected = summed(double, module(double))
        features = module.float()(single)
        assert features.nodes.dtype == torch.float32, "nodes of a float32 graph are not float32"
        assert features.edges is None or features.edges.dtype == torch.float32, "edges are not float32"
        same(summed(single, features), expected, "float32 against float64", compare.SINGLE_PRECISION)

    def test_smooth_cutoff(self) -> None:
        """With ``smooth-cutoff``, an edge comes and goes without a jump."""
        if "smooth-cutoff" not in self.part.provides:
            return
        reach = self.reach()
        inside = self.graph(crystals.pair(reach - compare.ACROSS))
        outside = self.graph(crystals.pair(reach + compare.ACROSS))
        assert inside.n_edges == 2, f"no edge just inside {reach} Å"
        assert outside.n_edges == 0, f"an edge just outside {reach} Å"
        envelope = self.module()(inside).envelope
        assert float(envelope.abs().max()) < compare.SMOOTH, "the envelope does not vanish at the cutoff"

    def reach(self) -> float:
        """Cutoff in Å: the longest edge of a chain of pairs, found by bisection."""
        low, high = 0.5, 40.0
        while high - low > compare.ACROSS / 10:
            middle = (low + high) / 2
            low, high = (middle, high) if self.graph(crystals.pair(middle)).n_edges else (low, middle)
        return low

    def test_edges_are_the_near_ones(self) -> None:
        """No edge is longer than the reach of the featurizer."""
        graph = self.graph(*self.crystals())
        assert graph.n_edges == 0 or float(edge_lengths(graph).max()) <= self.reach() + compare.ACROSS

    def test_save_load(self) -> None:
        """Weights and tables are in the state."""
        check_save_load(self.build, self.said, f"featurizer {self.part.name}")

    def test_same_elsewhere(self) -> None:
        """Saved here, it says the same with other threads and where decompositions come out otherwise."""
        check_elsewhere(self.build, self.said, f"featurizer {self.part.name}")

    def said(self, module: nn.Module) -> Tensor:
        """Features of all crystals, their edges found anew."""
        graph = self.graph(*self.crystals())
        return summed(graph, module(graph))

    def test_element_tables(self) -> None:
        """Every shape that hangs on the number of elements is declared; the widths do not."""
        check_tables(self.build, f"featurizer {self.part.name}")
        few, many = (cast(Any, self.build(elements)) for elements in ((8, 22), (8, 13, 22)))
        assert (few.node_dim, few.edge_dim) == (many.node_dim, many.edge_dim), (
            "node_dim and edge_dim hang on the number of elements: no architecture could be trained on with others"
        )

    def test_other_elements(self) -> None:
        """Trained on with other elements, crystals of those that stay have the same features."""

        def run(module: nn.Module, atoms: ase.Atoms) -> Tensor:
            graph = self.graph(atoms)
            return summed(graph, module(graph))

        check_carried(self.build, run, f"featurizer {self.part.name}")


def summed(graph: CrystalGraph, features: Features) -> Tensor:
    """Node features beside the sums of edge features and envelope over the edges of each atom."""
    pieces = [features.nodes]
    if features.edges is not None:
        pieces.append(sum_over_neighbors(graph, features.edges))
    if features.envelope is not None:
        pieces.append(sum_over_neighbors(graph, features.envelope.unsqueeze(-1)))
    return torch.cat(pieces, dim=1)
