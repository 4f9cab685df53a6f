"""Head ``crystal``: pool the atoms, then fully connected layers to the values or classes of every target."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crystal_cgcnn.options import CrystalHeadOptions
from crystalcli.contracts.modules import Embedding, Labels, Prediction
from crystalcli.contracts.nn.losses import masked_error, masked_likelihood, masked_noise_likelihood
from crystalcli.contracts.nn.norms import BatchNorm
from crystalcli.contracts.records import Statistics
from crystalcli.nouns.graph import (
    CrystalGraph,
    max_per_structure,
    mean_per_structure,
    smooth_max_per_structure,
    sum_per_structure,
)
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

SMALLEST_NOISE = 1e-3
"""Smallest learned σ, in units of the training scale: labels without noise do not make the likelihood infinite."""
POOL_EPS = 1e-12
"""Added to the variance of the pooled vector, which is about 1e-5."""


class CrystalHead(nn.Module):
    """Pooling, softplus, hidden layers with softplus, a linear output per value or class.

    Poolings ``average``, ``max`` and ``fcmax`` (max_i of a linear map of v_i) are those of S. Sanyal et al., Table I,
    and give values that do not grow with the crystal. ``smoothmax``, the logarithm of the mean exponential, has no
    kinks where another atom becomes the largest. ``sum`` applies the layers to every atom and sums, so that
    values are totals: ``E = Σ_i (mean + scale·e_i)``.

    Deviation: ``pool_norm="batch"`` normalises v_G over the batch. Along a trajectory v_G varies by a thousandth of its
    mean, and without this nothing is learned from energies in many epochs. Its running statistics drift by more than
    that too, so it asks to be recalibrated. With ``noise="learned"`` every value has a second output, the standard
    deviation of its labels (D. A. Nix, A. S. Weigend, ICNN 1994): ``σ = scale·(softplus(s) + 0.001)``, summed over the
    atoms for totals. Deviation: the output starts at zero for the residual of a baseline, so
    that the untrained model is the baseline.

    Args:
        options: of the head. dim: width of the embedding. targets: what to predict. statistics: of the training split.

    Raises:
        UsageError: classes with the pooling ``sum`` or with learned noise.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, options: CrystalHeadOptions, dim: int, targets: tuple[Quantity, ...], statistics: Statistics
    ) -> None:
        super().__init__()
        self.pool, self.pool_beta, self.targets = options.pool, options.pool_beta, targets
        self.extensive = options.pool == "sum"
        if self.extensive and any(t.classes for t in targets):
            raise UsageError("--pool sum gives totals, which cannot be classes; use another pool")
        self.pool_map = nn.Linear(dim, dim) if options.pool == "fcmax" else nn.Identity()
        normalised = options.pool_norm == "batch"
        self.pool_norm = BatchNorm(dim, eps=POOL_EPS, recalibrate=True) if normalised else nn.Identity()
        layers: list[nn.Module] = [nn.Softplus(), nn.Linear(dim, options.hidden), nn.Softplus()]
        if any(t.classes for t in targets):
            layers.append(nn.Dropout(options.dropout))
        for _ in range(options.n_hidden - 1):
            layers += [nn.Linear(options.hidden, options.hidden), nn.Softplus()]
        self.noisy, self.beta = options.noise == "learned", options.noise_beta
        if self.noisy and any(t.classes for t in targets):
            raise UsageError(
                "--noise learned is of numbers; the probabilities of classes say themselves how sure they are"
            )
        self.widths = [max(1 + self.noisy, t.classes) for t in targets]
        output = nn.Linear(options.hidden, sum(self.widths))
        self.layers = nn.Sequential(*layers, output)
        _start_at_zero(output, self.widths, [t.name in statistics.residual for t in targets])
        if self.noisy:
            _start_at_one(output)
        rows = [(0.0, 1.0) if t.classes else statistics.normaliser(t, extensive=self.extensive) for t in targets]
        self.register_buffer("mean", torch.tensor([m for m, _ in rows], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor([s for _, s in rows], dtype=torch.float64))

    def pooled(self, graph: CrystalGraph, nodes: Tensor) -> Tensor:
        """Crystal vector v_G, (S, F); for ``sum`` the atoms themselves, (N, F)."""
        if self.pool != "sum":
            nodes = self._reduced(graph, self.pool_map(nodes))
        normalised: Tensor = self.pool_norm(nodes)
        return normalised

    def _reduced(self, graph: CrystalGraph, nodes: Tensor) -> Tensor:
        if self.pool == "average":
            return mean_per_structure(graph, nodes)
        if self.pool == "smoothmax":
            return smooth_max_per_structure(graph, nodes, self.pool_beta)
        return max_per_structure(graph, nodes)

    def forward(self, graph: CrystalGraph, embedding: Embedding) -> dict[str, Prediction]:
        """Predict all targets: (S,) values in their unit, or (S, C) probabilities with their logits."""
        out = self.layers(self.pooled(graph, embedding.nodes)).double()
        if self.noisy:
            return self._with_noise(graph, out)
        if self.extensive:
            out = sum_per_structure(graph, self.mean + self.scale * out)
        predictions = {}
        for k, (t, columns) in enumerate(zip(self.targets, out.split(self.widths, dim=1), strict=True)):
            if t.classes:
                predictions[t.name] = Prediction(torch.softmax(columns, dim=1), t, logits=columns)
                continue
            value = columns[:, 0]
            predictions[t.name] = Prediction(value if self.extensive else self.mean[k] + self.scale[k] * value, t)
        return predictions

    def _with_noise(self, graph: CrystalGraph, out: Tensor) -> dict[str, Prediction]:
        """Values and σ of (S, 2T) outputs, or of (N, 2T) ones that are summed."""
        value = self.mean + self.scale * out[:, 0::2]
        sigma = self.scale * (nn.functional.softplus(out[:, 1::2]) + SMALLEST_NOISE)
        if self.extensive:
            value, sigma = sum_per_structure(graph, value), sum_per_structure(graph, sigma)
        pairs = zip(self.targets, value.unbind(1), sigma.unbind(1), strict=True)
        return {t.name: Prediction(v, t, s, aleatoric=s) for t, v, s in pairs}

    def only(self, targets: tuple[Quantity, ...]) -> dict[str, Tensor]:
        """State of the head of some of these targets, in their order, which says of them what this one says.

        Raises:
            UsageError: classes among the targets, with which other layers come.
        """
        if any(t.classes for t in self.targets):
            raise UsageError("a head with classes among its targets cannot be had for fewer of them")
        kept = [k for k, t in enumerate(self.targets) if t in targets]
        state, last = self.state_dict(), f"layers.{len(self.layers) - 1}."
        for name in (f"{last}weight", f"{last}bias"):
            state[name] = torch.cat([state[name].split(self.widths)[k] for k in kept])
        return state | {name: state[name][kept] for name in ("mean", "scale")}

    def loss(
        self, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph, kind: str
    ) -> Tensor:
        """Mean over the targets of: l1, mse or huber in units of the training scale (per atom for totals), or an NLL.

        Raises:
            UsageError: an unknown kind.
        """
        total = self.mean.new_zeros(())
        for k, t in enumerate(self.targets):
            logits = predictions[t.name].logits
            if logits is not None:
                total = total + masked_likelihood(logits, labels[t.name])
                continue
            unit = self.scale[k] * graph.atom_counts if self.extensive else self.scale[k]
            p = predictions[t.name]
            if self.noisy and p.sigma is not None:
                noisy = masked_noise_likelihood(p.value, p.sigma, labels[t.name], unit, kind, beta=self.beta)
                total = total + noisy
                continue
            total = total + masked_error(p.value, labels[t.name], unit, kind)
        return total / len(self.targets)


def _start_at_zero(output: nn.Linear, widths: list[int], wanted: list[bool]) -> None:
    """Zero the rows of ``output`` that belong to the targets ``wanted``."""
    rows = torch.tensor(wanted).repeat_interleave(torch.tensor(widths))
    with torch.no_grad():
        output.weight[rows] = 0.0
        output.bias[rows] = 0.0


def _start_at_one(output: nn.Linear) -> None:
    """Let the noise of every target begin at the scale of its labels, the same for all structures."""
    with torch.no_grad():
        output.weight[1::2] = 0.0
        output.bias[1::2] = math.log(math.e - 1.0)  # softplus gives 1
