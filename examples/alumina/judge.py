#!/usr/bin/env python3
"""Has the network learned? Compares its predictions of unseen snapshots with the energies, by itself.

    python examples/alumina/judge.py quickstart

Exits 1 unless the mean absolute error is at most half that of always answering the mean of the snapshots.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).parent


def energies(folder: Path) -> dict[str, float]:
    """Energy per atom in eV by id, ``RUN:FRAME``."""
    found = {}
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as h:
            per_atom = h["energy"][()] / len(h["numbers"])
        found |= {f"{path.stem}:{k}": float(e) for k, e in enumerate(per_atom)}
    return found


def main() -> int:
    """Print the errors of each run and return the exit code."""
    truth = energies(HERE / "unseen")
    mean = np.mean(list(energies(HERE / "snapshots").values()))
    with (Path(sys.argv[1]) / "predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    predicted = {row[0]: float(row[1]) for row in rows}
    if predicted.keys() != truth.keys():
        print("predictions and unseen snapshots differ")
        return 1
    print(f"\n{'unseen snapshots of':<18} {'network':>9} {'mean predictor':>15}   (mean absolute error, meV/atom)")
    runs = sorted({i.rsplit(":", 1)[0] for i in truth})
    for run in [*runs, "all"]:
        ids = [i for i in truth if run == "all" or i.startswith(run + ":")]
        y, p = np.array([truth[i] for i in ids]), np.array([predicted[i] for i in ids])
        network, constant = 1e3 * np.abs(p - y).mean(), 1e3 * np.abs(mean - y).mean()
        print(f"{run:<18} {network:9.3f} {constant:15.3f}")
    learned = network <= 0.5 * constant
    print("learned: yes" if learned else "learned: NO, the error is above half the mean predictor's")
    return 0 if learned else 1


if __name__ == "__main__":
    sys.exit(main())
