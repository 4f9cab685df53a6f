"""Losses of vectors: what they are, that no rotation of the axes changes them, and that they can be learned by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from crystalcli.contracts.modules import Labels
from crystalcli.contracts.nn.losses import masked_error

KINDS = ("l1", "mse", "huber")


def errors() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    return torch.tensor(rng.normal(size=(7, 3)) * 2.0), torch.tensor([True] * 5 + [False, True])


def loss(error: torch.Tensor, known: torch.Tensor, kind: str) -> torch.Tensor:
    truth = torch.where(known.unsqueeze(1), torch.zeros_like(error), torch.nan)
    return masked_error(error, Labels(truth, known), torch.tensor(0.5, dtype=torch.float64), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_of_vectors_it_is_that_of_their_root_mean_square(kind: str) -> None:
    error, known = errors()
    found = []
    for e, k in zip(error.tolist(), known.tolist(), strict=True):
        size = (sum(x * x for x in e) / 3.0) ** 0.5 / 0.5
        by_hand = {"l1": size, "mse": size**2, "huber": size - 0.5 if size > 1.0 else 0.5 * size**2}
        found += [by_hand[kind]] if k else []
    assert float(loss(error, known, kind)) == pytest.approx(np.mean(found), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rotation_changes_it(kind: str) -> None:
    error, known = errors()
    turned = error @ torch.tensor(Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix())
    assert float(loss(turned, known, kind)) == pytest.approx(float(loss(error, known, kind)), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_without_an_error_have_a_slope(kind: str) -> None:
    error, known = errors()
    error[2] = 0.0
    error.requires_grad_(True)
    loss(error, known, kind).backward()
    assert error.grad is not None
    assert bool(torch.isfinite(error.grad).all())
    assert not bool(error.grad[~known].any())
    assert bool(error.grad[0].any())
