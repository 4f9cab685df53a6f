"""Crystals that a model is asked about when it is saved, and again when it is loaded."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.proof import answers
from crystalcli.engine.model.witnesses import made_up

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
