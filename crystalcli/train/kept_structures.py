"""What a model keeps of its training structures: crystals that it is asked about, and how far from them others lie."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.out_of_domain import LANDMARKS, OutOfDomain, structure_vectors
from crystalcli.engine.model.proof import answers, made_up

SMALLEST = 3


def give_witnesses(model: CrystalModel, data: GraphDataset, taught: NDArray[np.int64]) -> None:
    """Let ``model`` have made-up crystals, or where its parts are not for any crystal the smallest of its training."""
    try:
        made = made_up(model.spec)
        answers(model, made)
    except Exception:  # whatever a part raises: those of the training it can take
        smallest = taught[np.argsort(data.atom_counts()[taught], kind="stable")[:SMALLEST]]
        made = data.batch(smallest, dtype=torch.float64).graph
    model.witnesses = made


@torch.no_grad()
def learned_domain(
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
