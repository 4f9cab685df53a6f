"""Head ``ridge``: pool the atoms; the last layer is solved in closed form, never learned by steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from crystal_cgcnn.elements import N_ELEMENTS
from crystal_cgcnn.options import RidgeHeadOptions
from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.nn.losses import masked_error
from crystalcli.contracts.nn.ridge_sums import RidgeSums
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

STATISTICS = 512
"""Structures that give mean and spread of the pooled vectors."""
MOST_FEATURES = 2000
"""Longest row of the ridge: its normal equations, kept for five parts, take 160 MB a target."""
CONSTANT = 1e-6
"""A component that varies by less than this part of its size is rounding of float32."""


class RidgeHead(nn.Module):
    """``y = m + s·(b + Σ_Z w_Z · φ_Z)``, ``φ = (1, u, softplus layers of u)``, u the normalised atoms or their maxima.

    Deviation from S. Sanyal et al.: b and w are the ridge regression of the training labels on φ, computed anew before
    every evaluation. Along a trajectory pooled vectors vary by a thousandth of their mean and their components
    nearly alike, so that the last layer is what steps along gradients do not find. u has mean 0 and deviation 1 over
    the atoms of each element (of all, with ``by="crystal"``) in the training part, and elements are pooled apart
    (``auto``: where the ridge can take them).

    Poolings ``average`` and ``sum`` put the layers before the mean over the atoms (a read-out that adds over atoms;
    ``sum`` gives totals); ``max``, ``smoothmax`` and ``fcmax`` (S. Sanyal et al., Table I) take the maximum first. The
    weights of the layers and of ``fcmax``'s map are drawn, and learned with those of the architecture, while b and w
    are held fixed: for small steps that is the gradient of the error after solving (G. H. Golub, V. Pereyra, SIAM J.
    Numer. Anal. 10, 413 (1973)).

    Args:
        options: of the head. dim: width of the embedding. targets: what to predict. statistics: of the training split.

    Raises:
        UsageError: classes, or more features than the ridge can take.
    """

    element_tables: ClassVar[Mapping[str, ElementTable]]
    mean: Tensor
    scale: Tensor
    centre: Tensor
    spread: Tensor
    weight: Tensor
    intercept: Tensor
    known: Tensor

    def __init__(
        self, options: RidgeHeadOptions, dim: int, targets: tuple[Quantity, ...], statistics: Statistics
    ) -> None:
        super().__init__()
        if classes := [t.name for t in targets if t.classes]:
            raise UsageError(f"head 'ridge' solves for numbers, and '{classes[0]}' are classes; use --head crystal")
        self.pool, self.beta, self.targets = options.pool, options.pool_beta, targets
        self.additive, self.extensive = options.pool in ("average", "sum"), options.pool == "sum"
        self.pool_map = nn.Linear(dim, dim) if options.pool == "fcmax" else nn.Identity()
        layers: list[nn.Module] = [nn.Linear(dim, options.hidden), nn.Softplus()]
        for _ in range(options.n_hidden - 1):
            layers += [nn.Linear(options.hidden, options.hidden), nn.Softplus()]
        self.layers = nn.Sequential(*layers)
        self.dim = 1 + dim + options.hidden
        elements = max(len(statistics.elements), 1)
        few = elements * self.dim <= MOST_FEATURES
        self.by_element = options.by == "element" or (options.by == "auto" and few)
        kinds = elements if self.by_element else 1
        if kinds * self.dim > MOST_FEATURES:
            cure = "--by crystal" if self.by_element else "a smaller --hidden"
            raise UsageError(
                f"the ridge would have {kinds * self.dim} features ({self.dim} for each of {kinds}), more than "
                f"{MOST_FEATURES}; use {cure}, or --head crystal"
            )
        rows = N_ELEMENTS if self.by_element else 1
        tables = ("centre", "spread", "weight", "known") if self.by_element else ()
        self.element_tables = {name: ElementTable(0, by_number=True) for name in tables}  # type: ignore[misc]
        self.register_buffer("centre", torch.zeros(rows, dim, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(rows, dim, dtype=torch.float64))
        self.register_buffer("known", torch.zeros(rows, dtype=torch.bool))
        self.register_buffer("weight", torch.zeros(rows, self.dim, len(targets), dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros(len(targets), dtype=torch.float64))
        known = [statistics.normaliser(t, extensive=self.extensive) for t in targets]
        self.register_buffer("mean", torch.tensor([m for m, _ in known], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor([s for _, s in known], dtype=torch.float64))

    def rows(self, graph: CrystalGraph, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is read out, before normalisation: atoms, or the maxima over those of an element.

        Returns:
            (R, F) values, (R,) rows of the tables by element, (R,) structures.
        """
        kind = graph.atomic_numbers if self.by_element else torch.zeros_like(graph.atomic_numbers)
        if self.additive:
            return nodes.double(), kind, graph.structure_index
        found, group = torch.unique(graph.structure_index * N_ELEMENTS + kind, return_inverse=True)
        pooled = self._maxima(self.pool_map(nodes), group, len(found)).double()
        return pooled, found % N_ELEMENTS, found.div(N_ELEMENTS, rounding_mode="floor")

    def _maxima(self, nodes: Tensor, group: Tensor, n: int) -> Tensor:
        index = group.unsqueeze(-1).expand_as(nodes)
        largest = nodes.new_full((n, nodes.shape[1]), -torch.inf).scatter_reduce(0, index, nodes, "amax")
        if self.pool != "smoothmax":
            return largest
        top = largest.detach()  # so that no exponential is too large
        terms = torch.expm1(self.beta * (nodes - top.index_select(0, group)))
        counts = torch.bincount(group, minlength=n).to(nodes.dtype).unsqueeze(1)
        return top + torch.log1p(nodes.new_zeros(n, nodes.shape[1]).index_add(0, group, terms) / counts) / self.beta

    def expanded(self, rows: Tensor, kind: Tensor) -> Tensor:
        """φ of each row, (R, 1 + F + H) float64."""
        u = (rows - self.centre.index_select(0, kind)) / self.spread.index_select(0, kind)
        hidden = self.layers(u.to(next(self.layers.parameters()).dtype)).double()
        return torch.cat([torch.ones_like(u[:, :1]), u, hidden], 1)

    def shares(self, graph: CrystalGraph, structure: Tensor) -> Tensor:
        """What each row counts, (R, 1): one of N atoms, or one maximum."""
        counts = graph.atom_counts.double() if self.additive else torch.ones_like(graph.atom_counts.double())
        return (1.0 / counts).index_select(0, structure).unsqueeze(1)

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict all targets, (S,) float64 each in its unit."""
        rows, kind, structure = self.rows(graph, embedding.nodes)
        share = self.shares(graph, structure)
        # row by row, so that a crystal has the same value in every batch
        terms = (self.expanded(rows, kind).unsqueeze(-1) * self.weight.index_select(0, kind)).sum(1) * share
        summed = terms.new_zeros(graph.n_structures, len(self.targets)).index_add(0, structure, terms)
        values = self.mean + self.scale * (self.intercept + summed)
        if self.extensive:
            values = values * graph.atom_counts.unsqueeze(1)
        return {t.name: Prediction(v, t) for t, v in zip(self.targets, values.unbind(1), strict=True)}

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """Mean over the targets of: l1, mse or huber in units of the training scale (per atom for totals).

        Raises:
            UsageError: an unknown kind.
        """
        total = self.mean.new_zeros(())
        for k, t in enumerate(self.targets):
            unit = self.scale[k] * graph.atom_counts if self.extensive else self.scale[k]
            total = total + masked_error(predictions[t.name].value, labels[t.name], unit, kind)
        return total / len(self.targets)

    def closed_form(self, structures: int) -> RidgeReadOut:
        """What solves the last layer for so many training structures."""
        return RidgeReadOut(self, structures)


class RidgeReadOut:
    """Mean and spread of the rows first, then the ridge; see :class:`crystalcli.contracts.modules.ClosedForm`."""

    walks = (STATISTICS, 0)

    def __init__(self, head: RidgeHead, structures: int) -> None:
        self.head, self.structures = head, structures
        shape = head.centre.shape
        self.count = torch.zeros(shape[0], 1, dtype=torch.float64)
        self.sums, self.squares = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
        self.origin = torch.zeros(shape, dtype=torch.float64)
        self.ridges: list[RidgeSums] = []

    def take(self, walk: int, graph: CrystalGraph, embedding: Embedding, labels: Mapping[str, Labels]) -> None:
        """Look at a batch of training structures; their labels are without the baselines."""
        rows, kind, structure = self.head.rows(graph, embedding.nodes)
        if walk == 0:
            self._measure(rows.cpu(), kind.cpu())
            return
        present = self.head.known.nonzero().squeeze(1)
        place = torch.zeros(len(self.head.known), dtype=torch.int64, device=kind.device)
        place[present] = torch.arange(len(present), device=kind.device)
        seen = self.head.known.index_select(0, kind)  # an element in none of the 512 counts as the mean
        phi = self.head.expanded(rows, kind) * self.head.shares(graph, structure) * seen.unsqueeze(1)
        flat = structure * len(present) + place.index_select(0, kind)
        design = phi.new_zeros(graph.n_structures * len(present), phi.shape[1]).index_add(0, flat, phi)
        design = design.view(graph.n_structures, -1)
        if not self.ridges:
            self.ridges = [RidgeSums(design.shape[1], self.structures) for _ in self.head.targets]
        for k, t in enumerate(self.head.targets):
            value = labels[t.name].value / graph.atom_counts if self.head.extensive else labels[t.name].value
            self.ridges[k].add(design, (value - self.head.mean[k]) / self.head.scale[k], labels[t.name].mask)

    def _measure(self, rows: torch.Tensor, kind: torch.Tensor) -> None:
        new = (self.count[:, 0] == 0).index_select(0, kind)
        if bool(new.any()):  # about the first row of each element
            first = torch.full((len(self.count),), len(kind)).scatter_reduce(
                0, kind[new], new.nonzero().squeeze(1), "amin"
            )
            here = first < len(kind)
            self.origin[here] = rows[first[here]]
        moved = rows - self.origin.index_select(0, kind)
        self.count.index_add_(0, kind, torch.ones(len(kind), 1, dtype=torch.float64))
        self.sums.index_add_(0, kind, moved)
        self.squares.index_add_(0, kind, moved.square())

    @torch.no_grad()
    def end(self, walk: int) -> None:
        """Set what follows from a walk: the statistics, then the weights."""
        head = self.head
        if walk == 0:
            n = self.count.clamp_min(1.0)
            mean = self.sums / n
            spread = (self.squares / n - mean.square()).clamp_min(0.0).sqrt()
            centre = torch.where(self.count > 0, self.origin + mean, 0.0)
            spread = torch.where(spread > CONSTANT * (1.0 + centre.abs()), spread, 1.0)
            head.centre.copy_(centre)
            head.spread.copy_(spread)
            head.known.copy_(self.count[:, 0] > 0)
            return
        head.weight.zero_()
        for k, ridge in enumerate(self.ridges):
            found = ridge.solve()
            head.weight[head.known, :, k] = found.weight.view(-1, head.dim).to(head.weight)
            head.intercept[k] = found.intercept
