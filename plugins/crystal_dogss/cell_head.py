"""Head ``springs`` where cells relax, too: a size that the composition tells, then springs of atoms and strain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from crystal_dogss.cell_springs import movable, strained, with_cells
from crystal_dogss.descent import descend
from crystal_dogss.head import Relaxed, SpringsHead
from crystal_dogss.moved import free_atoms, nearest
from crystal_dogss.options import SpringsOptions
from crystal_dogss.springs import Springs
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.nn.losses import ELEMENTWISE
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.structures.offered import STRAIN
from crystalcli.nouns.systems import from_voigt, to_voigt
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

ELEMENTS = 120
RIDGE = 1e-3
"""Weight of the mean volume of an atom, in structures, for every element: what is hardly ever seen is as large."""
LARGEST = 4.0
"""By what a volume may change on account of the composition."""


class CellSpringsHead(SpringsHead):
    """Positions and strain of the cell at the minimum of springs.

    Before the springs the cell is made larger or smaller, evenly, with its atoms: by ``(V_c/V)^(a/3)``, with
    ``V_c = Σ_i v(Z_i)`` the volume that is usual for the atoms. v is fitted to the relaxed volumes of the training
    structures, a (0 to 1) says how much more it knows than the volume of the start; the network sees the crystal in
    this size. Untrained, this is what is predicted; where starts are nearly right, a is nearly 0.

    Then cells of periodic structures without held atoms relax by springs (:mod:`crystal_dogss.cell_springs`). Positions
    stay in the frame of the start's cell.

    Args:
        options, shape, targets, statistics: as of :class:`SpringsHead`; ``relaxed_strain`` is among the targets.

    Raises:
        UsageError: as there, and with rounds.
    """

    steps_of_auto = True
    strain_scale: Tensor
    volumes: Tensor
    share: Tensor

    def __init__(
        self, options: SpringsOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
    ) -> None:
        super().__init__(options, shape, targets, statistics)
        if options.outer_rounds > 1:
            raise UsageError(
                f"--outer-rounds {options.outer_rounds} is for atoms in a cell that stays; {STRAIN} goes in one round"
            )
        self.strain = next(q for q in targets if q.name == STRAIN)
        scale = statistics.target_scale.get(STRAIN, 1.0)
        self.register_buffer("strain_scale", torch.tensor(scale, dtype=torch.float64))
        self.register_buffer("volumes", torch.zeros(ELEMENTS, dtype=torch.float64))
        self.register_buffer("share", torch.tensor(0.0, dtype=torch.float64))

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict positions, (N, 3) float64 Å, and strains, (S, 6)."""
        free = free_atoms(graph)
        path = self.options.path and torch.is_grad_enabled()
        growth = self.growth(graph, free)
        of_atoms = growth.index_select(0, graph.structure_index)[:, None]
        sized, springs = self._sized(graph, embedding, growth)
        all_rows, start, moving = with_cells(springs, sized.positions.double(), free, sized)
        found = descend(all_rows, start, moving, self.options, path=path)
        n = graph.n_atoms
        positions, *ways = (x[:n] / of_atoms for x in (found.positions, *found.path))
        descended = replace(found, positions=positions, path=tuple(ways))
        sigma = self._sigma(graph, springs, free)
        places = Relaxed(positions, self.quantity, sigma, rounds=((springs, descended),))
        eye = torch.eye(3, dtype=growth.dtype, device=growth.device)
        strain = growth[:, None, None] * (eye + all_rows.strain(found.positions)) - eye
        return {self.quantity.name: places, STRAIN: Prediction(to_voigt(strain), self.strain)}

    def _sized(self, graph: CrystalGraph, embedding: Embedding, growth: Tensor) -> tuple[CrystalGraph, Springs]:
        """The crystals in their usual size, and the springs that the network sees there."""
        if bool((growth == 1.0).all()):
            return graph, self.springs(graph, embedding)
        of_atoms = growth.index_select(0, graph.structure_index)[:, None]
        sized = replace(
            graph,
            positions=(graph.positions.double() * of_atoms).to(graph.positions),
            cell=(graph.cell.double() * growth[:, None, None]).to(graph.cell),
        )
        assert embedding.again is not None  # the record asks for it
        return sized, self.springs(sized, embedding.again(sized))

    def _at_rest(self, graph: CrystalGraph, embedding: Embedding) -> Springs:
        return self._sized(graph, embedding, self.growth(graph, free_atoms(graph)))[1]

    def growth(self, graph: CrystalGraph, free: Tensor) -> Tensor:
        """By what every cell is made longer before its springs relax, (S,); 1 where an element is unknown."""
        each = self.volumes.index_select(0, graph.atomic_numbers)
        zero = each.new_zeros(graph.n_structures)
        usual = zero.index_add(0, graph.structure_index, each)
        strangers = zero.index_add(0, graph.structure_index, (each == 0.0).double())
        may = (movable(graph, free)[::3, 0] > 0) & (strangers == 0) & (usual > 0)
        ratio = torch.where(may, usual / _volume(graph).clamp_min(1e-6), 1.0).clamp(1.0 / LARGEST, LARGEST)
        return torch.exp(self.share * ratio.log() / 3.0)

    def closed_form(self, structures: int) -> UsualVolumes:  # noqa: ARG002
        """Fits the usual volumes."""
        return UsualVolumes(self)

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """As of positions alone; the mean over components of strains is added, in units of their root mean square."""
        total = super().loss(predictions, labels, graph, kind)
        if STRAIN not in labels:
            return total
        found, label = predictions[STRAIN], labels[STRAIN]
        known = label.mask[:, None]
        error = torch.where(known, found.value - torch.where(known, label.value, 0.0), 0.0) / self.strain_scale
        return total + ELEMENTWISE[kind](error).sum() / (6 * known.sum()).clamp_min(1)

    def _true_lengths(
        self, springs: Springs, graph: CrystalGraph, labels: Mapping[str, Labels]
    ) -> tuple[Tensor, Tensor]:
        springs = Springs.of(graph, springs.stiffness, springs.rest, springs.form)  # labels are in the start's frame
        if STRAIN not in labels:
            return super()._true_lengths(springs, graph, labels)
        label, strain = labels[self.quantity.name], labels[STRAIN]
        true = nearest(graph, label)
        known = label.mask.index_select(0, springs.centre) & label.mask.index_select(0, springs.neighbor)
        of_edge = springs.structure.index_select(0, springs.centre)
        known = known & strain.mask.index_select(0, of_edge)
        return strained(springs, true, torch.where(strain.mask[:, None], strain.value, 0.0)), known


