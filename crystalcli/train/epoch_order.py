"""The order in which an epoch takes the structures of the training part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RUNS = 64
"""Runs of neighbors in the file that are mixed at a time."""


def epoch_order(train: NDArray[np.int64], rng: np.random.Generator, window: int = 0) -> NDArray[np.int64]:
    """All of ``train``, shuffled.

    With a window the file is cut into short runs of neighbors, the runs are shuffled, and structures are shuffled among
    each 64 consecutive runs, which hold ``window`` structures together: at any time only that much of a cache is in
    use, and it is read run by run. That is for caches larger than memory; where they fit, everything is shuffled.

    Args:
        train: (n,) positions in the data set.
        rng: decides the order.
        window: structures mixed at a time; 0: all.
    """
    if not window or window >= len(train):
        return rng.permutation(train)
    length = max(1, window // RUNS)
    runs = np.array_split(np.sort(train), -(-len(train) // length))
    order = rng.permutation(len(runs))
    mixed = [
        rng.permutation(np.concatenate([runs[k] for k in order[i : i + RUNS]])) for i in range(0, len(order), RUNS)
    ]
    return np.concatenate(mixed)
