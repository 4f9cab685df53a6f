"""Head ``springs``: an embedding of edges → springs → where the atoms come to rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from crystal_dogss.descent import Descended, descend
from crystal_dogss.moved import difference, free_atoms, mean_error, nearest
from crystal_dogss.options import SpringsOptions
from crystal_dogss.springs import Springs
from crystalcli.contracts.counting import Counted
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, edge_lengths
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

PLACES = "relaxed_positions"
PATH_WEIGHTS = (0.25, 0.5)
"""Of the losses after a quarter and half of the way; that of the end is 1."""
UNTRAINED = math.log(2.0)
"""κ = n_i k of an untrained network."""
DRIFT, PULL = 5.0, 0.01
"""Where all springs of a structure are stiffer or softer than an untrained network's by more than e^5, they are pulled
back: a common factor moves no minimum, so nothing else keeps it from drifting until no number can hold it."""


@dataclass(frozen=True)
class Relaxed(Prediction):
    """Predicted positions, and the springs of every round with the minimum that they led to."""

    rounds: tuple[tuple[Springs, Descended], ...] = ()


class SpringsHead(nn.Module):
    """Positions at the minimum of ``Ê(x) = Σ_e k_e (r_e(x) − r⁰_e)²`` (eqs. 5 to 7), from those of the graph.

    ``b_e = v_i ⊕ v_j ⊕ u_e``; ``r⁰ = softplus(softplus⁻¹(r) + h_r(b))`` with r the length in the graph, and
    ``k = softplus(h_k(b))/n_i`` with n_i the edges of atom i. Both networks begin with a last layer of zeros:
    untrained, every atom stays where it is.

    Deviation: the paper has ``r⁰ = softplus(r + h_r)``, which lengthens all edges of an untrained network, and divides
    k by the atoms of the batch, so that a prediction depends on what shares its batch.

    With ``outer_rounds`` the springs are predicted anew where the last ones led, with the same weights; every round
    learns from its own end, and no derivative goes from one to the one before.

    With ``lengths`` every atom has a σ: see :meth:`_sigma`.

    Args:
        options: of the head.
        shape: of the embedding.
        targets: ``relaxed_positions``, and what :class:`crystal_dogss.cell_head.CellSpringsHead` adds.
        statistics: of the training split.

    Raises:
        UsageError: no positions among the targets, or ``path`` with another gradient than the unrolled one.
    """

    steps_of_auto = False
    """Whether ``--gradient auto`` is through all steps."""
    scale: Tensor

    def __init__(
        self, options: SpringsOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
    ) -> None:
        super().__init__()
        if options.path and options.gradient not in ("auto", "unrolled"):
            raise UsageError(
                f"--path learns from the way, of which --gradient {options.gradient} knows the end only; use unrolled"
            )
        known = {q.name: q for q in targets}
        if PLACES not in known:
            raise UsageError(f"springs say where atoms go: {', '.join(known)} alone is nothing to learn; add {PLACES}")
        self.quantity = known[PLACES]
        if options.gradient == "auto":
            options = replace(options, gradient="unrolled" if self.steps_of_auto or options.path else "implicit")
        self.options = options
        width = 2 * shape.node_dim + shape.edge_dim
        self.lengths, self.stiffness = (layers(width, options.hidden, options.n_hidden) for _ in range(2))
        scale = statistics.target_scale.get(self.quantity.name, 1.0)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def springs(self, graph: CrystalGraph, embedding: Embedding) -> Springs:
        """The springs on the edges of a batch."""
        b = of_edges(graph, embedding)
        length = edge_lengths(graph).double()
        rest = functional.softplus(softplus_inverse(length) + self.lengths(b).squeeze(1).double())
        raw = self.stiffness(b).squeeze(1).double()
        k = functional.softplus(torch.zeros_like(raw) if self.options.constant else raw) / edges_of_centre(graph)
        if self.options.symmetric:
            rest, k = both_ways(graph, rest), both_ways(graph, k)
        return Springs.of(graph, k, rest, self.options.form)

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict positions, (N, 3) float64 Å; held atoms stay exactly where they are."""
        free = free_atoms(graph)
        path = self.options.path and torch.is_grad_enabled()
        rounds = tuple(self._rounds(graph, embedding, free, path=path))
        springs, found = rounds[-1]
        sigma = self._sigma(graph, springs, free)
        return {self.quantity.name: Relaxed(found.positions, self.quantity, sigma, rounds=rounds)}

    def _rounds(
        self, graph: CrystalGraph, embedding: Embedding, free: Tensor, *, path: bool
    ) -> Iterator[tuple[Springs, Descended]]:
        """The springs of every round and where they lead."""
        start = graph.positions.double()
        for number in range(self.options.outer_rounds):
            if number:
                assert embedding.again is not None  # the record asks for it
                graph = replace(graph, positions=start.to(graph.positions))
                embedding = embedding.again(graph)
            springs = self.springs(graph, embedding)
            found = descend(springs, start, free, self.options, path=path)
            yield springs, found
            start = found.positions.detach()

    def _sigma(self, graph: CrystalGraph, springs: Springs, free: Tensor) -> Tensor | None:
        """σ of every component of a position, (N, 3) Å, where the likelihood of lengths was learned; else none.

        An edge has the variance s²/κ. Of two ends that scatter alike, each has half of it along the edge; an atom takes
        the mean over its edges. What this leaves out (both ends move together) is a factor, which ``crystal calibrate``
        finds. Held atoms have none.
        """
        if not self.options.lengths:
            return None
        variance = self.scale.square() / (springs.stiffness.detach() * edges_of_centre(graph)).clamp_min(1e-12)
        zero = variance.new_zeros(graph.n_atoms)
        total, number = zero, zero
        for end in (springs.centre, springs.neighbor):
            total = total.index_add(0, end, variance)
            number = number.index_add(0, end, torch.ones_like(variance))
        return (0.5 * total / number.clamp_min(1.0)).sqrt()[:, None] * free.expand(-1, 3)

    def surface(self, graph: CrystalGraph, embedding: Embedding) -> Callable[[CrystalGraph], Tensor]:
        """The energy of the springs of ``graph``, of its last round, (S,), for the same atoms elsewhere."""
        with torch.no_grad():
            springs = self._at_rest(graph, embedding)

        def energy(moved: CrystalGraph) -> Tensor:
            return Springs.of(moved, springs.stiffness, springs.rest, springs.form).energy(moved.positions.double())

        return energy

    def _at_rest(self, graph: CrystalGraph, embedding: Embedding) -> Springs:
        """The springs of the last round."""
        *_, (springs, _found) = self._rounds(graph, embedding, free_atoms(graph), path=False)
        return springs

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """Mean distance to the label over free atoms (eq. 8), by the nearest image, in units of the mean displacement.

        With ``path`` also of the way, with ``lengths`` also the likelihood of the relaxed lengths of the edges:
        ``κ (r* − r⁰)² − ln κ`` with ``κ = n_i k`` in units of the mean displacement; without it the scale of k is free,
        and kept from drifting (:data:`DRIFT`).
        """
        found, label = predictions[self.quantity.name], labels[self.quantity.name]
        if not isinstance(found, Relaxed):
            return mean_error(graph, found.value, label, self.scale, kind)
        total = torch.zeros_like(self.scale)
        for springs, descended in found.rounds:
            total = total + mean_error(graph, descended.positions, label, self.scale, kind)
            for weight, place in zip(PATH_WEIGHTS, descended.path, strict=False):
                total = total + weight * mean_error(graph, place, label, self.scale, kind)
            if self.options.lengths:
                total = total + self.options.lengths * self._likelihood(springs, graph, labels)
            else:
                total = total + self._drift(springs, graph)
        return total

    def _drift(self, springs: Springs, graph: CrystalGraph) -> Tensor:
        """Zero unless the mean of ln κ of a structure is farther than :data:`DRIFT` from that of an untrained one."""
        kappa = (springs.stiffness * edges_of_centre(graph)).clamp_min(1e-300)
        of_edge = springs.structure.index_select(0, springs.centre)
        zero = kappa.new_zeros(springs.n_structures)
        number = zero.index_add(0, of_edge, torch.ones_like(kappa)).clamp_min(1.0)
        mean = zero.index_add(0, of_edge, (kappa / UNTRAINED).log()) / number
        return PULL * (mean.abs() - DRIFT).clamp_min(0.0).square().mean()

    def _true_lengths(
        self, springs: Springs, graph: CrystalGraph, labels: Mapping[str, Labels]
    ) -> tuple[Tensor, Tensor]:
        """Lengths of the edges between labels, (E,) Å, and which of them are known."""
        label = labels[self.quantity.name]
        known = label.mask.index_select(0, springs.centre) & label.mask.index_select(0, springs.neighbor)
        return springs.lengths(nearest(graph, label)), known

    def _likelihood(self, springs: Springs, graph: CrystalGraph, labels: Mapping[str, Labels]) -> Tensor:
        length, known = self._true_lengths(springs, graph, labels)
        kappa = springs.stiffness * edges_of_centre(graph)
        error = (length - springs.rest) / self.scale
        terms = 0.5 * (kappa * error.square() - kappa.log())
        return torch.where(known, terms, torch.zeros_like(terms)).sum() / known.sum().clamp_min(1)

    def errors(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph
    ) -> dict[str, Counted]:
        """Distances of free atoms by the nearest image; where no atom is held, without the shift of them all."""
        name = self.quantity.name
        if name not in predictions:  # asked of the strain alone
            return {}
        return {name: difference(graph, predictions[name].value, labels[name])}