class UsualVolumes:
    """Fits ``v(Z)`` by least squares of ``Σ v/V* − 1`` over the training structures, then a by those of its logarithm.

    V* is the relaxed volume, ``V det(1 + ε)``. The shortest change from the mean volume of an atom is taken where
    compositions do not tell elements apart.
    """

    walks = (0,)

    def __init__(self, head: CellSpringsHead) -> None:
        self.head = head
        self.counts: list[Tensor] = []
        self.volumes: list[Tensor] = []

    def take(self, walk: int, graph: CrystalGraph, embedding: Embedding, labels: Mapping[str, Labels]) -> None:  # noqa: ARG002
        """Counts of elements, and volumes before and after, of the structures whose cells may relax."""
        if STRAIN not in labels:
            return
        label = labels[STRAIN]
        known = label.mask & (movable(graph, free_atoms(graph))[::3, 0] > 0)
        strain = from_voigt(torch.where(label.mask[:, None], label.value, 0.0).double())
        before = _volume(graph)
        after = before * torch.linalg.det(torch.eye(3, dtype=strain.dtype, device=strain.device) + strain)
        place = graph.structure_index * ELEMENTS + graph.atomic_numbers
        counts = torch.bincount(place, minlength=graph.n_structures * ELEMENTS).view(-1, ELEMENTS)
        good = known & (after > 0) & (before > 0)
        self.counts.append(counts[good].double().cpu())
        self.volumes.append(torch.stack([before, after], 1)[good].cpu())

    def end(self, walk: int) -> None:  # noqa: ARG002
        """Solve, and give the head what came out."""
        counts, volumes = (torch.cat(parts) if parts else torch.zeros(0, 2) for parts in (self.counts, self.volumes))
        if not len(counts):
            return
        before, after = volumes.double().unbind(1)
        there = counts.sum(0) > 0
        rows = counts[:, there] / after[:, None]
        mean = after.sum() / counts.sum()
        normal = rows.T @ rows + RIDGE / mean.square() * torch.eye(int(there.sum()), dtype=rows.dtype)
        found = mean + torch.linalg.solve(normal, rows.T @ (1.0 - mean * rows.sum(1)))
        usual = (counts[:, there] @ found).clamp_min(1e-6)
        guess, true = (usual / before).log(), (after / before).log()
        share = (guess * true).sum() / guess.square().sum().clamp_min(1e-12)
        v = torch.zeros(ELEMENTS, dtype=torch.float64)
        v[there] = found
        self.head.volumes.copy_(v)
        self.head.share.copy_(share.clamp(0.0, 1.0))


def _volume(graph: CrystalGraph) -> Tensor:
    """(S,) Å³."""
    size: Tensor = torch.linalg.det(graph.cell.double()).abs()
    return size
