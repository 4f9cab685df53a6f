"""A plugin of toy parts that read fields, move atoms and count errors in their own way; see toy_slabs.py."""

# ruff: noqa: ARG001, ARG002

from dataclasses import dataclass

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Architecture, Head
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class Options:
    width: int = option(8, "features per atom", min=2)
    depth: bool = option(False, "read the array depth, too")


def reads(options):
    return ("fixed", "tags", *(("depth",) if options.depth else ()))


def fixed(options):
    return ("fixed",)


def build(options, node_dim, edge_dim, statistics):
    import torch
    from torch import nn

    from crystalcli.contracts.modules import Embedding

    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding_dim = options.width
            self.layer = nn.Linear(node_dim + len(reads(options)), options.width)

        def forward(self, graph, features):
            fields = [graph.fields[n].to(features.nodes)[:, None] for n in reads(options)]
            return Embedding(self.layer(torch.cat([features.nodes, *fields], 1)))

    return Held()


PLACE = Quantity("relaxed_positions", "Å", "site", shape=(3,), meaning="position")
PHASE = Quantity("phase", "rad", "site")


def build_mover(options, shape, targets, statistics):
    import torch
    from torch import nn

    from crystalcli.contracts.modules import Prediction
    from crystalcli.contracts.nn.losses import masked_error
    from crystalcli.nouns.images import minimum_image

    class Mover(nn.Module):
        """Free atoms go along (0.3, 0, 1), as far as the embedding says, in units of the training's displacements."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(shape.node_dim, 1)
            self.register_buffer("way", torch.tensor([0.3, 0.0, 1.0], dtype=torch.float64))
            self.register_buffer("scale", torch.tensor(statistics.target_scale[PLACE.name], dtype=torch.float64))

        def forward(self, graph, embedding):
            far = self.layer(embedding.nodes).double() * self.scale * (1.0 - graph.fields["fixed"].double()[:, None])
            return {PLACE.name: Prediction(graph.positions.double() + far * self.way, PLACE)}

        def loss(self, predictions, labels, graph, kind):
            from dataclasses import replace

            label = labels[PLACE.name]
            error = minimum_image(graph, predictions[PLACE.name].value - label.value)
            return masked_error(error, replace(label, value=torch.zeros_like(error)), self.scale, kind)

    return Mover()


def build_phase(options, shape, targets, statistics):
    import torch
    from torch import nn

    from crystalcli.contracts.counting import Counted
    from crystalcli.contracts.modules import Prediction

    class Phase(nn.Module):
        """An angle, learned by its sine and cosine, reported in degrees."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(shape.node_dim, 2)

        def forward(self, graph, embedding):
            sine, cosine = self.layer(embedding.nodes).double().unbind(1)
            return {PHASE.name: Prediction(torch.atan2(sine, cosine), PHASE)}

        def loss(self, predictions, labels, graph, kind):
            label = labels[PHASE.name]
            return (1.0 - torch.cos(predictions[PHASE.name].value - label.value))[label.mask].sum()

        def errors(self, predictions, labels, graph):
            difference = predictions[PHASE.name].value - labels[PHASE.name].value
            difference = torch.remainder(difference + torch.pi, 2 * torch.pi) - torch.pi
            return {PHASE.name: Counted(difference, factor=180 / torch.pi, unit="°")}

    return Phase()


def build_arrows(options, node_dim, edge_dim, statistics):
    import torch
    from torch import nn

    from crystalcli.contracts.irreps import Irreps
    from crystalcli.contracts.modules import Embedding
    from crystalcli.nouns.graph import sum_over_neighbors

    class Arrows(nn.Module):
        """Four scalars, two vectors of the directions to neighbors, three numbers of an edge."""

        embedding_dim, edge_dim, irreps = 10, 3, "2x1o+4x0e"

        def __init__(self):
            super().__init__()
            self.scalars = nn.Linear(node_dim, 4)
            self.messages = nn.Sequential(nn.Linear(2 * node_dim + edge_dim, 9), nn.Tanh())

        def forward(self, graph, features):
            centre, neighbor = graph.edge_index
            ends = [features.nodes[neighbor], features.nodes[centre], features.edges]
            messages = self.messages(torch.cat(ends, 1)) * features.envelope.unsqueeze(1)
            ways = features.distances.vectors / features.distances.lengths.unsqueeze(1)
            vectors = (messages[:, :2, None] * ways[:, None]).flatten(1)
            scalars = self.scalars(features.nodes) + sum_over_neighbors(graph, messages[:, 2:6])
            nodes = torch.cat([sum_over_neighbors(graph, vectors), scalars], 1)
            return Embedding(nodes, messages[:, 6:], Irreps.parse(self.irreps))

    return Arrows()


