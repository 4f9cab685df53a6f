"""What a model keeps of its training structures, so that it can tell later which others are unlike them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.out_of_domain import LANDMARKS, OutOfDomain, structure_vectors


@torch.no_grad()
def learned(
    model: CrystalModel, data: GraphDataset, taught: NDArray[np.int64], held_out: NDArray[np.int64], batch_size: int
) -> OutOfDomain | None:
    """What structures ``taught`` of ``data`` look like to ``model``, against ``held_out`` ones; none of one alone."""
    if len(taught) < 2:
        return None
    device = next(model.parameters()).device

    def vectors(index: NDArray[np.int64]) -> Tensor:
        chosen = index[np.linspace(0, len(index) - 1, min(LANDMARKS, len(index))).round().astype(np.int64)]
        parts = [torch.zeros(0, 1)]
        for k in range(0, len(chosen), batch_size):
            graph = data.batch(chosen[k : k + batch_size]).graph.to(device)
            parts.append(structure_vectors(graph, model.embed(graph)).cpu())
        return torch.cat(parts[1:]) if len(chosen) else parts[0]

    return OutOfDomain.learned(vectors(taught), vectors(held_out))
