"""Losses with masks: a missing label has no influence, whatever number stands in its place."""

from __future__ import annotations

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


def masked_error(value: Tensor, labels: Labels, unit: Tensor, kind: str) -> Tensor:
    """Mean over existing labels, and over the components of each, of the loss of ``(value − label)/unit``; else 0.

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
    loss = ELEMENTWISE[kind](torch.where(known, (value - expected) / unit, torch.zeros_like(value)))
    return loss.sum() / (labels.mask.sum() * value.shape[1]).clamp_min(1)


def masked_likelihood(logits: Tensor, labels: Labels) -> Tensor:
    """Mean over existing labels of the negative log-likelihood; 0 without labels.

    Args:
        logits: (n, C).
        labels: (n,) class numbers 0 … C − 1 and mask.
    """
    chosen = torch.where(labels.mask, labels.value, torch.zeros_like(labels.value)).long()
    likelihood = torch.log_softmax(logits, dim=1).gather(1, chosen.unsqueeze(1)).squeeze(1)
    return -torch.where(labels.mask, likelihood, torch.zeros_like(likelihood)).sum() / labels.mask.sum().clamp_min(1)
