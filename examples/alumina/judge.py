#!/usr/bin/env python3
"""Has the network learned? Compares its predictions of unseen snapshots with the energies, by itself.

    python examples/alumina/judge.py quickstart

What is linear in the distances of pairs of atoms needs no network: a ridge regression on their histogram is within a
fraction of a meV/atom already. Exits 1 unless the network is better than that ridge on the test part of its run (both
from its report), has forces, which the ridge has not, within a quarter of the typical force, and is within half the
error of the mean predictor on the unseen snapshots, read here from the files.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).parent


def energies(folder: Path) -> dict[str, tuple[float, int]]:
    """Energy in eV and number of atoms by id, ``RUN:FRAME``."""
    found = {}
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as h:
            n = len(h["numbers"])
            found |= {f"{path.stem}:{k}": (float(e), n) for k, e in enumerate(h["energy"][()])}
    return found


def main() -> int:
    """Print the errors of each run and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what quickstart.sh wrote")
    folder: Path = parser.parse_args().folder
    unseen = energies(HERE / "unseen")
    truth = {i: e / n for i, (e, n) in unseen.items()}
    mean = np.mean([e / n for e, n in energies(HERE / "snapshots").values()])
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        predicted = {row["id"]: float(row["energy [eV]"]) / unseen[row["id"]][1] for row in csv.DictReader(file)}
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
    test = json.loads((folder / "run" / "report.json").read_text(encoding="utf-8"))["test"]
    own, linear = (1e3 * e["mae"] for e in (test["energy"]["model"], test["energy"]["baselines"]["pairs"]))
    force, typical = (1e3 * e["mae"] for e in (test["forces"]["model"], test["forces"]["baselines"]["mean"]))
    print(f"\ntest part of the run: energies {own:.3f} meV/atom, {linear:.3f} by a linear ridge on pair distances;")
    print(f"forces {force:.1f} meV/Å, typical size of a component {typical:.1f}")
    wrong = []
    wrong += ["it is above half the mean predictor's error"] if network > 0.5 * constant else []
    wrong += ["it is no better than what is linear"] if own >= linear else []
    wrong += ["its forces are not learned"] if force > 0.25 * typical else []
    print("learned: " + ("yes" if not wrong else "NO, " + ", and ".join(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