def edges_of_centre(graph: CrystalGraph) -> Tensor:
    """n_i of the centre of every edge, (E,): its edges."""
    return graph.row_pointers.diff().index_select(0, graph.edge_index[0])


def layers(width: int, hidden: int, count: int) -> nn.Sequential:
    """``count`` hidden layers with softplus, and a last one to one number that begins at zero."""
    made: list[nn.Module] = []
    for k in range(count):
        made += [nn.Linear(hidden if k else width, hidden), nn.Softplus()]
    last = nn.Linear(hidden if count else width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*made, last)


def of_edges(graph: CrystalGraph, embedding: Embedding) -> Tensor:
    """``b_e = v_i ⊕ v_j ⊕ u_e``, (E, 2F + G)."""
    assert embedding.edges is not None  # the record asks for edges
    ends = [embedding.nodes.index_select(0, k) for k in (graph.edge_index[0], graph.edge_index[1])]
    return torch.cat([*ends, embedding.edges], 1)


def softplus_inverse(x: Tensor) -> Tensor:
    """Y with ``softplus(y) = x`` for x > 0."""
    return x + torch.log(-torch.expm1(-x.clamp_min(1e-6)))


def both_ways(graph: CrystalGraph, values: Tensor) -> Tensor:
    """The mean over both directions of every edge, (E,); of an edge with one direction, its value."""
    shifts = graph.cell_shifts.round().long()
    centre, neighbor = graph.edge_index[0], graph.edge_index[1]
    key = torch.stack([centre, neighbor, *shifts.unbind(1)], 1)
    back = torch.stack([neighbor, centre, *(-shifts).unbind(1)], 1)
    _, place = torch.unique(torch.cat([key, back]), dim=0, return_inverse=True)
    here, there = place[: len(key)], place[len(key) :]
    slot = values.new_zeros(int(place.max()) + 1 if len(place) else 0)
    held = slot.index_add(0, here, values)
    exists = slot.index_add(0, here, torch.ones_like(values))
    other, known = held.index_select(0, there), exists.index_select(0, there)
    return torch.where(known > 0, 0.5 * (values + other), values)
