"""Where a training run stands: what a checkpoint keeps beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from crystalcli.train.schedules import Plateau


@dataclass
class Progress:
    """Where a run stands; plain numbers, kept in every checkpoint.

    Args:
        epoch: epochs that are complete. batch: batches done in the one after. step: optimiser steps in all.
        loss_sum, loss_n: sum of batch loss × structures, structures, of the epoch under way.
        best, best_epoch: best validation score and its epoch (counted from 1). waited: epochs since.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_n: int = 0
    best: float = float("inf")
    best_epoch: int = 0
    waited: int = 0
    plateau: Plateau = field(default_factory=Plateau)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary; scores that are still infinite become null."""
        data = asdict(self)
        for table in (data, data["plateau"]):
            table["best"] = table["best"] if np.isfinite(table["best"]) else None
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Progress:
        """Inverse of :meth:`to_json`."""
        never = float("inf")
        top, plateau = ({**t, "best": never if t["best"] is None else t["best"]} for t in (data, data["plateau"]))
        return cls(**{**top, "plateau": Plateau(**plateau)})
