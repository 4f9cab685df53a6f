"""Another machine as a test plays it: its decompositions are right, and are others."""

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.linalg import eigh as taken_over
from testing.test_contracts_catch import ring

from crystalcli.testing.elsewhere import elsewhere

RING = ring(6)
TALL = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FLAT = torch.eye(3, 4, dtype=torch.float64).repeat(2, 1, 1)  # singular values that are all one, twice


def rebuilt(values, axes):
    return axes @ np.diag(values) @ axes.T


@pytest.mark.parametrize("found", [np.linalg.eigh, scipy.linalg.eigh, taken_over], ids=["numpy", "scipy", "by name"])
def test_axes_are_axes_and_others(found) -> None:
    name, owner = found.__name__, scipy.linalg if "scipy" in found.__module__ else np.linalg
    before = np.asarray(found(RING.numpy())[1])
    with elsewhere():
        values, axes = (globals()["taken_over"] if found is taken_over else getattr(owner, name))(RING.numpy())
    np.testing.assert_allclose(rebuilt(values, axes), RING.numpy(), atol=1e-12)
    np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-12)
    assert np.abs(np.abs(axes) - np.abs(before)).max() > 0.1, "only signs differ"


def test_torch_gives_its_own_kinds_of_tuples_in_batches() -> None:
    batch = torch.stack([RING, 2 * RING])
    with elsewhere():
        found = torch.linalg.eigh(batch)
        u, s, vh = torch.linalg.svd(FLAT, full_matrices=False)
        q, r = torch.linalg.qr(TALL)
        whole = torch.linalg.svd(TALL, full_matrices=True)
        old_u, old_s, old_v = torch.svd(TALL)
    again = found.eigenvectors @ torch.diag_embed(found.eigenvalues) @ found.eigenvectors.mT
    torch.testing.assert_close(again, batch)
    torch.testing.assert_close(u @ torch.diag_embed(s) @ vh, FLAT)
    torch.testing.assert_close(q @ r, TALL)
    torch.testing.assert_close(whole.U[:, :3] @ torch.diag(whole.S) @ whole.Vh, TALL)
    torch.testing.assert_close(old_u @ torch.diag(old_s) @ old_v.mT, TALL)
    assert not torch.allclose(u, torch.linalg.svd(FLAT, full_matrices=False).U)
    assert not torch.allclose(q, torch.linalg.qr(TALL).Q)
    assert not torch.allclose(old_u, torch.svd(TALL).U)


def test_values_alone_and_factors_with_one_answer_are_left() -> None:
    positive = RING + torch.eye(6, dtype=torch.float64)
    before = np.linalg.qr(TALL.numpy(), mode="r")
    with elsewhere():
        torch.testing.assert_close(torch.linalg.eigvalsh(RING), torch.linalg.eigh(RING).eigenvalues)
        torch.testing.assert_close(torch.linalg.cholesky(positive) @ torch.linalg.cholesky(positive).T, positive)
        assert (np.linalg.qr(TALL.numpy(), mode="r") == before).all()
        assert scipy.linalg.eigh(RING.numpy(), eigvals_only=True).shape == (6,)


def test_afterwards_all_is_as_before() -> None:
    threads, eigh = torch.get_num_threads(), np.linalg.eigh
    with elsewhere():
        assert torch.get_num_threads() != threads
        assert np.linalg.eigh is not eigh
    assert (torch.get_num_threads(), np.linalg.eigh, taken_over) == (threads, eigh, eigh)
