#!/usr/bin/env python3
"""Thin the full alumina runs to the snapshots of the quick start.

    CRYSTAL_DATA=... python examples/alumina/make_subset.py

Reads ``$CRYSTAL_DATA/alumina/*.h5`` (made by ``make_alumina_md.py``) and writes, in the same format,
``snapshots/`` to learn from and ``unseen/`` to be judged on. Runs at one temperature: snapshots evenly from the
first 75 %, unseen ones evenly from the last 20 %. In the ramp time is temperature, so both are taken from all of
it: unseen ones from the last fifth of each of ten blocks, snapshots from the first 75 % of each.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).parent
RUNS = ("alpha-240-300K", "alpha-240-500K", "alpha-240-800K", "alpha-120-ramp")
N_SNAPSHOTS, N_UNSEEN = 120, 30


def rows(n: int, low: float, high: float, blocks: int, count: int) -> np.ndarray:
    """``count`` of ``n`` rows spread evenly over the part ``low … high`` of each of ``blocks`` blocks."""
    size = n // blocks
    each = count // blocks
    starts = np.arange(blocks) * size
    offsets = np.linspace(low * size, high * size - 1, each).astype(int)
    return (starts[:, None] + offsets).ravel()


def thin(source: Path, target: Path, row: np.ndarray) -> None:
    """Copy the frames of ``source`` whose forces are in these rows of its table of forces."""
    target.parent.mkdir(exist_ok=True)
    with h5py.File(source) as a, h5py.File(target, "w") as b:
        index = a["force_index"][()][row]
        for name in ("numbers", "cell", "reference_positions"):
            b[name] = a[name][()]
        for name in ("displacement", "energy", "temperature", "pressure_bar", "step"):
            b.create_dataset(name, data=a[name][()][index], compression="gzip", shuffle=True)
        b.create_dataset("force_index", data=np.arange(len(row), dtype=np.int32))
        b.create_dataset("force", data=a["force"][()][row], compression="gzip", shuffle=True)
        b.attrs["source"] = f"{source.name}, frames {index[0]} to {index[-1]}"


def main() -> None:
    """Make both folders."""
    data = Path(os.environ["CRYSTAL_DATA"]) / "alumina"
    for run in RUNS:
        blocks = 10 if run.endswith("ramp") else 1
        with h5py.File(data / f"{run}.h5") as h:
            n = len(h["force_index"])
        thin(data / f"{run}.h5", HERE / "snapshots" / f"{run}.h5", rows(n, 0.0, 0.75, blocks, N_SNAPSHOTS))
        thin(data / f"{run}.h5", HERE / "unseen" / f"{run}.h5", rows(n, 0.8, 1.0, blocks, N_UNSEEN))


if __name__ == "__main__":
    main()
