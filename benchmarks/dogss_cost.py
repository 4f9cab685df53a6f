"""What does a guess of relaxed positions cost beside a relaxation, and what do the ways of learning it cost?

Slabs of 36 atoms (three by three, four layers of fcc (111), metals and random alloys of ASE's EMT) are made and
relaxed, and learned from once by each ``--gradient``. Printed are, each on one core:

- processor time and largest memory of a training, per structure and epoch: of two trainings of different length the
  difference, so that starting, reading and reporting are left out;
- structures a second that a model guesses, graphs made on the way, and how many guesses a relaxation by ASE's EMT
  and FIRE (fmax 0.05 eV/Å, from the same starts, in the same process) costs;
- the time of a guess per atom at 36, 144 and 576 atoms: the slab repeated.

    python benchmarks/dogss_cost.py [--structures 256] [--epochs 2,6] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import torch
from ase.calculators.emt import EMT
from ase.optimize import FIRE

from crystalcli import load_model

METALS = "Cu,Ag,Au,Ni,Pd,Pt,Al"
SLABS = f"slabs --elements {METALS} --facets fcc111 --kinds pure,random --layers 4 --repeat 3 --potential emt"
FIELDS = "--fields fixed,tags -o slabs.h5 -q"
GRADIENTS = ("implicit", "unrolled", "truncated")
FMAX, STEPS = 0.05, 500
PROBE = """
import resource, sys
from crystalcli.cli.main import run
code = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print("USED", code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def crystal(line: str, folder: Path) -> tuple[float, float]:
    """Processor time (s) and largest memory (MiB) of a command; ends where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *line.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    code, seconds, memory = done.stdout.rsplit("USED", 1)[1].split()
    if code != "0":
        sys.exit(f"crystal {line} ended with {code}\n{done.stderr}")
    return float(seconds), float(memory)


def trainings(folder: Path, epochs: tuple[int, int], n: int) -> dict[str, dict[str, float]]:
    """Milliseconds per structure and epoch, and memory, by the way of learning."""
    found = {}
    for gradient in GRADIENTS:
        line = f"train slabs.h5 --arch dogss --gradient {gradient} --group group --threads 1 --no-compare -q"
        used = [crystal(f"{line} --epochs {k} -o {gradient}-{k}", folder) for k in epochs]
        each = (used[1][0] - used[0][0]) / (epochs[1] - epochs[0]) / n
        found[gradient] = {"cpu_ms": round(1e3 * each, 2), "memory_mib": round(used[1][1])}
    return found


def guesses(model: Any, starts: list[ase.Atoms]) -> float:
    """Seconds of processor time for a guess."""
    model.predict(starts[:2])
    before = time.process_time()
    model.predict(starts)
    return (time.process_time() - before) / len(starts)


def relaxed(starts: list[ase.Atoms]) -> tuple[float, float]:
    """Seconds of processor time and steps for a relaxation by ASE."""
    before, steps = time.process_time(), 0
    for start in starts:
        atoms = start.copy()
        atoms.calc = EMT()
        way = FIRE(atoms, logfile=None)
        way.run(fmax=FMAX, steps=STEPS)
        steps += way.nsteps
    return (time.process_time() - before) / len(starts), steps / len(starts)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--structures", type=int, default=256)
    parser.add_argument("--epochs", default="2,6", help="of the shorter and the longer training")
    parser.add_argument("-o", "--output", type=Path)
    wish = parser.parse_args()
    torch.set_num_threads(1)
    short, long = (int(k) for k in wish.epochs.split(","))
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        crystal(f"{SLABS} --count {wish.structures} -q -o slabs", folder)
        crystal(
            "build-graphs slabs/pairs.extxyz --targets relaxed_positions --fields fixed,tags -o slabs.h5 -q", folder
        )
        starts: Any = ase.io.read(folder / "slabs" / "pairs.extxyz", ":")
        costs = trainings(folder, (short, long), len(starts))
        model = load_model(folder / f"{GRADIENTS[0]}-{long}")
        some = starts[:: max(1, len(starts) // 32)][:32]
        guess = guesses(model, some)
        seconds, steps = relaxed(some)
        sizes = {}
        for k in (1, 2, 4):
            larger = [a.repeat((k, k, 1)) for a in some[:8]]
            atoms = float(np.mean([len(a) for a in larger]))
            sizes[f"{atoms:g} atoms"] = round(1e6 * guesses(model, larger) / atoms, 1)
    report = {
        "structures": len(starts),
        "atoms": float(np.mean([len(a) for a in starts])),
        "training, one structure in one epoch": costs,
        "guesses_per_second": round(1.0 / guess, 1),
        "relaxation_of_ase": {"seconds": round(seconds, 4), "steps": round(steps, 1)},
        "guesses_per_relaxation": round(seconds / guess, 1),
        "guess_us_per_atom": sizes,
        "memory_of_this_process_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if wish.output:
        wish.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
