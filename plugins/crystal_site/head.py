"""Head ``site``: values of every atom, the same layers for all of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from crystal_site.options import SiteOptions, total_of
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.nn.losses import ELEMENTWISE
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import CrystalGraph, mean_per_structure
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity


class SiteHead(nn.Module):
    """``y_i = m + s·MLP(v_i)``: softplus, hidden layers with softplus, a linear output per target; nothing is pooled.

    The layers are those of the head ``crystal`` (J. Karaguesian et al., "Crystal graph convolutional neural networks
    for per-site property prediction", 2021, §2): pooled to their mean before them, the atoms give what CGCNN gives.
    m and s are mean and deviation of the training labels of each target, over the sites that have one.
    With ``positive`` ``y_i = s·softplus(m/s + MLP(v_i))``.
    With ``conserve`` ``q_i ← q_i − (Σ_j q_j − Q)/N``: what is too much is taken from all atoms alike. The labels of
    every crystal should sum to Q then, and be complete. Q is a number, or a field of the graph, the same at all sites
    of a crystal.

    Args:
        options: of the head. dim: width of the embedding. targets: numbers of sites. statistics: of the training split.

    Raises:
        UsageError: classes, a name that is no target, or options that contradict each other.
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor

    def __init__(self, options: SiteOptions, dim: int, targets: tuple[Quantity, ...], statistics: Statistics) -> None:
        super().__init__()
        for t in targets:
            if t.classes:
                raise UsageError(f"head 'site' learns numbers; '{t.name}' has {t.classes} classes")
        self.targets, self.positive, self.weigh = targets, options.positive, options.weigh
        self.conserved = _place(options.conserve, targets) if options.conserve else -1
        self.total = total_of(options)
        if options.conserve and options.positive:
            raise UsageError("--positive and --conserve cannot both be had: a shift makes values negative")
        layers: list[nn.Module] = [nn.Softplus(), nn.Linear(dim, options.hidden), nn.Softplus()]
        for _ in range(options.n_hidden - 1):
            layers += [nn.Linear(options.hidden, options.hidden), nn.Softplus()]
        self.layers = nn.Sequential(*layers, nn.Linear(options.hidden, len(targets)))
        self.register_buffer("mean", _row([statistics.target_mean.get(t.name, 0.0) for t in targets]))
        self.register_buffer("scale", _row([statistics.target_scale.get(t.name, 1.0) for t in targets]))
        # not kept: options, of the loss alone
        self.register_buffer("weights", _row(_weights(options.target_weights, targets)), persistent=False)

    def latent(self, embedding: Embedding) -> Tensor:
        """What the last layer sees of every atom, (N, H)."""
        seen: Tensor = self.layers[:-1](embedding.nodes)
        return seen

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict all targets, (N,) float64 each in its unit."""
        out = self.layers(embedding.nodes).double()
        if self.positive:
            values = self.scale * functional.softplus(self.mean / self.scale + out)
        else:
            values = self.mean + self.scale * out
        columns = list(values.unbind(1))
        if self.conserved >= 0:
            columns[self.conserved] = conserved(graph, columns[self.conserved], self._totals(graph))
        return {t.name: Prediction(column, t) for t, column in zip(self.targets, columns, strict=True)}

    def _totals(self, graph: CrystalGraph) -> Tensor:
        """What the conserved values sum to in every crystal, (S,)."""
        if isinstance(self.total, str):
            if self.total not in graph.fields:
                raise UsageError(f"the graph has no field '{self.total}', to which its sites are to sum")
            return mean_per_structure(graph, graph.fields[self.total].double().unsqueeze(1)).squeeze(1)
        return self.mean.new_full((graph.n_structures,), self.total)

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """``Σ_p w_p ⟨loss((ŷ_ip − y_ip)/s_p)⟩ / Σ_p w_p``, the mean over labelled sites, or over crystals of theirs.

        A target without a label in the batch contributes 0.

        Raises:
            UsageError: an unknown kind.
        """
        if kind not in ELEMENTWISE:
            raise UsageError(f"no loss '{kind}'; {did_you_mean(kind, list(ELEMENTWISE))}")
        total = self.mean.new_zeros(())
        for k, t in enumerate(self.targets):
            known = labels[t.name].mask.nonzero().squeeze(1)
            error = predictions[t.name].value.index_select(0, known) - labels[t.name].value.index_select(0, known)
            losses = ELEMENTWISE[kind](error / self.scale[k])
            share = self._shares(graph.structure_index.index_select(0, known), graph.n_structures)
            total = total + self.weights[k] * (losses * share).sum()
        return total / self.weights.sum()

    def _shares(self, structure: Tensor, n_structures: int) -> Tensor:
        """Weight in the mean of each labelled site, (n,), whose crystals are ``structure``."""
        n = structure.shape[0]
        if self.weigh == "sites":
            return self.mean.new_full((n,), 1.0 / max(n, 1))
        counts = torch.bincount(structure, minlength=n_structures)
        crystals = (counts > 0).sum().clamp_min(1)
        shares: Tensor = 1.0 / (counts.index_select(0, structure) * crystals).to(self.mean.dtype)
        return shares


def conserved(graph: CrystalGraph, values: Tensor, total: Tensor) -> Tensor:
    """Shift (N,) site values by one number a crystal so that every crystal sums to its ``total``, (S,)."""
    excess = mean_per_structure(graph, values.unsqueeze(1)).squeeze(1) - total / graph.atom_counts
    return values - excess.index_select(0, graph.structure_index)


def _place(name: str, targets: tuple[Quantity, ...]) -> int:
    names = [t.name for t in targets]
    if name not in names:
        raise UsageError(f"'{name}' is no target of this model; {did_you_mean(name, names)}")
    return names.index(name)


def _weights(text: str, targets: tuple[Quantity, ...]) -> list[float]:
    """Weights ``NAME=NUMBER,…`` by target; 1 where nothing is said.

    Raises:
        UsageError: a name that is no target, or no positive number.
    """
    found = [1.0] * len(targets)
    for word in filter(None, text.split(",")):
        name, _, value = word.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0.0 < number < float("inf"):
            raise UsageError(f"--target-weights takes NAME=NUMBER with a positive number, not '{word}'")
        found[_place(name.strip(), targets)] = number
    return found


def _row(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
