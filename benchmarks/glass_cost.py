"""What does a glass cost beside its forces? One box, and eight side by side, of 100 atoms by EMT, 5500 steps.

Processor time of all of ``crystal glass`` but its start, and of the potential's evaluations in it (with neighbors);
packing, thermostat, guards, log, relaxation, analysis, pictures and files are the rest. ASE's own EMT for comparison.

    python benchmarks/glass_cost.py [--boxes 1,8] [--draw-boxes] [-o FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ase.build
import torch
from ase.calculators.emt import EMT

from crystalcli.cli.main import run
from crystalcli.engine.potential import potentials

BAR = 0.05
SHORT = "--hotter 20 --melt-steps 30 --quench-steps 30 --hold-steps 30 --last-steps 20 --frame-every 10"


@contextmanager
def watched() -> Iterator[list[float]]:
    """While inside, processor seconds and number of evaluations."""
    spent, evaluate = [0.0, 0], potentials.PairedPotential.evaluate

    def timed(self, systems, *, stress=False):
        start = time.process_time()
        found = evaluate(self, systems, stress=stress)
        spent[0] += time.process_time() - start
        spent[1] += 1
        return found

    potentials.PairedPotential.evaluate = timed
    try:
        yield spent
    finally:
        potentials.PairedPotential.evaluate = evaluate


def glasses(boxes: int, folder: Path, *more: str) -> dict[str, float]:
    """A run; seconds a box."""
    words = f"glass Al0.5Cu0.5 --replicas {boxes} --potential emt --threads 1 --quiet --batch-size {boxes}"
    with watched() as spent:
        start = time.process_time()
        assert run([*words.split(), *more, "-o", str(folder / f"{boxes}{len(more)}")]) == 0
        whole = time.process_time() - start
    return {
        "seconds_a_box": round(whole / boxes, 3),
        "forces_a_box": round(spent[0] / boxes, 3),
        "evaluations": spent[1],
        "rest_of_forces": round((whole - spent[0]) / spent[0], 4),
    }


def ases() -> float:
    """Ms of an evaluation of 100 atoms by ASE's EMT, atoms moved between two."""
    atoms = ase.build.bulk("Cu", cubic=True).repeat((5, 5, 1))
    atoms.calc = EMT()
    times = []
    for k in range(30):
        atoms.rattle(0.01, seed=k)
        start = time.process_time()
        atoms.get_forces()
        times.append(time.process_time() - start)
    return 1e3 * sorted(times)[len(times) // 2]


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", default="1,8")
    parser.add_argument("--draw-boxes", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    draw = "--draw-boxes" if asked.draw_boxes else "--no-draw-boxes"
    with tempfile.TemporaryDirectory() as name:
        glasses(1, Path(name), *SHORT.split(), draw)  # all is imported then
        found = {n: glasses(int(n), Path(name), draw) for n in asked.boxes.split(",")}
    first, *_, last = [*found.values()] * 2
    result = {
        "question": "what a glass of 100 atoms costs beside its forces, EMT, 5500 steps",
        "boxes": found,
        "bar": BAR,
        "passes": all(f["rest_of_forces"] <= BAR for f in found.values()),
        "a_batch_is_no_slower": last["seconds_a_box"] <= first["seconds_a_box"],
        "ases_emt_ms": round(ases(), 3),
        "ours_ms": {n: round(1e3 * f["forces_a_box"] / f["evaluations"], 3) for n, f in found.items()},
        "torch": torch.__version__,
        "machine": platform.processor(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
