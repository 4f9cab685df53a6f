"""Losses with masks: a missing label has no influence, whatever number stands in its place."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from crystalcli.contracts.modules import Labels
from crystalcli.vocabulary.errors import UsageError, did_you_mean

ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": torch.abs,
    "mse": torch.square,
    "huber": lambda error: functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=1.0),
}
"""Loss of errors in normalised units, by name."""


def _sizes(errors: Tensor) -> Tensor:
    """(n, C) → (n,): root mean square over the components, which is the same whatever the axes of a vector are."""
    if errors.shape[1] == 1:
        return errors.squeeze(1).abs()
    lengths: Tensor = torch.linalg.vector_norm(errors, dim=1)
    return lengths / math.sqrt(errors.shape[1])


def masked_error(value: Tensor, labels: Labels, unit: Tensor, kind: str) -> Tensor:
    """Mean over existing labels of the loss of ``(value − label)/unit``; without labels 0.

    Of labels with C components, as forces, the loss is that of their root mean square, ``|e|/√C``: a sum over the
    components of their absolute values would depend on how the axes lie.

    Args:
        value: (n, …) predictions.
        labels: (n, …) labels and (n,) mask.
        unit: what counts as an error of 1; a number or (n,).
        kind: ``l1``, ``mse`` or ``huber`` (quadratic below an error of 1).

    Raises:
        UsageError: an unknown kind.
    """
    if kind not in ELEMENTWISE:
        raise UsageError(f"no loss '{kind}'; {did_you_mean(kind, list(ELEMENTWISE))}")
    n = len(labels.mask)
    known = labels.mask.view(n, 1)
    value, truth = value.reshape(n, -1), labels.value.reshape(n, -1)
    unit = unit.view(-1, 1) if unit.ndim else unit
    expected = torch.where(known, truth, torch.zeros_like(truth))
    errors = torch.where(known, (value - expected) / unit, torch.zeros_like(value))
    # the mean of squares without a root between, whose slope a label without error lacks
    loss = errors.square().mean(1) if kind == "mse" else ELEMENTWISE[kind](_sizes(errors))
    return loss.sum() / labels.mask.sum().clamp_min(1)


def masked_noise_likelihood(
    value: Tensor, sigma: Tensor, labels: Labels, unit: Tensor, kind: str, *, beta: float
) -> Tensor:
    """Mean over existing labels of the negative log-likelihood of labels that scatter by ``sigma``; 0 without labels.

    Laplace for ``l1``: ``|e|/b + ln b`` with ``b = σ/√2``; Gauss for ``mse``: ``(e/σ)²/2 + ln σ``. Every term is
    weighted with its own ``b^β`` or ``σ^2β``, held constant: with β = 1 noisy labels pull on the value as they do
    without a noise, with 0 those that are badly fitted are given up early. M. Seitzer et al., ICLR 2022,
    arXiv:2203.09168, Eq. 6.

    Args:
        value: (n,) predictions.
        sigma: (n,) their noise, positive.
        labels: (n,) labels and mask.
        unit: what counts as an error of 1; a number or (n,).
        kind: ``l1`` or ``mse``.
        beta: 0 … 1.

    Raises:
        UsageError: another kind.
    """
    if kind not in ("l1", "mse"):
        raise UsageError(f"the loss '{kind}' belongs to no noise that can be learned; use --loss l1 or mse")
    expected = torch.where(labels.mask, labels.value, torch.zeros_like(labels.value))
    error = torch.where(labels.mask, (value - expected) / unit, torch.zeros_like(value))
    spread = sigma / unit
    if kind == "l1":
        spread = spread / 2.0**0.5
        terms, weight = error.abs() / spread + spread.log(), spread.detach() ** beta
    else:
        terms, weight = 0.5 * (error / spread).square() + spread.log(), spread.detach() ** (2.0 * beta)
    return torch.where(labels.mask, weight * terms, torch.zeros_like(terms)).sum() / labels.mask.sum().clamp_min(1)


def masked_likelihood(logits: Tensor, labels: Labels) -> Tensor:
    """Mean over existing labels of the negative log-likelihood; 0 without labels.

    Args:
        logits: (n, C).
        labels: (n,) class numbers 0 … C − 1 and mask.
    """
    chosen = torch.where(labels.mask, labels.value, torch.zeros_like(labels.value)).long()
    likelihood = torch.log_softmax(logits, dim=1).gather(1, chosen.unsqueeze(1)).squeeze(1)
    return -torch.where(labels.mask, likelihood, torch.zeros_like(likelihood)).sum() / labels.mask.sum().clamp_min(1)
