"""Naive twins of the sums of ``lcgcn-ff``: one edge at a time in thought, plain torch in deed."""

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor


def gated_messages(addends: Tensor, radial: Tensor, envelope: Tensor, centre: Tensor, neighbor: Tensor) -> Tensor:
    """``Σ_e f σ(p) softplus(−r)``; addends (N, 4F), radial (E, 2F)."""
    ends = addends.view(len(addends), 4, -1)
    of_filter, of_core = radial.chunk(2, 1)
    p = ends[centre, 0] + ends[neighbor, 1] + of_filter
    r = ends[centre, 2] + ends[neighbor, 3] + of_core
    messages = envelope[:, None] * torch.sigmoid(p) * torch.nn.functional.softplus(-r)
    return torch.zeros_like(ends[:, 0]).index_add(0, centre, messages)


def radial_sums(x: np.ndarray, factor: np.ndarray, slot: np.ndarray, n_slots: int, intervals: int) -> np.ndarray:
    """``H[slot, k] += f B_k(x)`` with the B-splines of SciPy."""
    knots = np.arange(-3, intervals + 4) / intervals
    basis = BSpline.design_matrix(x, knots, 3).toarray()
    sums = np.zeros((n_slots, intervals + 3))
    np.add.at(sums, slot, factor[:, None] * basis)
    return sums