def build_pushes(options, shape, targets, statistics):
    import torch
    from torch import nn

    from crystalcli.contracts.modules import Prediction
    from crystalcli.contracts.nn.losses import masked_error
    from crystalcli.nouns.graph import edge_vectors, sum_over_neighbors
    from crystalcli.nouns.images import minimum_image

    class Pushes(nn.Module):
        """Free atoms are pushed along their vectors and away from their neighbors."""

        def __init__(self):
            super().__init__()
            self.columns = {kind: shape.irreps.columns({kind}) for kind in ("0e", "1o")}
            n = len(self.columns["1o"]) // 3
            self.far, self.push = nn.Linear(len(self.columns["0e"]), n), nn.Linear(shape.edge_dim, 1)
            self.register_buffer("scale", torch.tensor(statistics.target_scale[PLACE.name], dtype=torch.float64))

        def forward(self, graph, embedding):
            scalars, vectors = (embedding.nodes[:, self.columns[k]] for k in ("0e", "1o"))
            moved = (self.far(scalars)[:, :, None] * vectors.unflatten(1, (-1, 3))).sum(1)
            moved = moved - sum_over_neighbors(graph, self.push(embedding.edges) * edge_vectors(graph).to(moved))
            free = 1.0 - graph.fields["fixed"].double()[:, None]
            return {PLACE.name: Prediction(graph.positions.double() + free * self.scale * moved.double(), PLACE)}

        def loss(self, predictions, labels, graph, kind):
            from dataclasses import replace

            label = labels[PLACE.name]
            error = minimum_image(graph, predictions[PLACE.name].value - label.value)
            error = torch.where(label.mask[:, None], error, torch.zeros_like(error))
            return masked_error(error, replace(label, value=torch.zeros_like(error)), self.scale, kind)

    return Pushes()


def build_tethers(options, shape, targets, statistics):
    import torch
    from torch import nn

    from crystalcli.contracts.modules import Prediction
    from crystalcli.nouns.graph import edge_lengths, edge_vectors, sum_over_neighbors, sum_per_structure
    from crystalcli.nouns.images import minimum_image

    class Springs(nn.Module):
        """Springs between neighbors, as long as the radii of both atoms together: 1 Å and 0.02 Å per proton."""

        def __init__(self):
            super().__init__()
            self.strength = nn.Parameter(torch.tensor(float(options.strength)))

        def surface(self, graph, embedding):
            z = graph.atomic_numbers.double()
            rest = (2.0 + 0.02 * (z[graph.edge_index[0]] + z[graph.edge_index[1]])) / 2
            strength = self.strength.detach()

            def energy(moved):
                stretched = edge_lengths(moved).double() - rest
                of_edges = 0.25 * strength * stretched.square()  # every pair is there twice
                return sum_per_structure(graph, sum_over_neighbors(graph, of_edges.unsqueeze(1)))[:, 0]

            return energy

        def forward(self, graph, embedding):
            from dataclasses import replace

            z, at = graph.atomic_numbers.double(), graph.positions.double()
            rest = (2.0 + 0.02 * (z[graph.edge_index[0]] + z[graph.edge_index[1]])) / 2
            free = 1.0 - graph.fields["fixed"].double()[:, None]
            exact = replace(graph, cell=graph.cell.double(), cell_shifts=graph.cell_shifts.double())
            for _ in range(options.moves):
                vectors = edge_vectors(replace(exact, positions=at))
                lengths = vectors.norm(dim=1, keepdim=True)
                pull = (lengths - rest[:, None]) * vectors / lengths
                at = at + 0.1 * free * sum_over_neighbors(graph, pull)
            return {PLACE.name: Prediction(at + 0.0 * self.strength, PLACE)}

        def loss(self, predictions, labels, graph, kind):
            label = labels[PLACE.name]
            error = minimum_image(graph, predictions[PLACE.name].value - label.value)
            return error[label.mask].square().sum()

    return Springs()


@dataclass(frozen=True)
class SpringOptions:
    strength: float = option(2.0, "of a spring", unit="eV/Å²", min=0.0)
    moves: int = option(400, "of the descent", min=0)


SPRINGS = Head(
    name="tethers",
    summary="springs of known length",
    options=SpringOptions,
    build=build_tethers,
    learns=(PLACE,),
    provides=frozenset({"surface"}),
    fields=fixed,
)
ARROWS = Architecture(
    name="arrows",
    summary="vectors and edges",
    build=build_arrows,
    featurizer="radius",
    head="crystal",
    provides=frozenset({"nodes", "edges"}),
)
PUSHES = Head(
    name="pushes",
    summary="pushes atoms along vectors",
    build=build_pushes,
    learns=(PLACE,),
    irreps=("0e", "1o"),
    edges=True,
    fields=fixed,
)


@hookimpl
def crystal_parts():
    nodes = frozenset({"nodes"})
    held = Architecture(
        name="held",
        summary="reads what is fixed",
        options=Options,
        build=build,
        fields=reads,
        provides=nodes,
        featurizer="radius",
        head="crystal",
    )
    mover = Head(name="mover", summary="moves atoms", build=build_mover, learns=(PLACE,), requires=nodes, fields=fixed)
    phase = Head(name="phase", summary="an angle", build=build_phase, learns=(PHASE,), requires=nodes)
    return [held, mover, phase, ARROWS, PUSHES, SPRINGS]
