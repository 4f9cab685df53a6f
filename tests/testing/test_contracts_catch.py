"""Each contract class fails a plugin that breaks it: parts with one deliberate fault each."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.irreps import Irreps
from crystalcli.contracts.modules import Embedding, Features, Prediction
from crystalcli.contracts.nn.basis import GaussianBasis
from crystalcli.contracts.nn.losses import masked_error
from crystalcli.contracts.records import Architecture, Featurizer, Head
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import edge_lengths, max_per_structure, mean_per_structure, sum_over_neighbors
from crystalcli.nouns.images import minimum_image
from crystalcli.nouns.neighbors import build_graph
from crystalcli.testing import ArchitectureContract, FeaturizerContract, HeadContract
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class Nothing:
    """No options."""


def ring(n: int) -> torch.Tensor:
    """Springs on a ring, (n, n): every frequency but two comes twice."""
    one = torch.eye(n, dtype=torch.float64)
    return 2.0 * one - one.roll(1, 0) - one.roll(-1, 0)


DECOMPOSED = {
    "axes of torch": lambda m: torch.linalg.eigh(m).eigenvectors,
    "axes of numpy": lambda m: torch.from_numpy(np.linalg.eigh(m.numpy())[1]),
    "axes of scipy": lambda m: torch.from_numpy(scipy.linalg.eigh(m.numpy())[1]),
    "singular vectors": lambda m: torch.linalg.svd(m)[0],
    "singular vectors of scipy": lambda m: torch.from_numpy(scipy.linalg.svd(m.numpy())[2]),
    "orthogonal factor": lambda m: torch.linalg.qr(m)[0],
    "orthogonal factor of numpy": lambda m: torch.from_numpy(np.linalg.qr(m.numpy())[0]),
}
"""What a part must not work out anew."""


class Turned(nn.Module):
    """Maps rows (n, dim) by what a decomposition gives; kept in the state or not."""

    def __init__(self, dim: int, fault: str, kept: bool = False) -> None:
        super().__init__()
        self.register_buffer("map", DECOMPOSED[fault](ring(dim)), persistent=kept)

    def forward(self, x):
        return x @ self.map.to(x.dtype)


def turning(dim: int, fault: str) -> nn.Module:
    return Turned(dim, fault.removesuffix(", kept"), fault.endswith(", kept")) if fault[:4] in STARTS else nn.Identity()


STARTS = {f[:4] for f in DECOMPOSED}


# featurizers


class Edges(nn.Module):
    """A sound feature module, with a switch for each fault."""

    def __init__(self, fault: str = "", elements: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.fault = fault
        self.table = torch.linspace(-1, 1, 119, dtype=torch.float64).unsqueeze(1)
        self.basis = GaussianBasis(0.0, 4.0, 0.5)
        self.node_dim, self.edge_dim = 1 + (fault == "one column per element") * len(elements), self.basis.dim
        self.edge_dim += fault == "dimensions"
        self.hidden = float(torch.rand(())) if fault == "state" else 0.0
        self.turned = turning(self.basis.dim, fault)

    def forward(self, graph):
        r = edge_lengths(graph)
        if self.fault == "detached":
            r = r.detach()
        nodes = self.table.index_select(0, graph.atomic_numbers).to(r.dtype)
        if self.fault == "position":
            nodes = nodes + graph.positions[:, :1]
        if self.fault == "batch":
            nodes = nodes + nodes.mean()
        edges = self.turned(self.basis(r))
        if self.fault == "direction":
            edges = edges * graph.cell_shifts[:, :1].to(r.dtype).add(1.0)
        if self.fault == "denormal":
            edges = torch.exp(-(((r.unsqueeze(-1) - self.basis.centers.to(r.dtype)) / 0.2) ** 2))
        if self.fault == "double":
            nodes, edges = nodes.double(), edges.double()
        if self.fault == "state":
            nodes = nodes + self.hidden
        if self.fault == "nan":
            nodes = nodes / graph.row_pointers.diff().unsqueeze(1)
        envelope = None if self.fault != "jump" else torch.ones_like(r)
        return Features(nodes, edges, envelope)


def build_with(fault: str):
    def build(_options):
        def one(atoms):
            a = build_graph(atoms, cutoff=4.0)
            keep = np.ones(a.n_edges, bool)
            order = np.arange(a.n_edges)
            if fault == "home cell only":
                keep = ~a.cell_shifts.any(axis=1)
            if fault == "unsorted":
                order = order[::-1]
            return GraphArrays(
                a.positions, a.cell, a.pbc, a.atomic_numbers, a.edge_index[:, keep][:, order[: keep.sum()]]
                if fault != "unsorted" else a.edge_index[:, order], a.cell_shifts[keep] if fault != "unsorted"
                else a.cell_shifts[order],
            )  # fmt: skip

        return one

    return build


def featurizer(fault: str) -> FeaturizerContract:
    class Broken(FeaturizerContract):
        part = Featurizer(
            name="broken",
            summary="",
            options=Nothing,
            embed_options=Nothing,
            build=build_with(fault),
            embed=lambda _e, _o, s: Edges(fault, s.elements),
            provides=frozenset({"edge-features"} | ({"smooth-cutoff"} if fault == "jump" else set())),
        )

    return Broken()


FEATURIZER_FAULTS = {
    "dimensions": "test_declared_dimensions",
    "detached": "test_gradient",
    "position": "test_translation",
    "batch": "test_batch",
    "direction": "test_rewrapping",
    "denormal": "test_finite",
    "double": "test_precision",
    "state": "test_save_load",
    "nan": "test_edgeless_atoms",
    "jump": "test_smooth_cutoff",
    "home cell only": "test_supercell",
    "unsorted": "test_graph_arrays_are_well_formed",
    "axes of scipy": "test_same_elsewhere",
    "one column per element": "test_element_tables",
}


@pytest.mark.parametrize("fault", FEATURIZER_FAULTS)
def test_featurizers(fault: str) -> None:
    with pytest.raises(AssertionError):
        getattr(featurizer(fault), FEATURIZER_FAULTS[fault])()
    getattr(featurizer(""), FEATURIZER_FAULTS[fault])()


# architectures


class Species(nn.Module):
    """A sound table of elements, with another of pairs, and switches for faults of theirs."""

    def __init__(self, elements: tuple[int, ...], fault: str) -> None:
        super().__init__()
        n, self.fault = len(elements), fault
        self.elements = tuple(sorted(elements)) if fault == "rows in an order of their own" else elements
        self.register_buffer("place", torch.zeros(119, dtype=torch.int64), persistent=False)
        self.place[list(self.elements)] = torch.arange(n)
        self.weight = nn.Parameter(torch.randn(n))
        self.pairs = nn.Parameter(torch.randn(n, 5, n))
        self.size = n**0.5 if fault == "a scale of their number" else 1.0
        said = {"weight": ElementTable(0), "pairs": ElementTable(0, 2)}
        if fault == "undeclared":
            del said["weight"]
        if fault == "one axis of two":
            said["pairs"] = ElementTable(0)
        if fault == "another axis":
            said["pairs"] = ElementTable(0, 1)
        if fault == "no such tensor":
            said["weights"] = ElementTable(0)
        self.element_tables = said
        self.seldom = nn.Parameter(torch.zeros(3)) if fault == "a tensor for many" and n > 4 else None

    def forward(self, graph):
        kind = self.place.index_select(0, graph.atomic_numbers)
        pairs = self.pairs[kind].mean((1, 2)) if self.fault == "rows of others count" else self.pairs[kind, 0, kind]
        return (self.size * self.weight[kind] + pairs).unsqueeze(1)


class Net(nn.Module):
    """A sound architecture of one sum over neighbors, with a switch for each fault."""

    def __init__(self, node_dim: int, edge_dim: int, fault: str, elements: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.species = Species(elements or tuple(range(1, 119)), fault)
        self.fault, self.embedding_dim = fault, 4 + (fault == "dimensions")
        self.map, self.edges = nn.Linear(node_dim, 4), nn.Linear(edge_dim, 4)
        self.unused = nn.Linear(2, 2) if fault == "unused" else None
        self.turned = turning(4, fault)
        self.order = 0.5 if fault != "unseeded" else float(np.random.default_rng().random())
        with torch.no_grad():
            self.map.bias.fill_(self.order)

    def forward(self, graph, features):
        messages = torch.tanh(self.edges(features.edges)) + self.map(features.nodes).index_select(
            0, graph.edge_index[1]
        )
        if self.fault != "cutoff":
            messages = messages * features.envelope.unsqueeze(-1)
        if self.fault == "order":
            messages = messages * torch.linspace(0, 1, len(messages)).to(messages.dtype).unsqueeze(-1)
        if self.fault == "detached":
            messages = messages.detach()
        summed = sum_over_neighbors(graph, messages)
        if self.fault == "mean":
            summed = summed / graph.row_pointers.diff().unsqueeze(-1)
        nodes = self.map(features.nodes) + (0.0 if self.fault == "blind" else 1.0) * summed
        if self.fault == "position":
            nodes = nodes + graph.positions.mean()
        if self.fault == "first atom":
            nodes = nodes + nodes[:1]
        if self.fault == "double":
            nodes = nodes.double()
        if self.fault == "batch norm":
            nodes = nodes - nodes.mean(0)
        return Embedding(self.turned(nodes) + self.species(graph).to(nodes.dtype))


def architecture(fault: str) -> ArchitectureContract:
    class Broken(ArchitectureContract):
        part = Architecture(
            name="broken", summary="", build=lambda _o, n, e, s: Net(n, e, fault, s.elements), featurizer="", head=""
        )

    return Broken()


ARCHITECTURE_FAULTS = {
    "dimensions": "test_declared_dimensions",
    "unused": "test_training_step",
    "batch norm": "test_batch",
    "unseeded": "test_reproducible",
    "cutoff": "test_smooth_cutoff",
    "order": "test_order_of_edges",
    "detached": "test_gradient",
    "mean": "test_edgeless_atoms",
    "blind": "test_sees_its_neighbors",
    "position": "test_translation",
    "first atom": "test_permutation",
    "double": "test_precision",
    **dict.fromkeys(DECOMPOSED, "test_same_elsewhere"),
    "undeclared": "test_element_tables",
    "one axis of two": "test_element_tables",
    "another axis": "test_element_tables",
    "no such tensor": "test_element_tables",
    "a tensor for many": "test_element_tables",
    "rows in an order of their own": "test_other_elements",
    "a scale of their number": "test_other_elements",
    "rows of others count": "test_other_elements",
}


@pytest.mark.parametrize("fault", ARCHITECTURE_FAULTS)
def test_architectures(fault: str) -> None:
    with pytest.raises((AssertionError, UsageError)):
        getattr(architecture(fault), ARCHITECTURE_FAULTS[fault])()
    getattr(architecture(""), ARCHITECTURE_FAULTS[fault])()


@pytest.mark.parametrize("found", DECOMPOSED)
def test_what_is_kept_in_the_state_may_come_from_anything(found: str) -> None:
    architecture(f"{found}, kept").test_same_elsewhere()


# heads


class Readout(nn.Module):
    """A sound head, with a switch for each fault."""

    def __init__(self, dim: int, targets, statistics, fault: str) -> None:
        super().__init__()
        self.fault, self.targets, self.extensive = fault, targets, fault == "extensive"
        self.linear = nn.Linear(dim, len(targets))
        self.mean = [statistics.target_mean[t.name] for t in targets]
        self.scale = [statistics.target_scale[t.name] for t in targets]
        self.offset = float(torch.rand(())) if fault == "state" else 0.0
        self.turned = turning(dim, fault)
        if fault == "undeclared":
            self.register_buffer("table", torch.zeros(len(statistics.elements)))

    def forward(self, graph, embedding):
        nodes = embedding.nodes
        if self.fault == "order":
            nodes = nodes * (1 + torch.arange(len(nodes)).unsqueeze(1))
        pooled = (max_per_structure if self.fault == "max of all" else mean_per_structure)(graph, nodes)
        if self.fault == "batch":
            pooled = pooled - pooled.mean(0)
        if self.fault == "detached":
            pooled = pooled.detach() + 0 * pooled
        out = self.linear(self.turned(pooled)) + self.offset
        names = self.targets[:1] if self.fault == "forgets" else self.targets
        found = {}
        for k, t in enumerate(names):
            value = self.mean[k] + self.scale[k] * out[:, k]
            found[t.name] = Prediction(value.float() if self.fault == "float32" else value, t)
        return found

    def loss(self, predictions, labels, graph, kind):  # noqa: ARG002
        total = 0.0
        for k, t in enumerate(self.targets):
            unit = torch.tensor(1.0 if self.fault == "units" else self.scale[k])
            value = predictions[t.name].value
            if self.fault == "zeros for missing":
                known = torch.nan_to_num(labels[t.name].value)
                total = total + ((value - known) / unit).abs().mean()
            elif self.fault == "no error" and kind == "mse":
                total = total + (value / unit).square().mean()
            elif self.fault == "nan without labels":
                total = total + ((value - labels[t.name].value)[labels[t.name].mask] / unit).abs().mean()
            else:
                total = total + masked_error(value, labels[t.name], unit, "l1" if self.fault == "any loss" else kind)
        return total


def head(fault: str) -> HeadContract:
    class Broken(HeadContract):
        part = Head(name="broken", summary="", build=lambda _o, d, t, s: Readout(d.node_dim, t, s, fault))

    return Broken()


HEAD_FAULTS = {
    "forgets": "test_predicts_every_target",
    "float32": "test_predicts_every_target",
    "order": "test_permutation",
    "batch": "test_batch",
    "extensive": "test_supercell",
    "detached": "test_gradient",
    "zeros for missing": "test_missing_labels_do_not_count",
    "nan without labels": "test_no_labels_at_all",
    "units": "test_loss_is_in_normalised_units",
    "no error": "test_loss_measures_the_error",
    "any loss": "test_unknown_loss",
    "state": "test_save_load",
    "axes of numpy": "test_same_elsewhere",
    "orthogonal factor": "test_same_elsewhere",
    "undeclared": "test_element_tables",
}


@pytest.mark.parametrize("fault", HEAD_FAULTS)
def test_heads(fault: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(head(fault), HEAD_FAULTS[fault])()
    getattr(head(""), HEAD_FAULTS[fault])()


class SiteReadout(Readout):
    """The same for sites."""

    def forward(self, graph, embedding):
        nodes = embedding.nodes
        if self.fault == "order":
            nodes = nodes * (1 + torch.arange(len(nodes)).unsqueeze(1))
        if self.fault == "batch":
            nodes = nodes - nodes.mean(0)
        if self.fault == "supercell":
            nodes = nodes * graph.atom_counts[graph.structure_index].unsqueeze(1)
        out = self.linear(nodes)
        if self.fault == "pooled":
            out = mean_per_structure(graph, out)
        return {t.name: Prediction(self.mean[k] + self.scale[k] * out[:, k], t) for k, t in enumerate(self.targets)}


SITE_FAULTS = {
    "pooled": "test_predicts_every_target",
    "order": "test_permutation",
    "batch": "test_batch",
    "supercell": "test_supercell",
    "zeros for missing": "test_missing_labels_do_not_count",
}


def site_head(fault: str) -> HeadContract:
    class Broken(HeadContract):
        part = Head(
            name="broken", summary="", level="site", build=lambda _o, d, t, s: SiteReadout(d.node_dim, t, s, fault)
        )

    return Broken()


@pytest.mark.parametrize("fault", SITE_FAULTS)
def test_heads_of_sites(fault: str) -> None:
    with pytest.raises(AssertionError):
        getattr(site_head(fault), SITE_FAULTS[fault])()
    getattr(site_head(""), SITE_FAULTS[fault])()


# what turns


class Turning(nn.Module):
    """A sound architecture with four scalars, two vectors and edges, with a switch for each fault."""

    def __init__(self, node_dim: int, fault: str) -> None:
        super().__init__()
        self.fault, self.scalars = fault, nn.Linear(node_dim, 4)
        self.weights, self.embedding_dim, self.edge_dim = nn.Linear(node_dim, 2), 10, 1 + (fault == "edge width")
        kinds = {
            "vectors as scalars": "10x0e",
            "parity": "3x0e+1x0o+2x1o",
            "order of terms": "2x1o+4x0e",
            "not as wide": "4x0e+1x1o",
        }
        self.irreps = kinds.get(fault, "4x0e+2x1o")

    def forward(self, graph, features):
        r = features.distances
        weights = self.weights(features.nodes).index_select(0, graph.edge_index[1]) * features.envelope.unsqueeze(1)
        ways = r.vectors / r.lengths.unsqueeze(1)
        if self.fault == "components mixed":
            ways = ways[:, [1, 2, 0]]
        vectors = sum_over_neighbors(graph, (weights[:, :, None] * ways[:, None]).flatten(1))
        if self.fault == "components first":
            vectors = vectors.unflatten(1, (2, 3)).transpose(1, 2).flatten(1)
        edges = features.envelope.unsqueeze(1)
        if self.fault == "edges with directions":
            edges = edges * ways[:, :1]
        if self.fault == "edges of the batch":
            edges = edges - edges.mean()
        scalars = self.scalars(features.nodes) + (vectors.square().sum(1, keepdim=True))
        said = "" if self.fault == "says nothing" else self.irreps
        return Embedding(torch.cat([scalars, vectors], 1), edges, Irreps.parse(said) if said else None)


def turning_architecture(fault: str) -> ArchitectureContract:
    class Broken(ArchitectureContract):
        part = Architecture(
            name="broken", summary="", build=lambda _o, n, _e, _s: Turning(n, fault), featurizer="cgcnn", head="crystal"
        )

    return Broken()


TURNING_FAULTS = {
    "edge width": "test_declared_dimensions",
    "says nothing": "test_declared_dimensions",
    "not as wide": "test_declared_dimensions",
    "vectors as scalars": "test_rotation",
    "order of terms": "test_rotation",
    "components mixed": "test_rotation",
    "components first": "test_rotation",
    "parity": "test_mirror",
    "edges with directions": "test_edges",
    "edges of the batch": "test_edges",
}


@pytest.mark.parametrize("fault", TURNING_FAULTS)
def test_architectures_with_vectors_and_edges(fault: str) -> None:
    with pytest.raises((AssertionError, UsageError)):
        getattr(turning_architecture(fault), TURNING_FAULTS[fault])()
    getattr(turning_architecture(""), TURNING_FAULTS[fault])()


PLACE = Quantity("place", "Å", "site", shape=(3,), meaning="position")
TENSOR = Quantity("tensor", "", "site", shape=(6,))
BOND = Quantity("bond", "Å", "site")


class Arrows(nn.Module):
    """A sound head of a place, a tensor and a number per site from vectors and edges, with a switch for each fault."""

    def __init__(self, shape, targets, statistics, fault: str) -> None:
        super().__init__()
        self.fault, self.targets = fault, targets
        self.vectors, self.scalars = shape.irreps.columns({"1o"}), shape.irreps.columns({"0e"})
        self.weights, self.bond = nn.Linear(len(self.scalars), 1), nn.Linear(shape.edge_dim, 1)
        self.scale = {t.name: torch.tensor(statistics.target_scale[t.name]) for t in targets}

    def forward(self, graph, embedding):
        vector = embedding.nodes[:, self.vectors][:, :3] * self.weights(embedding.nodes[:, self.scalars])
        if self.fault == "a scalar as a component":
            vector = vector + embedding.nodes[:, self.scalars][:, :3]
        place = vector if self.fault == "from nowhere" else graph.positions + vector
        if self.fault == "in its own frame":
            place = graph.positions + vector.norm(dim=1, keepdim=True) * torch.tensor([0.3, 0.0, 1.0])
        pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
        if self.fault == "another order":
            pairs = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))
        tensor = torch.stack([vector[:, i] * vector[:, j] for i, j in pairs], 1)
        edges = embedding.edges.detach() + 0 * embedding.edges if self.fault == "edges detached" else embedding.edges
        bond = sum_over_neighbors(graph, self.bond(edges) * edge_lengths(graph).unsqueeze(1))[:, 0]
        values = dict(zip((PLACE.name, TENSOR.name, BOND.name), (place, tensor, bond), strict=True))
        return {t.name: Prediction(values[t.name], t) for t in self.targets}

    def loss(self, predictions, labels, graph, kind):
        total = 0.0
        for t in self.targets:
            label, value = labels[t.name], predictions[t.name].value
            if t.meaning == "position" and self.fault != "far images":
                known = torch.where(label.mask[:, None], label.value, value)
                value = known + minimum_image(graph, value - known)
            total = total + masked_error(value, label, self.scale[t.name], kind)
        return total


def arrows(fault: str) -> HeadContract:
    class Broken(HeadContract):
        targets, means, scales = (PLACE, TENSOR, BOND), (0.0, 0.0, 1.0), (0.5, 2.0, 1.0)
        part = Head(
            name="broken",
            summary="",
            level="site",
            build=lambda _o, d, t, s: Arrows(d, t, s, fault),
            irreps=("0e", "1o"),
            edges=True,
        )

    return Broken()


ARROW_FAULTS = {
    "a scalar as a component": "test_rotation",
    "in its own frame": "test_rotation",
    "another order": "test_rotation",
    "from nowhere": "test_translation",
    "edges detached": "test_gradient_of_edges",
}


@pytest.mark.parametrize("fault", ARROW_FAULTS)
def test_heads_that_read_vectors_and_edges(fault: str) -> None:
    with pytest.raises(AssertionError):
        getattr(arrows(fault), ARROW_FAULTS[fault])()
    getattr(arrows(""), ARROW_FAULTS[fault])()


@pytest.mark.parametrize("name", [n for n in dir(HeadContract) if n.startswith("test_")])
def test_a_sound_head_of_vectors_and_edges_passes(name: str) -> None:
    getattr(arrows(""), name)()


@pytest.mark.parametrize("name", [n for n in dir(ArchitectureContract) if n.startswith("test_")])
def test_a_sound_architecture_with_vectors_and_edges_passes(name: str) -> None:
    getattr(turning_architecture(""), name)()
